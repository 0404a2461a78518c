#!/bin/sh
# Fetches $BACKUP from the bucket, by default the newest, of this namespace or of the namespace $FROM.
# Without a bucket, restore.sh uses a backup on the volume.
set -eu
umask 077

for file in "${BUCKET:-/run/secrets/backup}"/*; do
  [ -f "$file" ] || continue
  value=$(cat "$file")
  export "${file##*/}=$value"
done
cd "${BACKUPS:-/backups}"
rm -rf .fetched from
if [ -z "${FROM:-}" ] && { [ -z "${RESTIC_REPOSITORY:-}" ] || [ -f "${BACKUP:-}" ]; }; then
  exit
fi
if [ -z "${RESTIC_REPOSITORY:-}" ]; then
  echo "There is no bucket with backups of $FROM: see kubernetes/README.md." >&2
  exit 1
fi

# Restic itself tries again while the bucket is unavailable.
timeout "${TIMEOUT:-300}" restic --quiet --no-cache cat config > /dev/null
host=${FROM:-$NAMESPACE}
name=$(restic --quiet --no-cache ls latest --host="$host" ${BACKUP:+"--tag=$BACKUP"} | sed -n 's|^/||p')
if [ -z "$name" ]; then
  echo "The bucket has no backup ${BACKUP:+$BACKUP }of $host. It contains:"
  restic --quiet --no-cache snapshots --compact
  exit 1
fi >&2
# Backups of another namespace do not lie among those of this one.
restic --quiet --no-cache restore latest --host="$host" --tag="$name" --target="${FROM:+from/}." > /dev/null
echo "$name" > .fetched
echo "Fetched $name from the bucket."
