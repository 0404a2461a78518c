#!/bin/sh
# Brings the database back to the state of $BACKUP, the newest unless named, in one transaction.
set -eu
umask 077

export PGHOST="$DATABASE_HOST" PGPORT="$DATABASE_PORT" PGDATABASE="$DATABASE_NAME" PGUSER="$DATABASE_USER"
PGPASSWORD=$(cat "$DATABASE_PASSWORD_FILE")
export PGPASSWORD

cd "${BACKUPS:-/backups}"
if [ -n "${FROM:-}" ]; then
  BACKUP=from/$(cat .fetched)
elif [ -z "${BACKUP:-}" ]; then
  for BACKUP in [0-9]*T[0-9]*Z.dump; do :; done
fi
[ -f "$BACKUP" ] || { echo "Backup $BACKUP does not exist. Existing backups:" && ls; exit 1; } >&2

# Network policies may take a moment to admit a pod.
tries=0
until pg_isready --quiet || [ $((tries += 1)) -ge 10 ]; do sleep 1; done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkfifo "$work/sql"
PGOPTIONS=--client-min-messages=error psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 < "$work/sql" > /dev/null &

# Objects that are not in the backup are dropped too. Only pg_restore's last line commits, so half a backup changes nothing.
{
  cat <<'SQL'
BEGIN;
SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema' \gexec
SELECT lo_unlink(oid) FROM pg_largeobject_metadata;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
COMMENT ON SCHEMA public IS 'standard public schema';
GRANT USAGE ON SCHEMA public TO PUBLIC;
SQL
  pg_restore --single-transaction --clean --if-exists --no-owner --file=- "$BACKUP"
} > "$work/sql"
wait $!
[ -z "${FROM:-}" ] || rm -r from
echo "Restored $DATABASE_NAME from $BACKUP."
