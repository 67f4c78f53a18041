#!/usr/bin/env bash
# A real cluster for development and tests: kind, one node. Can be run again; a cluster that is up stays as it is.
set -euo pipefail
source "$(dirname "$0")/env.sh"
here=$(cd "$(dirname "$0")" && pwd)

stage 2 "packages and a Docker engine"
# Checkouts share the cache, the engine and the names of what a node image is made from: one at a time.
mkdir -p "$CACHE"
exec 9>"$CACHE/up.lock"
flock -n 9 || { say "waiting for the up.sh of another checkout"; flock -w 3600 9 || die "another up.sh held $CACHE/up.lock for an hour; see who with: fuser $CACHE/up.lock"; }

# A cluster whose nodes run but whose kubeconfig was lost gets it back; it is not made anew.
is_up() {
    kind get clusters 2>/dev/null | grep -qx "$CLUSTER" || return 1
    [ -e "$KUBECONFIG" ] || { mkdir -p "$STATE" && kind export kubeconfig -q --name "$CLUSTER" --kubeconfig "$KUBECONFIG" || return 1; }
    kubectl get nodes --request-timeout=10s >/dev/null 2>&1
}

bash "$here/prerequisites.sh"
bash "$here/engine.sh" 9>&- # the engine outlives this script and must not keep the lock
stage 3 "kind, kubectl and helm"
bash "$here/tools.sh"
stage 4 "the image of the cluster's node"
if ! is_up; then
    image=$(bash "$here/node-image.sh")
    kind delete cluster -q --name "$CLUSTER" 2>/dev/null || true
    mkdir -p "$STATE"
    rm -f "$STATE/images.env" "$KUBECONFIG"
    stage 5 "the cluster"
    say "creating the cluster $CLUSTER from $image (half a minute)"
    step "$CACHE/log/kind-create.log" kind create cluster --name "$CLUSTER" --image "$image" --kubeconfig "$KUBECONFIG" --wait 180s
else
    stage 5 "the cluster $CLUSTER, which is up"
fi
# also where it was up: an earlier run may have ended before these were ready
for target in kube-system/coredns local-path-storage/local-path-provisioner; do
    step "$CACHE/log/rollout.log" kubectl -n "${target%/*}" rollout status "deployment/${target#*/}" --timeout=180s
done
# likewise: a node that was restarted has lost its routes
subnet() { kubectl -n kube-system get configmap kubeadm-config -o jsonpath='{.data.ClusterConfiguration}' | sed -n "s/^ *$1: //p"; }
nodes=$(kind get nodes --name "$CLUSTER")
for node in $nodes; do
    step "$CACHE/log/routes.log" docker exec -i "$node" sh -s -- "$(subnet podSubnet)" "$(subnet serviceSubnet)" <"$here/nobodys-addresses.sh"
done
[ -n "${SECUREMODEL_STEPS:-}" ] || bash "$here/exports.sh" # make up says it at its end
