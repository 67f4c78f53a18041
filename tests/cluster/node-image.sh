#!/usr/bin/env bash
# Prints the node image: kind's own where it can be pulled, else one built from Go modules and Debian packages alone.
set -euo pipefail
source "$(dirname "$0")/env.sh"
here=$(cd "$(dirname "$0")" && pwd)
REG=registry.k8s.io
official=kindest/node:$KUBE

pull() {
    [ ! -e "$CACHE/node/no-registry" ] || return
    say "asking the container registry for $official (five minutes at most)"
    timeout 300 docker pull -q "$official" >/dev/null 2>&1 && return
    mkdir -p "$CACHE/node" && touch "$CACHE/node/no-registry" # asked once: a registry that is not there takes long to say so
    return 1
}
if [ -n "$(docker images -q "$official")" ] || pull; then
    echo "$official"
    exit
fi
key=$(cat "$here"/{node-image,base-image,versions}.sh "$here"/kubenode/* "$here"/manifests/* "$here"/{pod-network.sh,pause.c} | sha256sum | cut -c1-12)
image=kindest/node:local-$key
if [ -n "$(docker images -q "$image")" ]; then
    echo "$image"
    exit
fi
say "no container registry can be reached: building the image (up to ten minutes, once; kept in $CACHE)"

bootstrap_node() {
    [ -d "$CACHE/node/node" ] && return
    rm -rf "$CACHE/node/node.new"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,conntrack,iptables,nftables,iproute2,ethtool,kmod,ca-certificates,curl,jq,procps,socat,containerd,runc,containernetworking-plugins \
        bookworm "$CACHE/node/node.new" && mv "$CACHE/node/node.new" "$CACHE/node/node"
}
bootstrap_node >"$CACHE/log/debootstrap-node.log" 2>&1 & # downloads while Go compiles
bootstrap=$!
bash "$here/tools.sh" --node >&2
bash "$here/base-image.sh"
wait "$bootstrap" || die "debootstrap of the node failed; see $CACHE/log/debootstrap-node.log"

work=$(mktemp -d "$CACHE/node/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

say "making the cluster's own images (a minute)"
mkdir kube provisioner dns pause base
cp "$BIN/kubenode" "$here/pod-network.sh" kube/
cat >kube/Dockerfile <<'D'
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends iptables nftables iproute2 conntrack && rm -rf /var/lib/apt/lists/*
COPY kubenode pod-network.sh /usr/local/bin/
RUN cd /usr/local/bin && chmod 755 pod-network.sh && \
    for n in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubectl etcd; do ln -s kubenode $n; done
D
step "$CACHE/log/kube-image.log" docker build -q -t kube:local kube
cp "$BIN/local-path-provisioner" provisioner/
printf 'FROM debian:bookworm-slim\nCOPY local-path-provisioner /usr/bin/\n' >provisioner/Dockerfile
step "$CACHE/log/provisioner-image.log" docker build -q -t local/local-path-provisioner:$LOCALPATH provisioner
gcc -O2 -static -o pause/pause "$here/pause.c"
tar -C pause -c pause | docker import -c 'ENTRYPOINT ["/pause"]' - $REG/pause:3.10 >/dev/null
docker tag $REG/pause:3.10 $REG/pause:3.10.1
cp "$BIN/coredns" dns/
tar -C dns -c coredns | docker import -c 'ENTRYPOINT ["/coredns"]' - $REG/coredns/coredns:$COREDNS >/dev/null
images=("$REG/pause:3.10" "$REG/pause:3.10.1" "$REG/coredns/coredns:$COREDNS" "local/local-path-provisioner:$LOCALPATH" debian:bookworm-slim)
# the names that `kubeadm config images list --kubernetes-version $KUBE` wants
for name in kube-apiserver:$KUBE kube-controller-manager:$KUBE kube-scheduler:$KUBE kube-proxy:$KUBE etcd:3.6.5-0; do
    docker tag kube:local $REG/$name
    images+=("$REG/$name")
done

say "making the node: systemd, containerd, kind's files, our binary"
cp -a "$CACHE/node/node" node
files=$(go mod download -json sigs.k8s.io/kind@$KIND | jq -r .Dir)/images/base/files
cp -r --no-preserve=mode,ownership "$files/." node/
chmod 755 node/usr/local/bin/* node/kind node/kind/bin node/kind/bin/*
cp "$BIN/kubenode" node/usr/bin/
for n in kubelet kubeadm kubectl; do ln -sf kubenode node/usr/bin/$n; done
for n in containerd ctr containerd-shim-runc-v2; do ln -sf /usr/bin/$n node/usr/local/bin/$n; done
ln -sf /usr/sbin/runc node/usr/local/sbin/runc
mkdir -p node/opt/cni/bin node/etc/kubernetes/manifests node/kind/manifests
cp node/usr/lib/cni/* node/opt/cni/bin/
rm -f node/lib/systemd/system/{sysinit.target.wants/systemd-tmpfiles-setup.service,multi-user.target.wants/*,local-fs.target.wants/*,sockets.target.wants/*udev*,sockets.target.wants/*initctl*,basic.target.wants/*} node/etc/systemd/system/*.wants/*
grep -q ReadKMsg=no node/etc/systemd/journald.conf || echo ReadKMsg=no >>node/etc/systemd/journald.conf
chroot node systemctl -q enable kubelet.service containerd.service undo-mount-hacks.service 2>/dev/null
chroot node systemctl -q mask systemd-binfmt.service 2>/dev/null
echo $KUBE >node/kind/version
cp "$here"/manifests/default-{cni,storage}.yaml node/kind/manifests/
# without CAP_SYS_RESOURCE an oom score can only be raised
sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' node/etc/containerd/config.toml
tar -C node -c . | docker import - kind-node:rootfs >/dev/null
printf 'FROM kind-node:rootfs\nENV container=docker\nSTOPSIGNAL SIGRTMIN+3\nENTRYPOINT [ "/usr/local/bin/entrypoint", "/sbin/init" ]\n' >base/Dockerfile
step "$CACHE/log/node-base.log" docker build -q -t kind-node:base base

say "loading the cluster's own images into the node (half a minute to seven, as fast as the disk)"
preload() {
    docker rm -f nodebuild >/dev/null 2>&1 || true
    docker run -d --name nodebuild --privileged --entrypoint sleep kind-node:base infinity
    docker exec nodebuild sh -c "ctr oci spec | jq '.hooks.createContainer[.hooks.createContainer| length] |= . + {\"path\": \"/kind/bin/mount-product-files.sh\"} | del(.process.rlimits)' >/etc/containerd/cri-base.json"
    docker exec -d nodebuild containerd
    for _ in $(seq 30); do docker exec nodebuild ctr version >/dev/null 2>&1 && break; sleep 1; done
    docker save "${images[@]}" | docker exec -i nodebuild ctr --namespace=k8s.io images import --all-platforms --no-unpack -
    docker exec nodebuild sh -c 'kill $(pidof containerd); sleep 1; rm -rf /run/containerd'
    docker commit --change 'ENTRYPOINT [ "/usr/local/bin/entrypoint", "/sbin/init" ]' nodebuild "$image"
    docker rm -f nodebuild
}
step "$CACHE/log/preload.log" preload
echo "$image"
