#!/usr/bin/env bash
# Rotates the database password in the database, its Secret and running pods. Open connections stay; new ones fail for
# the seconds until the pods have read the new password.
# `make` sets SERVICE, NAMESPACE, ENVIRONMENT, HOSTING (in-cluster or external), SECRETS (kubernetes or external-secrets) and
# RANDOM_PASSWORD, a new one. Run it again to continue a failed rotation.
set -euo pipefail
cd "$(dirname "$0")/.."
secret=$SERVICE-database

fail() { echo "$*" >&2; exit 1; }
kube() { kubectl --namespace="$NAMESPACE" "$@"; }

# Asks on a terminal, else reads a pipe. The answer is base64, as in Secrets.
ask() {
  if [[ -t 0 ]]; then IFS= read -rsp "$1, not shown: " answer; echo >&2; else answer=$(cat); fi
  [[ -n $answer ]] || fail 'The password is empty. Nothing has changed.'
  answer=$(printf %s "$answer" | base64 | tr -d '\n')
}

# Its version, its password, and the next password of an unfinished rotation.
read_secret() {
  local found
  found=$(kube get secret "$secret" \
    --output='jsonpath={.metadata.resourceVersion}|{.data.password}|{.data.next}')
  IFS='|' read -r version password next <<< "$found"
  [[ -n $password ]] || fail "Secret $secret has no password. Create it: make secret ENVIRONMENT=$ENVIRONMENT"
}

# Changes keys of the Secret, unless it has changed since it was read.
change_secret() {
  version=$(kube patch secret "$secret" --type=merge --output='jsonpath={.metadata.resourceVersion}' \
    --patch-file=/dev/stdin <<< "{\"metadata\":{\"resourceVersion\":\"$version\"},\"data\":{$1}}")
}

# Decodes as the service does: without trailing newlines.
decode() {
  local text
  text=$(base64 -d <<< "$1")
  [[ -n $text && $text != *$'\n'* ]] || fail 'The password is empty, or has several lines. Nothing has changed.'
  echo "$text"
}

# Both passwords, because the database may have either.
change_database() {
  local old new
  old=$(decode "$1")
  new=$(decode "$2")
  printf '%s\n' "$old" "$new" \
    | kube exec --stdin "statefulset/$SERVICE-database" -- sh -c "$(cat scripts/set-password.sh)"
}

refresh_time() { kube get externalsecret "$secret" --output='jsonpath={.status.refreshTime}'; }

# Waits until the operator has read the store again, and compares with the previous password.
refresh_secret() {
  local before after
  before=$(refresh_time)
  kube annotate externalsecret "$secret" --overwrite "force-sync=$(date +%s)" > /dev/null
  for _ in {1..60}; do
    after=$(refresh_time)
    [[ $after == "$before" ]] || break
    sleep 1
  done
  [[ $after != "$before" ]] || fail "The External Secrets Operator has not read the store: $(kube get externalsecret "$secret")"
  read_secret
  [[ $(decode "$password") != "$(decode "$1")" ]] \
    || fail "Secret $secret still has the previous password. Write the new one to the store first."
}

case $SECRETS-$HOSTING in
  kubernetes-in-cluster)
    read_secret
    if [[ -z $next ]]; then
      next=$(printf %s "$RANDOM_PASSWORD" | base64)
      change_secret "\"next\":\"$next\""
    fi
    change_database "$password" "$next"
    change_secret "\"password\":\"$next\",\"next\":null" ;;
  kubernetes-external)
    ask 'New password, already set in the database'
    read_secret
    change_secret "\"password\":\"$answer\"" ;;
  external-secrets-*)
    ask 'Previous password, before the change in the store'
    refresh_secret "$answer"
    [[ $HOSTING == external ]] || change_database "$answer" "$password" ;;
esac

# Without a change to the pod, the kubelet may take minutes to update its Secret.
kube annotate pods --selector="app.kubernetes.io/name in ($SERVICE, $SERVICE-database)" --overwrite \
  "password-rotated=$(date -u +%FT%TZ)" > /dev/null
echo "The database of $NAMESPACE has a new password. Pods use it for new connections."
