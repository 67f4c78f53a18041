#!/usr/bin/env bash
# Builds the three images, each tagged by the content that goes into it, loads into the cluster those that are new there,
# and writes their names to .cluster/images.env.
set -euo pipefail
source "$(dirname "$0")/env.sh"
here=$(cd "$(dirname "$0")" && pwd)
cd "$ROOT"
stage 6 "the images of player, operator and share step"
bash "$here/base-image.sh"

# content PATH...: a short hash of the files that git knows or would take, with their names
content() { git ls-files -z --cached --others --exclude-standard -- "$@" | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12; }

# build NAME TAG CONTEXT TIME: unless that tag is there; says how long it takes
build() {
    local image=securemodel/$1:$2
    if [ -z "$(docker images -q "$image")" ]; then
        say "building $image ($4)"
        step "$CACHE/log/image-$1.log" docker build -q -t "$image" "$3"
    fi
    echo "$image"
}

player_tag=$(content worker_image/player/{mpc,link,player}/{src,Cargo.toml} worker_image/player/{Cargo.toml,Cargo.lock,Dockerfile})
if [ -z "$(docker images -q "securemodel/player:$player_tag")" ]; then
    bash "$here/player.sh"
    context=$(mktemp -d)
    trap 'rm -rf "$context"' EXIT
    cp worker_image/player/Dockerfile "$PLAYER_TARGET/release/securemodel-player" "$context/"
    build player "$player_tag" "$context" "seconds" >/dev/null
fi
player=securemodel/player:$player_tag
operator=$(build operator "$(content operator)" operator "a minute")
share=$(build share "$(content worker_image/share)" worker_image/share "TensorFlow is large: two minutes or three")

node=$CLUSTER-control-plane
present=$(docker exec "$node" ctr --namespace=k8s.io images ls -q)
new=()
for image in "$player" "$operator" "$share"; do
    grep -qx "docker.io/$image" <<<"$present" || new+=("$image")
done
stage 7 "these images into the cluster"
if [ ${#new[@]} -gt 0 ]; then
    say "loading ${#new[@]} of the three images into the cluster ($(docker image inspect -f '{{.Size}}' "${new[@]}" | awk '{sum += $1} END {printf "%d MB", sum / 1e6}'): a minute, more where the disk is slow)"
    step "$CACHE/log/load.log" kind load docker-image --name "$CLUSTER" "${new[@]}"
fi
mkdir -p "$STATE"
printf 'OPERATOR_IMAGE=%s\nSHARE_IMAGE=%s\nPLAYER_IMAGE=%s\n' "$operator" "$share" "$player" >"$STATE/images.env"
