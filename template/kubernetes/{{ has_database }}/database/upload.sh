#!/bin/sh
# Copies the newest backup to the bucket, encrypted, and deletes backups there that are older than $KEEP_DAYS days.
set -eu

# The variables of restic: https://restic.readthedocs.io/en/stable/040_backup.html#environment-variables
for file in "${BUCKET:-/run/secrets/backup}"/*; do
  [ -f "$file" ] || continue
  value=$(cat "$file")
  export "${file##*/}=$value"
done
if [ -z "${RESTIC_REPOSITORY:-}" ]; then
  echo 'There is no bucket: the backup is on the volume only.'
  exit
fi

cd "${BACKUPS:-/backups}"
for file in [0-9]*T[0-9]*Z.*; do
  case $file in *.partial) ;; *) backup=$file ;; esac
done

# Restic itself tries again while the bucket is unavailable; exit status 10 means that there is no repository yet.
status=0
error=$(timeout "${TIMEOUT:-300}" restic --quiet --no-cache cat config 2>&1 > /dev/null) || status=$?
case $status in
  0) ;;
  10) restic --quiet --no-cache init ;;
  *)
    echo "$error" >&2
    echo "The bucket is unavailable, or its key differs: $backup is on the volume only." >&2
    exit 1
    ;;
esac

restic --quiet --no-cache unlock # Locks of backups that were killed.
restic --quiet --no-cache backup --retry-lock=10m --host="$NAMESPACE" --tag="$backup" "$backup"
restic --quiet --no-cache dump --host="$NAMESPACE" --tag="$backup" latest "/$backup" | cmp - "$backup"
restic --quiet --no-cache forget --retry-lock=10m --host="$NAMESPACE" --group-by= --keep-within="${KEEP_DAYS:-30}d" --prune > /dev/null
echo "Copied $backup to the bucket."
