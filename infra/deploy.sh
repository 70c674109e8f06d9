#!/bin/sh
# Deploys a template as a stack, after asking: STACK TEMPLATE [FILE.json] [KEY=VALUE…]. deploy.py says what it looks at before.
exec python3 "$(dirname "$0")/deploy.py" "$@"
