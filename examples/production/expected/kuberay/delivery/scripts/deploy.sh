#!/usr/bin/env bash
# Apply a rendered folder, wait for it, ask it something; if any of that fails, apply what ran before.
# usage: deploy.sh FOLDER NAMESPACE URL
#   FOLDER     rendered and committed, for example rendered/staging
#   URL        where callers reach the gateway; SMOKE_KEY holds a key for it, SMOKE_MODEL a model's public name
# The commit that runs stands in an annotation of the namespace, so that any runner knows what to go back to.
set -euo pipefail

folder=$1 namespace=$2 url=$3
here=$(cd "$(dirname "$0")" && pwd)
timeout=${ROLLOUT_TIMEOUT:-30m}
annotation=fairlead.dev/commit

apply() { # FOLDER
  kubectl apply --server-side --force-conflicts --field-manager=fairlead -k "$1/manifests"
}

settled() {
  local kind
  kubectl -n "$namespace" rollout status deployment --timeout="$timeout" || return 1
  # engines under an operator: their kinds are there only on the target that uses them
  for kind in rayservices.ray.io inferenceservices.serving.kserve.io llminferenceservices.serving.kserve.io; do
    kubectl -n "$namespace" get "$kind" -o name >/dev/null 2>&1 || continue
    [ -z "$(kubectl -n "$namespace" get "$kind" -o name)" ] && continue
    kubectl -n "$namespace" wait "$kind" --all --for=condition=Ready --timeout="$timeout" || return 1
  done
}

rolled_back() { # COMMIT
  local before
  before=$(mktemp -d)
  echo "going back to $1" >&2
  git worktree add --detach "$before" "$1"
  apply "$before/$folder" && settled && bash "$here/smoke.sh" "$url"
  git worktree remove --force "$before"
}

previous=$(kubectl get namespace "$namespace" -o jsonpath="{.metadata.annotations.fairlead\.dev/commit}" 2>/dev/null || true)
commit=$(git rev-parse HEAD)

if apply "$folder" && settled && bash "$here/smoke.sh" "$url"; then
  kubectl annotate namespace "$namespace" "$annotation=$commit" --overwrite
  echo "$commit runs in $namespace"
  exit 0
fi
if [ -z "$previous" ]; then
  echo "$commit does not work, and nothing ran here before" >&2
  exit 1
fi
rolled_back "$previous" || echo "going back to $previous failed as well: see docs/runbooks" >&2
exit 1
