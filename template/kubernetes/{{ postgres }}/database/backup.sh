#!/bin/sh
# Saves the database in $BACKUPS and deletes backups there that are older than $KEEP_DAYS days.
set -eu
umask 077

export PGHOST="$DATABASE_HOST" PGPORT="$DATABASE_PORT" PGDATABASE="$DATABASE_NAME" PGUSER="$DATABASE_USER"
PGPASSWORD=$(cat "$DATABASE_PASSWORD_FILE")
export PGPASSWORD

[ "${KEEP_DAYS:=7}" -ge 1 ] || { echo "KEEP_DAYS must be at least 1." >&2; exit 2; }
cd "${BACKUPS:-/backups}"
backup=$(date -u +%Y%m%dT%H%M%SZ).dump

# Before the dump, so that a full volume has room again. The newest backup stays, however old it is.
oldest=$(date -u -d "-$KEEP_DAYS days" +%Y%m%d)
set -- [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z.dump
while [ $# -gt 1 ] && [ "${1%T*}" -lt "$oldest" ]; do
  rm "$1"
  shift
done
# A killed backup leaves its partial file. One from today can belong to a running backup.
for part in [0-9]*T[0-9]*Z.dump.partial; do
  [ "${part%T*}" = "${backup%T*}" ] || rm -f "$part"
done

# Network policies may take a moment to admit a pod.
tries=0
until pg_isready --quiet || [ $((tries += 1)) -ge 10 ]; do sleep 1; done

trap 'rm -f "$backup.partial"' EXIT
pg_dump --format=custom --file="$backup.partial"
mv "$backup.partial" "$backup"
echo "Saved $DATABASE_NAME as $backup, $(wc -c < "$backup") bytes."
