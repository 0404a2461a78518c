#!/bin/sh
# Fetches $BACKUP from the bucket, the newest unless named. Without a bucket, restore.sh takes one of the volume.
set -eu
umask 077

for file in "${BUCKET:-/run/secrets/backup}"/*; do
  [ -f "$file" ] || continue
  value=$(cat "$file")
  export "${file##*/}=$value"
done
cd "${BACKUPS:-/backups}"
rm -f .fetched
if [ -z "${RESTIC_REPOSITORY:-}" ] || [ -f "${BACKUP:-}" ]; then
  exit
fi

# Restic itself tries again while the bucket is unavailable.
timeout "${TIMEOUT:-300}" restic --quiet --no-cache cat config > /dev/null
name=$(restic --quiet --no-cache ls latest ${BACKUP:+"--tag=$BACKUP"} | sed -n 's|^/||p')
if [ -z "$name" ]; then
  echo "There is no backup $BACKUP in the bucket. There are:"
  restic --quiet --no-cache snapshots --compact
  exit 1
fi >&2
restic --quiet --no-cache restore latest --tag="$name" --target=. > /dev/null
echo "$name" > .fetched
echo "Fetched $name from the bucket."
