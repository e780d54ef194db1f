#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml mounts: EMAIL_URL=smtp://user:password@host:587?tls=1 deploy/secrets.sh
# Existing ones are kept. The folder is yours alone; its files can be read by the containers' user.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="${1:-deploy/secrets}"
random() {
    od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}
keep_or_write() {
    [ -s "$folder/$1" ] || printf '%s\n' "$2" >"$folder/$1"
    chmod 644 "$folder/$1"
}
if [ -z "${EMAIL_URL:-}" ] && [ ! -s "$folder/email_url" ]; then
    echo "Name your mail server: EMAIL_URL=smtp://user:password@host:587?tls=1 deploy/secrets.sh" >&2
    exit 1
fi
mkdir -p "$folder"
chmod 700 "$folder"
keep_or_write secret_key "$(random 40)"
keep_or_write field_keys "$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')"
keep_or_write metrics_token "$(random 20)"
keep_or_write email_url "${EMAIL_URL:-}"
keep_or_write database_password "$(random 20)"
keep_or_write database_url "postgres://riskdesk:$(cat "$folder/database_password")@database:5432/riskdesk"
keep_or_write queue_password "$(random 20)"
keep_or_write redis_url "redis://:$(cat "$folder/queue_password")@queue:6379/0"
echo "The secrets are in $folder. Keep a copy of field_keys: without it, stored credentials cannot be read again."
