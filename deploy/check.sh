#!/usr/bin/env bash
# Django's deployment checks under a production environment, and: does every model change have its migration?
set -euo pipefail
cd "$(dirname "$0")/.."
export RISKDESK_ENV=production DEBUG=false EMAIL_URL=smtp://mail.example.com:587?tls=1
export SITE_URL=https://riskdesk.example.com ALLOWED_HOSTS=riskdesk.example.com
export CSRF_TRUSTED_ORIGINS=https://riskdesk.example.com BEHIND_PROXY=true
SECRET_KEY="$(.venv/bin/python -c 'import secrets; print(secrets.token_urlsafe(60))')"
FIELD_KEYS="$(.venv/bin/python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())')"
DATABASE_URL=postgres://riskdesk@database/riskdesk REDIS_URL=redis://queue:6379/0
export SECRET_KEY FIELD_KEYS DATABASE_URL REDIS_URL
.venv/bin/python manage.py check --deploy --fail-level WARNING
.venv/bin/python -m apps.core.launcher exec --ephemeral -- .venv/bin/python manage.py makemigrations --check --dry-run
