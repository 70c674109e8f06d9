#!/bin/sh
# Makes the directory for what the application writes. INSTANCE_ROOT is empty on a real instance.
set -eu
mkdir -p "${INSTANCE_ROOT:-}/opt/web/run"
