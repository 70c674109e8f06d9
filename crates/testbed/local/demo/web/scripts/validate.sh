#!/bin/sh
# Waits until the application listens; shows its log if it has ended instead.
set -eu
cd "${INSTANCE_ROOT:-}/opt/web"
while [ ! -f run/ready ]; do
    if [ -f run/exit ]; then
        echo "the application ended while starting:" >&2
        tail -n 20 run/web.log >&2
        exit 1
    fi
    sleep 0.05
done
