#!/bin/sh
# Restores the newest backup into a scratch database, and fails if that is empty.
set -eu

# Use the backup from the bucket, if one was fetched.
if [ -f "${FETCHED:-/fetched}/.fetched" ]; then
  export BACKUPS="${FETCHED:-/fetched}"
fi
sh "$(dirname "$0")/restore.sh"

REDISCLI_AUTH=$(cat "$DATABASE_PASSWORD_FILE")
export REDISCLI_AUTH
found=$(redis-cli -e -h "$DATABASE_HOST" -p "$DATABASE_PORT" INFO keyspace | grep -c '^db' || true)
[ "$found" -gt 0 ] || { echo 'The restored database has no keys.' >&2; exit 1; }
echo 'The restored database has keys.'
