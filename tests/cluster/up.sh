#!/usr/bin/env bash
# A real cluster for development and tests: kind, one node. Can be run again; a cluster that is up stays as it is.
set -euo pipefail
source "$(dirname "$0")/env.sh"
here=$(cd "$(dirname "$0")" && pwd)

bash "$here/prerequisites.sh"
bash "$here/engine.sh"
bash "$here/tools.sh"
if kind get clusters 2>/dev/null | grep -qx "$CLUSTER" && kubectl get nodes >/dev/null 2>&1; then
    say "the cluster $CLUSTER is up"
else
    image=$(bash "$here/node-image.sh")
    kind delete cluster -q --name "$CLUSTER" 2>/dev/null || true
    mkdir -p "$STATE"
    rm -f "$STATE/images.env"
    say "creating the cluster $CLUSTER from $image (about 30 s)"
    step "$CACHE/log/kind-create.log" kind create cluster --name "$CLUSTER" --image "$image" --kubeconfig "$KUBECONFIG" --wait 180s
    for target in kube-system/coredns local-path-storage/local-path-provisioner; do
        step "$CACHE/log/rollout.log" kubectl -n "${target%/*}" rollout status "deployment/${target#*/}" --timeout=180s
    done
fi
