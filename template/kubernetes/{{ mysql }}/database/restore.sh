#!/bin/sh
# Brings the database back to the state of $BACKUP, the newest unless named.
set -eu
umask 077

cd "${BACKUPS:-/backups}"
if [ -n "${FROM:-}" ]; then
  BACKUP=from/$(cat .fetched)
elif [ -z "${BACKUP:-}" ]; then
  for BACKUP in [0-9]*T[0-9]*Z.sql.gz; do :; done
fi
[ -f "$BACKUP" ] || { echo "Backup $BACKUP does not exist. Existing backups:" && ls; exit 1; } >&2
gzip --test "$BACKUP"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/my.cnf" <<CNF
[client]
protocol=tcp
host=$DATABASE_HOST
port=$DATABASE_PORT
user=$DATABASE_USER
password="$(sed 's/[\\"]/\\&/g' "$DATABASE_PASSWORD_FILE")"
CNF

# Network policies may take a moment to admit a pod.
tries=0
until mysqladmin --defaults-file="$work/my.cnf" ping --silent > /dev/null 2>&1 || [ $((tries += 1)) -ge 10 ]; do sleep 1; done

# The backup begins by dropping the database, with everything in it that the backup does not know.
mkfifo "$work/sql"
gzip --decompress --stdout "$BACKUP" > "$work/sql" &
mysql --defaults-file="$work/my.cnf" < "$work/sql"
wait $!
[ -z "${FROM:-}" ] || rm -r from
echo "Restored $DATABASE_NAME from $BACKUP."
