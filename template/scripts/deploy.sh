#!/usr/bin/env bash
# Deploys a commit as a Helm release, or rolls back: deploy, diff, history, rollback, recover or upgrade-database.
# `make` sets MAKE, SERVICE, NAMESPACE, ENVIRONMENT, TAG and its time CREATED, TEMPLATE_VERSION, the timeouts and REVISION;
# pipelines set CI, and DIGEST, the digest of TAG.
set -euo pipefail
cd "$(dirname "$0")/.."
# ConfigMaps hold the releases: the deployer has no permission to read Secrets.
export HELM_DRIVER=configmap HELM_NAMESPACE=$NAMESPACE
label=app.kubernetes.io/instance=$SERVICE-$ENVIRONMENT
database=--selector=app.kubernetes.io/name=$SERVICE-database
# With their API groups: another one can have a kind of the same name, which the deployer has no permission to list.
kinds='configmaps|services|serviceaccounts|(deployments|statefulsets).apps|cronjobs.batch|poddisruptionbudgets.policy'
kinds+='|(ingresses|networkpolicies).networking.k8s.io|httproutes.gateway.networking.k8s.io|horizontalpodautoscalers.autoscaling'
kinds+='|externalsecrets.external-secrets.io|(prometheusrules|servicemonitors).monitoring.coreos.com'
work=$(mktemp -d)
trap 'rm -rf "$work"; [[ -z ${notice:-} ]] || echo "$notice" >&2' EXIT

fail() { echo "$*" >&2; exit 1; }
kube() { kubectl --namespace="$NAMESPACE" "$@"; }
as_helm() { kube "$@" --server-side --field-manager=helm --force-conflicts; }

# Revision, status and commit of each release, the newest first.
releases() {
  local found
  found=$(helm list --short --filter="^$SERVICE\$")
  [[ -z $found ]] || helm history "$SERVICE" --output=yaml | tr -d \" | awk '
    /^[- ] app_version:/ { commit = $NF } /^[- ] revision:/ { revision = $NF }
    /^[- ] description:/ { failed = / failed: / }
    /^[- ] status:/ { print revision, failed ? "failed" : $NF, commit }' | sort -rn
}

read_releases() {
  releases > "$work/releases"
  newest=$(head -1 "$work/releases")
  deployed=$(awk '$2 == "deployed" { print $1; exit }' "$work/releases")
  # A rollback that failed leaves none deployed.
  [[ -n $deployed ]] || deployed=$(awk '$2 == "superseded" { print $1; exit }' "$work/releases")
  [[ $newest != *pending* ]] || fail "Another deploy to $NAMESPACE is running, or was killed." \
    "If it was killed: make recover ENVIRONMENT=$ENVIRONMENT"
}

build() {
  cp -R kubernetes/chart "$work"
  printf 'appVersion: "%s"\nannotations: {created: "%s"}\n' "$TAG" "$CREATED" >> "$work/chart/Chart.yaml"
  image=$TAG
  # A digest is immutable. Images of a local cluster have none.
  [[ $ENVIRONMENT == local ]] || image=$TAG@${DIGEST:-$("$MAKE" digest)}
  kube kustomize "kubernetes/overlays/$ENVIRONMENT" \
    | sed "s|\(k8s-starter/version\): set-by-make-deploy\$|\1: \"$TEMPLATE_VERSION\"|
      s|: set-by-make-deploy\$|: \"$TAG\"|; s|set-by-make-deploy|$image|" > "$work/chart/manifests.yaml"
  kube get statefulsets,persistentvolumeclaims --output=yaml > "$work/chart/live.yaml"
  for part in all relied-on; do
    helm template "$SERVICE" "$work/chart" --no-hooks --set="part=$part" > "$work/$part"
  done
}

# Runs kubectl get, label or annotate on every object with the environment's label.
on_live() {
  local listed served
  # Its exit status is 1 if any API group of the cluster is unavailable, such as the metrics'.
  listed=$(kubectl api-resources --namespaced --output=name 2> "$work/errors" || true)
  served=$(grep -xE "$kinds" <<< "$listed" | paste -sd, - || true)
  [[ $served == *deployments.apps* ]] || fail "The API server does not list its resources: $(cat "$work/errors")"
  kube "$1" "$served" --selector="$label" "${@:2}"
}

# Objects of the environment that a file of manifests lacks. Those with an owner, which can copy its labels to them, are the
# owner's.
beyond() {
  local object owner
  kube create --dry-run=client --filename="$1" --output=name | sort > "$work/wanted"
  on_live get --output=name | sort | comm -23 - "$work/wanted" > "$work/extra"
  while read -r object; do
    owner=$(kube get "$object" --ignore-not-found --output='jsonpath={.metadata.ownerReferences}' < /dev/null)
    [[ -n $owner ]] || echo "$object"
  done < "$work/extra" > "$work/beyond"
}

