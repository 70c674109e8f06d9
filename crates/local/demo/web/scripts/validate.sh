#!/bin/sh
# Waits until the application listens; shows its log if it has died instead.
set -eu
cd "${INSTANCE_ROOT:-}/opt/web"
while [ ! -f run/ready ]; do
    if ! kill -0 "$(cat run/pid)" 2>/dev/null; then
        echo "the application ended while starting:" >&2
        tail -n 20 run/web.log >&2
        exit 1
    fi
    sleep 0.05
done
