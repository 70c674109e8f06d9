#!/bin/sh
# Ends the application, if it runs.
set -eu
cd "${INSTANCE_ROOT:-}/opt/web"
[ -f run/pid ] || exit 0
kill "$(cat run/pid)" 2>/dev/null || exit 0
while [ ! -f run/exit ]; do sleep 0.05; done
