#!/usr/bin/env bash
# Deploys a commit as a release of Helm, or returns to an earlier one: deploy, diff, history, rollback, recover or
# upgrade-database.
# `make` sets SERVICE, NAMESPACE, ENVIRONMENT, TAG, TIMEOUT and REVISION; pipelines set DIGEST, the digest of TAG.
set -euo pipefail
cd "$(dirname "$0")/.."
# ConfigMaps hold the releases: the deployer has no permission to read Secrets.
export HELM_DRIVER=configmap HELM_NAMESPACE=$NAMESPACE
label=app.kubernetes.io/instance=$SERVICE-$ENVIRONMENT
database=--selector=app.kubernetes.io/name=$SERVICE-database
kinds='configmaps|cronjobs|deployments|externalsecrets|horizontalpodautoscalers|httproutes|ingresses|networkpolicies'
kinds+='|poddisruptionbudgets|prometheusrules|serviceaccounts|servicemonitors|services|statefulsets'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "$*" >&2; exit 1; }
kube() { kubectl --namespace="$NAMESPACE" "$@"; }
as_helm() { kube "$@" --server-side --field-manager=helm --force-conflicts; }

# Revision, status and commit of each release, the newest first.
releases() {
  local found
  found=$(helm list --short --filter="^$SERVICE\$")
  [[ -z $found ]] || helm history "$SERVICE" --output=yaml | tr -d \" | awk '
    /^[- ] app_version:/ { commit = $NF } /^[- ] revision:/ { revision = $NF }
    /^[- ] status:/ { print revision, $NF, commit }' | sort -rn
}

read_releases() {
  releases > "$work/releases"
  newest=$(head -1 "$work/releases")
  deployed=$(awk '$2 == "deployed" { print $1; exit }' "$work/releases")
  [[ $newest != *pending* ]] || fail "Another deploy to $NAMESPACE is running, or was killed." \
    "If it was killed: make recover ENVIRONMENT=$ENVIRONMENT"
}

build() {
  cp -R kubernetes/chart "$work"
  echo "appVersion: \"$TAG\"" >> "$work/chart/Chart.yaml"
  image=$TAG
  # Nobody can move a digest, and no image of a local cluster has one.
  [[ $ENVIRONMENT == local ]] || image=$TAG@${DIGEST:-$(make digest)}
  kube kustomize "kubernetes/overlays/$ENVIRONMENT" \
    | sed "s|: set-by-make-deploy\$|: \"$TAG\"|; s|set-by-make-deploy|$image|" > "$work/chart/manifests.yaml"
  kube get statefulsets,persistentvolumeclaims --output=yaml > "$work/chart/live.yaml"
  for part in all relied-on; do
    helm template "$SERVICE" "$work/chart" --no-hooks --set="part=$part" > "$work/$part"
  done
}

# Runs kubectl's get, label or annotate on all that has the label of the environment.
on_live() {
  local served
  served=$(kubectl api-resources --namespaced --output=name | grep -E "^($kinds)(\.|$)" | paste -sd, -)
  kube "$1" "$served" --selector="$label" "${@:2}"
}

# What the environment has and a file of manifests has not.
beyond() {
  kube create --dry-run=client --filename="$1" --output=name | sort > "$work/wanted"
  on_live get --output=name | sort | comm -23 - "$work/wanted" > "$work/beyond"
}

compare() {
  build
  code=0
  as_helm diff --filename="$work/all" || code=$?
  [[ $code -le 1 ]] || fail "The API server refuses a part of $TAG: $NAMESPACE is unchanged." \
    "If a quota, limit or role has to change first: make namespace ENVIRONMENT=$ENVIRONMENT"
  beyond "$work/all"
  sed '/^statefulset/d; s/^/delete /' "$work/beyond"
}

# Removes what the newest release has not, but for a database.
prune() {
  helm get manifest "$SERVICE" > "$work/released"
  # Until it was removed, an autoscaler may have undone the release's number of pods.
  [[ -z $autoscaler ]] || grep -q '^kind: HorizontalPodAutoscaler' "$work/released" \
    || as_helm apply --filename="$work/released" > /dev/null
  beyond "$work/released"
  sed /^statefulset/d "$work/beyond" | xargs -r kubectl --namespace="$NAMESPACE" delete
  if grep ^statefulset "$work/beyond"; then
    echo "It is kept with its data. An administrator deletes both with kubectl --namespace=$NAMESPACE delete" \
      "statefulset/$SERVICE-database pvc/data-$SERVICE-database-0 pvc/$SERVICE-backup"
  fi
}

# Gives Helm what an older Makefile applied with kubectl: the objects as they are, and the fields that kubectl manages.
adopt() {
  local found
  found=$(on_live get --output=name)
  if [[ -n $found ]]; then
    on_live get --output=yaml --show-managed-fields | sed -E 's/^( +manager: )kubectl(-.*)?$/\1helm/' \
      | kube replace --field-manager=helm --filename=- > /dev/null
    on_live label --field-manager=helm --overwrite app.kubernetes.io/managed-by=Helm > /dev/null
    on_live annotate --field-manager=helm --overwrite \
      meta.helm.sh/release-name="$SERVICE" meta.helm.sh/release-namespace="$NAMESPACE" > /dev/null
  fi
}

# The number of pods stays when a release leaves it to the autoscaler.
keep_replicas() {
  autoscaler=$(kube get horizontalpodautoscaler "$SERVICE" --ignore-not-found --output=name)
  replicas=$(kube get deployment "$SERVICE" --ignore-not-found --output='jsonpath={.spec.replicas}')
  [[ -z $replicas ]] || kube apply --server-side --field-manager=replicas --force-conflicts --filename=- > /dev/null \
    <<< "{apiVersion: apps/v1, kind: Deployment, metadata: {name: $SERVICE}, spec: {replicas: $replicas}}"
}