# The deployer has no permission to change the namespace's quota, limits, roles and policies.
compare_namespace() {
  kube get configmap "$SERVICE-namespace" --ignore-not-found --output='jsonpath={.data.manifests}' > "$work/applied"
  kubectl kustomize "kubernetes/overlays/$ENVIRONMENT/namespace" > "$work/namespace"
  if ! cmp -s "$work/applied" "$work/namespace"; then
    [[ ! -s $work/applied ]] || diff --unified=1 --label=applied "$work/applied" --label="$TAG" "$work/namespace" || true
    echo "The manifests of the namespace $NAMESPACE differ from the applied ones. An administrator applies them:" \
      "make namespace ENVIRONMENT=$ENVIRONMENT"
  fi
}

compare() {
  compare_namespace >&2
  code=0
  as_helm diff --filename="$work/all" || code=$?
  [[ $code -le 1 ]] || fail "The API server rejected the manifests of $TAG: $NAMESPACE is unchanged." \
    "If they require a larger quota or another role: make namespace ENVIRONMENT=$ENVIRONMENT"
  beyond "$work/all"
  sed '/^statefulset/d; s/^/delete /' "$work/beyond"
}

# Deletes objects that the newest release lacks, except a database.
prune() {
  helm get manifest "$SERVICE" > "$work/released"
  # Until it was removed, an autoscaler may have undone the release's number of pods.
  [[ -z $autoscaler ]] || grep -q '^kind: HorizontalPodAutoscaler' "$work/released" \
    || as_helm apply --filename="$work/released" > /dev/null
  beyond "$work/released"
  sed /^statefulset/d "$work/beyond" | xargs -r kubectl --namespace="$NAMESPACE" delete
  if grep ^statefulset "$work/beyond"; then
    echo "It is kept with its data. To delete both, an administrator runs: kubectl --namespace=$NAMESPACE delete" \
      "statefulset/$SERVICE-database pvc/data-$SERVICE-database-0 pvc/$SERVICE-backup"
  fi
}

# Objects with fields that kubectl wrote, such as an older Makefile or `kubectl edit`, and these as Helm's fields.
read_edited() {
  on_live get --output=yaml --show-managed-fields > "$work/chart/labelled.yaml"
  helm template "$SERVICE" "$work/chart" --no-hooks --set=part=edited > "$work/edited"
}

# Transfers these fields to Helm, which removes those that the commit lacks, and objects without a release.
adopt() {
  if [[ -z $newest && -n $(on_live get --output=name) ]]; then
    on_live label --field-manager=helm --overwrite app.kubernetes.io/managed-by=Helm > /dev/null
    on_live annotate --field-manager=helm --overwrite \
      meta.helm.sh/release-name="$SERVICE" meta.helm.sh/release-namespace="$NAMESPACE" > /dev/null
  fi
  for _ in 1 2 3; do
    read_edited
    grep -q ^kind "$work/edited" || return 0
    # A controller can change an object meanwhile.
    ! kube replace --field-manager=helm --filename="$work/edited" > /dev/null || return 0
  done
  fail "The objects of $NAMESPACE cannot be transferred to Helm, and are unchanged."
}

# Keeps the number of pods when a release leaves it to the autoscaler.
keep_replicas() {
  autoscaler=$(kube get horizontalpodautoscaler "$SERVICE" --ignore-not-found --output=name)
  replicas=$(kube get deployment "$SERVICE" --ignore-not-found --output='jsonpath={.spec.replicas}')
  [[ -z $replicas ]] || kube apply --server-side --field-manager=replicas --force-conflicts --filename=- > /dev/null \
    <<< "{apiVersion: apps/v1, kind: Deployment, metadata: {name: $SERVICE}, spec: {replicas: $replicas}}"
}

# The database and its major version: PostgreSQL cannot read the data of another one, MySQL and Redis cannot go back.
major_of() { sed -nE 's#^.*image: .*/(mysql|postgres|redis):([0-9]+).*#\1 \2#p' "$@" | sort -u; }
live_major() { kube get statefulset "$SERVICE-database" --ignore-not-found --output=yaml | major_of; }

require_major() {
  wanted=$(major_of "$1") live=$(live_major)
  [[ $wanted != *$'\n'* ]] || fail "The manifests contain several major versions of the database:" \
    "${wanted//$'\n'/, }."
  # Another database starts without the data.
  [[ -z $wanted || $wanted == "$live" || ${wanted% *} != "${live% *}" ]] \
    || fail "The database of $NAMESPACE is $live: $wanted cannot replace it here. $2"
}

