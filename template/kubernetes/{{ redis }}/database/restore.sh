#!/bin/sh
# Brings the database back to the state of $BACKUP, the newest unless named: a second server loads the backup and sends
# it key by key. The service must not write meanwhile.
set -eu
umask 077

cd "${BACKUPS:-/backups}"
if [ -n "${FROM:-}" ]; then
  BACKUP=from/$(cat .fetched)
elif [ -z "${BACKUP:-}" ]; then
  for BACKUP in [0-9]*T[0-9]*Z.rdb; do :; done
fi
[ -f "$BACKUP" ] || { echo "Backup $BACKUP does not exist. Existing backups:" && ls; exit 1; } >&2

password=$(cat "$DATABASE_PASSWORD_FILE")
real() { REDISCLI_AUTH=$password redis-cli -e -h "$DATABASE_HOST" -p "$DATABASE_PORT" "$@"; }
saved() { redis-cli -e -s "$work/socket" "$@"; }
count() { "$1" INFO keyspace | sed -n 's/^\(db[0-9]*:keys=[0-9]*\),.*/\1/p'; }

work=$(mktemp -d)
trap 'kill "$server" 2> /dev/null || true; rm -rf "$work"' EXIT
ln -s "$PWD/$BACKUP" "$work/dump.rdb"
redis-server --port 0 --unixsocket "$work/socket" --dir "$work" --save '' --databases 1024 > "$work/log" &
server=$!
until saved PING > /dev/null 2>&1; do
  kill -0 "$server" 2> /dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 1
done

# Network policies may take a moment to admit a pod.
tries=0
until real PING > /dev/null 2>&1 || [ $((tries += 1)) -ge 10 ]; do sleep 1; done

real FLUSHALL > /dev/null
saved FUNCTION DUMP | head -c -1 | real -X functions FUNCTION RESTORE functions FLUSH > /dev/null

# The password goes to standard input, so that no command line shows it. MIGRATE keeps every type, every byte and the expiry.
printf %s "$password" | saved -x EVAL '
  local host, port, password = unpack(ARGV)
  for database in redis.call("INFO", "keyspace"):gmatch("db(%d+):") do
    redis.call("SELECT", database)
    local cursor, keys = "0"
    repeat
      cursor, keys = unpack(redis.call("SCAN", cursor, "COUNT", 100))
      if #keys > 0 then
        redis.call("MIGRATE", host, port, "", database, 60000, "COPY", "REPLACE", "AUTH", password, "KEYS", unpack(keys))
      end
    until cursor == "0"
  end
' 0 "$DATABASE_HOST" "$DATABASE_PORT" > /dev/null

# A key that expires during the restore can disappear from one server a moment before the other.
for _ in 1 2 3 4 5 6 7 8 9 10; do
  if [ "$(count saved)" = "$(count real)" ]; then
    [ -z "${FROM:-}" ] || rm -r from
    echo "Restored $DATABASE_HOST from $BACKUP."
    exit
  fi
  sleep 1
done
echo "The number of keys differs from the backup's: did the service write during the restore? Stop it and restore again." >&2
exit 1
