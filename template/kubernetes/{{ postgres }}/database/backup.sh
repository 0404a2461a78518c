#!/bin/sh
# Saves the database in $BACKUPS and deletes all but the newest $KEEP backups.
set -eu
umask 077

export PGHOST="$DATABASE_HOST" PGPORT="$DATABASE_PORT" PGDATABASE="$DATABASE_NAME" PGUSER="$DATABASE_USER"
PGPASSWORD=$(cat "$DATABASE_PASSWORD_FILE")
export PGPASSWORD

[ "${KEEP:=7}" -ge 1 ] || { echo "KEEP must be at least 1." >&2; exit 2; }
cd "${BACKUPS:-/backups}"
backup=$(date -u +%Y%m%dT%H%M%SZ).dump

# Network policies may take a moment to admit a pod.
tries=0
until pg_isready --quiet || [ $((tries += 1)) -ge 10 ]; do sleep 1; done

trap 'rm -f "$backup.partial"' EXIT
pg_dump --format=custom --file="$backup.partial"
mv "$backup.partial" "$backup"
echo "Saved $DATABASE_NAME as $backup, $(wc -c < "$backup") bytes."

# A backup that was killed leaves its part; one of today may still be running.
for part in [0-9]*T[0-9]*Z.dump.partial; do
  [ "${part%T*}" = "${backup%T*}" ] || rm -f "$part"
done

set -- [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z.dump
while [ $# -gt "$KEEP" ]; do
  rm "$1"
  shift
done
