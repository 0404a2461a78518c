#!/bin/sh
# Restores the newest backup into a scratch database, and fails if that is empty.
set -eu

# Use the backup from the bucket, if one was fetched.
if [ -f "${FETCHED:-/fetched}/.fetched" ]; then
  export BACKUPS="${FETCHED:-/fetched}"
fi
sh "$(dirname "$0")/restore.sh"

PGPASSWORD=$(cat "$DATABASE_PASSWORD_FILE")
export PGPASSWORD
found=$(psql --no-psqlrc --host="$DATABASE_HOST" --port="$DATABASE_PORT" --username="$DATABASE_USER" --dbname="$DATABASE_NAME" \
  --tuples-only --no-align --command='SELECT count(*) FROM pg_stat_user_tables')
[ "$found" -gt 0 ] || { echo 'The restored database has no tables.' >&2; exit 1; }
echo "The restored database has $found tables."