# The database with its major version, which reads no data of another one.
major_of() { sed -nE 's#^.*image: .*/(mysql|postgres|redis):([0-9]+).*#\1 \2#p' "$@" | sort -u; }
live_major() { kube get statefulset "$SERVICE-database" --ignore-not-found --output=yaml | major_of; }

require_major() {
  wanted=$(major_of "$1") live=$(live_major)
  # Another database starts without the data.
  [[ -z $wanted || $wanted == "$live" || ${wanted% *} != "${live% *}" ]] \
    || fail "The database of $NAMESPACE is $live, and $wanted cannot read its data. $2"
}

return_to() {
  helm get manifest "$SERVICE" --revision="$1" > "$work/target"
  require_major "$work/target" "Deploy a fixed commit instead: $NAMESPACE is left as it is."
  keep_replicas
  helm rollback "$SERVICE" "$1" --server-side=true --force-conflicts --wait --timeout="$TIMEOUT"
  prune
}

# What running pods rely on comes first, so that the migration has it too, and the database is ready for both.
release_database() {
  as_helm apply --filename="$work/relied-on" > /dev/null || return
  if ! kube rollout status statefulset "$database" --timeout="$DATABASE_TIMEOUT"; then
    broken=$(kube get statefulset "$database" --output='jsonpath={.items[*].status.updateRevision}')
    return 1
  fi
}

release() {
  release_database || return
  helm upgrade --install "$SERVICE" "$work/chart" --server-side=true --force-conflicts --wait --timeout="$TIMEOUT"
}

[[ $(helm version --short 2> /dev/null) == v4.* ]] || fail 'Helm 4 is not installed: https://helm.sh/docs/intro/install/'
if [[ $1 == history ]]; then helm history "$SERVICE"; exit; fi
if [[ $1 == recover ]]; then
  kube delete configmaps \
    --selector="owner=helm,name=$SERVICE,status in (pending-install,pending-upgrade,pending-rollback)"
fi
read_releases
case $1 in
  diff) compare ;;
  recover)
    [[ -z $deployed ]] || return_to "$deployed" ;;
  upgrade-database)
    build
    live=$(live_major) wanted=$(major_of "$work/chart/manifests.yaml")
    [[ -z $live || ${live% *} == "${wanted% *}" ]] \
      || fail "The database of $NAMESPACE is $live: its data cannot move to $wanted."
    [[ $live != "$wanted" ]] || fail "The database of $NAMESPACE is $live already." \
      "If its restore failed: make restore ENVIRONMENT=$ENVIRONMENT CONFIRM=$NAMESPACE"
    replicas=$(kube get deployment "$SERVICE" --output='jsonpath={.spec.replicas}')
    kube scale deployment "$SERVICE" --replicas=0
    kube wait --for=delete pod --selector="app.kubernetes.io/name=$SERVICE" --timeout=2m
    # Without a database, an upgrade was killed after its backup.
    parts=("statefulset/$SERVICE-database" "persistentvolumeclaim/data-$SERVICE-database-0")
    if [[ -n $live ]]; then
      make backup
      volume=$(kube get "${parts[1]}" --output='jsonpath={.spec.volumeName}')
      kubectl patch persistentvolume "$volume" --patch='{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'
      kube delete "${parts[@]}"
      echo "The PersistentVolume $volume keeps the data of $live until an administrator deletes it."
    fi
    build
    if ! release_database; then
      kube delete "${parts[@]}"
      fail "$wanted did not start and is removed: fix it and run make upgrade-database again."
    fi
    make restore
    kube scale deployment "$SERVICE" --replicas="$((replicas > 0 ? replicas : 1))"
    "$0" deploy ;;
  rollback)
    target=${REVISION:-$(awk '!now && $2 == "deployed" { now = $3 }
      now && $2 == "superseded" && $3 != now { print $1; exit }' "$work/releases")}
    [[ -n $target ]] || fail "There is no earlier release in $NAMESPACE."
    return_to "$target" ;;
  deploy)
    [[ -n $newest ]] || adopt
    compare
    if [[ $code -eq 0 && $newest == *" deployed $TAG" ]] && ! grep -qv ^statefulset "$work/beyond"; then
      echo "$NAMESPACE is at $TAG already."
      exit
    fi
    require_major "$work/chart/manifests.yaml" \
      "Upgrade it first: make upgrade-database ENVIRONMENT=$ENVIRONMENT CONFIRM=$NAMESPACE"
    keep_replicas
    if release; then
      prune
      [[ $replicas != 0 ]] || echo "$SERVICE is stopped. Start it: kubectl --namespace=$NAMESPACE scale deployment" \
        "$SERVICE --replicas=2"
      exit
    fi
    kube get pods >&2
    kube get events --field-selector=type=Warning >&2
    read_releases
    [[ -n $deployed ]] || fail "The first release of $SERVICE failed. $NAMESPACE is left as it is: deploy again."
    if [[ -n ${broken:-} ]]; then
      # A StatefulSet does not replace a pod that never got ready.
      as_helm apply --filename=<(helm get manifest "$SERVICE" --revision="$deployed") > /dev/null
      kube delete pods --selector="controller-revision-hash=$broken"
    fi
    return_to "$deployed"
    fail "The deploy of $TAG failed and was rolled back." ;;
esac
