#!/bin/sh
# Saves the database in $BACKUPS and deletes backups there that are older than $KEEP_DAYS days.
set -eu
umask 077

REDISCLI_AUTH=$(cat "$DATABASE_PASSWORD_FILE")
export REDISCLI_AUTH

[ "${KEEP_DAYS:=7}" -ge 1 ] || { echo "KEEP_DAYS must be at least 1." >&2; exit 2; }
cd "${BACKUPS:-/backups}"
backup=$(date -u +%Y%m%dT%H%M%SZ).rdb

# Before the dump, so that a full volume has room again. The newest backup stays, however old it is.
oldest=$(date -u -d "-$KEEP_DAYS days" +%Y%m%d)
set -- [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z.rdb
while [ $# -gt 1 ] && [ "${1%T*}" -lt "$oldest" ]; do
  rm "$1"
  shift
done
# A killed backup leaves its partial file. One from today can belong to a running backup.
for part in [0-9]*T[0-9]*Z.rdb.partial; do
  [ "${part%T*}" = "${backup%T*}" ] || rm -f "$part"
done

# Network policies may take a moment to admit a pod.
tries=0
until redis-cli -h "$DATABASE_HOST" -p "$DATABASE_PORT" PING > /dev/null 2>&1 || [ $((tries += 1)) -ge 10 ]; do sleep 1; done

trap 'rm -f "$backup.partial"' EXIT
messages=$(redis-cli -h "$DATABASE_HOST" -p "$DATABASE_PORT" --rdb "$backup.partial" 2>&1 \
  && redis-check-rdb "$backup.partial" 2>&1) || { echo "$messages" >&2; exit 1; }
mv "$backup.partial" "$backup"
echo "Saved $DATABASE_HOST as $backup, $(wc -c < "$backup") bytes."
