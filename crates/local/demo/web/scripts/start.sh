#!/bin/sh
# Starts the application in the background; CodeDeploy waits for whoever keeps the hook's output open.
set -eu
cd "${INSTANCE_ROOT:-}/opt/web"
rm -f run/ready
nohup python3 app.py </dev/null >run/web.log 2>&1 &
echo $! >run/pid
