#!/bin/sh
# Gathers the static files under names that hold their digest, as production serves them. Part of the image's build.
set -eu
cd "$(dirname "$0")/.."
. deploy/throw-away-env.sh
exec python manage.py collectstatic --noinput --verbosity 0
