#!/usr/bin/env bash
# kind, kubectl and helm, built from Go modules into the cache; with --node also what a node image is made of.
set -euo pipefail
source "$(dirname "$0")/env.sh"
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$BIN"
export CGO_ENABLED=0

# install_module NAME MODULE@VERSION
install_module() {
    local name=$1 module=$2 stamp=$BIN/.$1-${2##*@}
    [ -e "$stamp" ] && return
    say "building $name ${2##*@} (up to a minute and a half)"
    GOBIN=$BIN GOFLAGS=-trimpath step "$CACHE/log/$name.log" go install -ldflags=-s "$module"
    touch "$stamp"
}

# Kubernetes, etcd and kubectl are one binary: one link instead of eight
install_kubernetes() {
    local stamp
    stamp=$BIN/.kubenode-$KUBE-$(cat "$here"/kubenode/* | sha256sum | cut -c1-12)
    [ -e "$stamp" ] && return
    say "building Kubernetes $KUBE (five to nine minutes on two cores, once)"
    local v=k8s.io/component-base/version
    step "$CACHE/log/kubenode.log" env -C "$here/kubenode" go build -trimpath -o "$BIN/kubenode" -ldflags "-s -w -X $v.gitVersion=$KUBE -X $v.gitMajor=1 -X $v.gitMinor=34 \
        -X k8s.io/client-go/pkg/version.gitVersion=$KUBE -X $v.gitTreeState=clean -X $v.gitCommit=0000000 -X $v.buildDate=2026-01-01T00:00:00Z" .
    ln -sf kubenode "$BIN/kubectl"
    touch "$stamp"
}

if ! command -v go >/dev/null; then
    # with a container registry in reach, tools from anywhere will do; without one the node image takes Go anyway
    for tool in kind kubectl helm; do
        command -v "$tool" >/dev/null || die "$tool is missing; install kind, kubectl and helm, or Go (1.25 or newer) to build them, then run this again"
    done
    [ "${1:-}" != --node ] || die "Go (1.25 or newer) is needed to build the node image, because no container registry can be reached"
    exit 0
fi
install_module kind sigs.k8s.io/kind@$KIND
install_module helm helm.sh/helm/v3/cmd/helm@$HELM
install_kubernetes
if [ "${1:-}" = --node ]; then
    install_module coredns github.com/coredns/coredns@$COREDNS
    install_module local-path-provisioner github.com/rancher/local-path-provisioner@$LOCALPATH
fi
