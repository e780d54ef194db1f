# A production environment for one command that needs the settings and no servers: source it. Keys are random each time.
RISKDESK_ENV=production
DEBUG=false
SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(60))')"
FIELD_KEYS="$(python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())')"
SITE_URL=https://riskdesk.example.com
ALLOWED_HOSTS=riskdesk.example.com
CSRF_TRUSTED_ORIGINS=https://riskdesk.example.com
BEHIND_PROXY=true
DATABASE_URL=postgres://riskdesk@database/riskdesk
REDIS_URL=redis://queue:6379/0
EMAIL_URL=smtp://mail.example.com:587?tls=1
export RISKDESK_ENV DEBUG SECRET_KEY FIELD_KEYS SITE_URL ALLOWED_HOSTS CSRF_TRUSTED_ORIGINS BEHIND_PROXY \
    DATABASE_URL REDIS_URL EMAIL_URL
