#!/bin/sh
# Restores the newest backup into a scratch database, and fails if that is empty.
set -eu
umask 077

# Use the backup from the bucket, if one was fetched.
if [ -f "${FETCHED:-/fetched}/.fetched" ]; then
  export BACKUPS="${FETCHED:-/fetched}"
fi
sh "$(dirname "$0")/restore.sh"

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
found=$(mysql --defaults-file="$work/my.cnf" --skip-column-names --batch --database="$DATABASE_NAME" \
  --execute='SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()')
[ "$found" -gt 0 ] || { echo 'The restored database has no tables.' >&2; exit 1; }
echo "The restored database has $found tables."