# MySQL and Redis cannot read the data of a later minor version either.
minor_of() { sed -nE 's#^.*image: .*/(mysql|redis):([0-9]+\.[0-9]+).*#\1 \2#p' "$@" | sort -u; }

require_minor() {
  wanted=$(minor_of "$1") live=$(kube get statefulset "$SERVICE-database" --ignore-not-found --output=yaml | minor_of)
  [[ -z $wanted || -z $live || ${wanted% *} != "${live% *}" || $(printf '%s\n' "$wanted" "$live" | sort -V | tail -1) == "$wanted" ]] || {
    notice=
    fail "The database of $NAMESPACE is $live, which cannot go back to $wanted. There is no rollback: deploy a fixed commit" \
      "instead."
  }
}

return_to() {
  helm get manifest "$SERVICE" --revision="$1" > "$work/target"
  require_major "$work/target" 'There is no rollback: deploy a fixed commit instead.'
  require_minor "$work/target"
  notice="The rollback of $NAMESPACE to release $1 failed. Run: make recover ENVIRONMENT=$ENVIRONMENT"
  keep_replicas
  helm rollback "$SERVICE" "$1" --server-side=true --force-conflicts --wait --timeout="$TIMEOUT"
  prune
  notice=
}

# Applies manifests with a database. A StatefulSet does not replace a pod that is not ready:
# https://github.com/kubernetes/kubernetes/issues/67250
apply_database() {
  local generation state
  as_helm apply --filename="$1" > /dev/null || return
  has_database "$1" || return 0
  generation=$(kube get statefulset "$SERVICE-database" --output='jsonpath={.metadata.generation}') || return
  kube wait statefulset "$SERVICE-database" --timeout=5m \
    --for="jsonpath={.status.observedGeneration}=$generation" > /dev/null || return
  state=$(kube get statefulset "$SERVICE-database" --output='jsonpath={.status.readyReplicas} {.status.updateRevision}') || return
  [[ $state == 1\ * ]] || kube delete pods "$database,controller-revision-hash!=${state#* }" --ignore-not-found
}

has_database() { grep -q '^kind: StatefulSet' "$1"; }

# The dependencies of running pods come first: the migration needs them too, and both need a ready database.
release_database() {
  apply_database "$work/relied-on" || return
  ! has_database "$work/relied-on" || kube rollout status statefulset "$database" --timeout="$DATABASE_TIMEOUT"
}

# The deadline of a migration is hours. A pod that does not start, such as one without its image, ends the Job earlier.
end_unstarted_migration() {
  local started second
  for ((second = 0; second < START_TIMEOUT; second++)); do sleep 1; done
  started=$(kube get pods --selector="app.kubernetes.io/name=$SERVICE-migrate" \
    --output='jsonpath={.items[*].status.containerStatuses[*].state.*.startedAt}')
  [[ -n $started ]] || kube patch job "$SERVICE-migrate" --patch='{"spec":{"activeDeadlineSeconds":1}}'
}

release() {
  local watch='' status=0
  release_database || { is_database_broken=yes; return 1; }
  if grep -q helm.sh/hook: "$work/chart/manifests.yaml"; then
    end_unstarted_migration >&2 &
    watch=$!
  fi
  helm upgrade --install "$SERVICE" "$work/chart" --server-side=true --force-conflicts --wait --timeout="$TIMEOUT" || status=$?
  [[ -z $watch ]] || kill "$watch" 2> /dev/null || true
  return "$status"
}

[[ $(helm version --short 2> /dev/null) == v4.* ]] || fail 'Helm 4 is not installed: https://helm.sh/docs/intro/install/'
if [[ $1 == history ]]; then helm history "$SERVICE"; exit; fi
if [[ $1 == recover ]]; then
  kube delete configmaps \
    --selector="owner=helm,name=$SERVICE,status in (pending-install,pending-upgrade,pending-rollback)"
