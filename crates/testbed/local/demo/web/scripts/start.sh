#!/bin/sh
# Starts the application in the background; CodeDeploy waits for whoever keeps the hook's output open.
set -eu
cd "${INSTANCE_ROOT:-}/opt/web"
rm -f run/ready run/exit
(
    # The shell that starts it also waits for it: so its end is seen even where no init collects orphans.
    sh -c 'echo $$ >run/pid; exec python3 app.py' || true
    touch run/exit
) </dev/null >run/web.log 2>&1 &
