#!/usr/bin/env bash
# Django's deployment checks under a production environment; is the API's description valid and complete; does every
# model change have its migration?
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
. deploy/throw-away-env.sh
python manage.py check --deploy --fail-level WARNING
python manage.py spectacular --validate --fail-on-warn --file /dev/null
python -m apps.core.launcher exec --ephemeral -- python manage.py makemigrations --check --dry-run
