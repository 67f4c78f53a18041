#!/usr/bin/env bash
# debian:bookworm-slim, pulled, or made by debootstrap where no container registry can be reached.
set -euo pipefail
source "$(dirname "$0")/env.sh"

[ -z "$(docker images -q debian:bookworm-slim)" ] || exit 0
if [ ! -e "$CACHE/node/no-registry" ]; then
    say "asking the container registry for debian:bookworm-slim (a minute at most)"
    if timeout 60 docker pull -q debian:bookworm-slim >/dev/null 2>&1; then exit 0; fi
fi
say "making debian:bookworm-slim with debootstrap, because no container registry can be reached (half a minute)"
folder=$CACHE/node/slim
if [ ! -d "$folder" ]; then
    rm -rf "$folder.new"
    mkdir -p "$folder.new"
    step "$CACHE/log/debootstrap-slim.log" debootstrap --variant=minbase --include=ca-certificates bookworm "$folder.new"
    rm -rf "$folder.new"/var/cache/apt/* "$folder.new"/var/lib/apt/lists/* "$folder.new"/usr/share/{doc,man,locale}
    mv "$folder.new" "$folder"
fi
# the host may trust more certificate authorities than Debian does (a proxy in front of the package registries): builds need them too
cp /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/ca-certificates.crt"
tar -C "$folder" -c . | docker import -c 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' \
    -c 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' - debian:bookworm-slim >/dev/null