fi
read_releases
case $1 in
  diff)
    build
    read_edited
    ! grep -q ^kind "$work/edited" || echo "kubectl has changed these objects, and a deploy restores them:" \
      "$(kube create --dry-run=client --filename="$work/edited" --output=name | paste -sd ' ' -)" >&2
    compare ;;
  recover)
    [[ -z $deployed ]] || return_to "$deployed" ;;
  upgrade-database)
    build
    live=$(live_major) wanted=$(major_of "$work/chart/manifests.yaml")
    [[ -z $live || ${live% *} == "${wanted% *}" ]] \
      || fail "The database of $NAMESPACE is $live: its data cannot be moved to $wanted."
    [[ $live != "$wanted" ]] || fail "The database of $NAMESPACE is already $live." \
      "If its restore failed: make restore ENVIRONMENT=$ENVIRONMENT CONFIRM=$NAMESPACE"
    # The next backup is of the restored data. A restore or a deploy resumes it.
    kube patch cronjob "$SERVICE-backup" --patch='{"spec":{"suspend":true}}'
    replicas=$(kube get deployment "$SERVICE" --output='jsonpath={.spec.replicas}')
    target="ENVIRONMENT=$ENVIRONMENT CONFIRM=$NAMESPACE"
    start="kubectl --namespace=$NAMESPACE scale deployment/$SERVICE --replicas=$((replicas > 0 ? replicas : 1))"
    again="The upgrade failed and $NAMESPACE is stopped. Run it again: make upgrade-database $target"
    notice="$again${live:+, or start the service with: $start}"
    kube scale deployment "$SERVICE" --replicas=0
    # Pods that have ended, such as evicted ones, stay.
    kube wait --for=delete pod --selector="app.kubernetes.io/name=$SERVICE" \
      --field-selector=status.phase!=Failed,status.phase!=Succeeded --timeout=2m
    # Without a database, an upgrade was killed after its backup.
    parts=("statefulset/$SERVICE-database" "persistentvolumeclaim/data-$SERVICE-database-0")
    if [[ -n $live ]]; then
      "$MAKE" backup
      volume=$(kube get "${parts[1]}" --output='jsonpath={.spec.volumeName}')
      kubectl patch persistentvolume "$volume" --patch='{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'
      notice=$again
      kube delete "${parts[@]}"
      echo "The PersistentVolume $volume keeps the data of $live until an administrator deletes it."
    fi
    build
    if ! release_database; then
      kube delete "${parts[@]}"
      fail "$wanted did not start and was removed. Fix the cause before you run the upgrade again."
    fi
    notice="The restore failed and $NAMESPACE is stopped. Run: make restore $target && make deploy ENVIRONMENT=$ENVIRONMENT"
    "$MAKE" restore
    notice="The data of $NAMESPACE is restored, but the deploy failed. Run: make deploy ENVIRONMENT=$ENVIRONMENT"
    $start
    "$0" deploy
    notice= ;;
  rollback)
    target=${REVISION:-$(awk '!now && $2 == "deployed" { now = $3 }
      now && $2 == "superseded" && $3 != now { print $1; exit }' "$work/releases")}
    [[ -n $target ]] || fail "There is no earlier release in $NAMESPACE."
    helm get manifest "$SERVICE" --revision="$target" > "$work/target"
    as_helm diff --filename="$work/target" > /dev/null || [[ $? -eq 1 ]] \
      || fail "The API server rejected the manifests of release $target: $NAMESPACE is unchanged."
    return_to "$target" ;;
  deploy)
    # A restore suspends the backups, and stops the service until the data is complete.
    suspended=$(kube get cronjob "$SERVICE-backup" --ignore-not-found --output='jsonpath={.spec.suspend}')
    replicas=$(kube get deployment "$SERVICE" --ignore-not-found --output='jsonpath={.spec.replicas}')
    [[ $suspended-$replicas != true-0 ]] || fail "A restore of $NAMESPACE is running or has failed: $NAMESPACE is unchanged." \
      "Restore again, or start the service with: kubectl --namespace=$NAMESPACE scale deployment/$SERVICE --replicas=2"
    # A pipeline that runs again does not replace a newer commit.
    created=$([[ -z $deployed ]] || helm get metadata "$SERVICE" --revision="$deployed" --output=yaml \
      | sed -n 's/^  created: //p' | tr -d \")
    [[ -z ${CI:-} || -z $CREATED || ! $created > $CREATED ]] || fail "$NAMESPACE runs a newer commit than $TAG, and is" \
      "unchanged. To go back: make rollback ENVIRONMENT=$ENVIRONMENT"
    build
    adopt
    compare
    if [[ $code -eq 0 && $newest == *" deployed $TAG" ]] && ! grep -qv ^statefulset "$work/beyond"; then
      echo "$NAMESPACE already runs $TAG."
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
    notice="The deploy of $TAG failed, and $NAMESPACE is not restored. Run: make recover ENVIRONMENT=$ENVIRONMENT"
    kube get pods >&2 || true
    kube get events --field-selector=type=Warning >&2 || true
    read_releases
    if [[ -z $deployed ]]; then
      notice=
      fail "The first release of $SERVICE failed, and there is none to roll back to: deploy again."
    fi
    if [[ -n ${is_database_broken:-} ]]; then
      helm get manifest "$SERVICE" --revision="$deployed" > "$work/previous"
      apply_database "$work/previous"
    fi
    return_to "$deployed"
    fail "The deploy of $TAG failed and was rolled back." ;;
esac
