#!/bin/sh
# Saves the database in $BACKUPS and deletes backups there that are older than $KEEP_DAYS days.
set -eu
umask 077

[ "${KEEP_DAYS:=7}" -ge 1 ] || { echo "KEEP_DAYS must be at least 1." >&2; exit 2; }
cd "${BACKUPS:-/backups}"
backup=$(date -u +%Y%m%dT%H%M%SZ).sql.gz

# Before the dump, so that a full volume has room again. The newest backup stays, however old it is.
oldest=$(date -u -d "-$KEEP_DAYS days" +%Y%m%d)
set -- [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z.sql.gz
while [ $# -gt 1 ] && [ "${1%T*}" -lt "$oldest" ]; do
  rm "$1"
  shift
done
# A killed backup leaves its partial file. One from today can belong to a running backup.
for part in [0-9]*T[0-9]*Z.sql.gz.partial; do
  [ "${part%T*}" = "${backup%T*}" ] || rm -f "$part"
done

work=$(mktemp -d)
trap 'rm -rf "$work" "$backup.partial"' EXIT
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

# Not a pipeline, whose status would be that of gzip alone. GTIDs are left out: restoring them requires permissions on the
# whole server. The partial file exists before the dump starts, so a failed dump always removes it.
mkfifo "$work/sql"
gzip > "$backup.partial" < "$work/sql" &
mysqldump --defaults-file="$work/my.cnf" --single-transaction --set-gtid-purged=OFF --no-tablespaces \
  --routines --events --hex-blob --add-drop-database --databases "$DATABASE_NAME" > "$work/sql"
wait $!
mv "$backup.partial" "$backup"
echo "Saved $DATABASE_NAME as $backup, $(wc -c < "$backup") bytes."
