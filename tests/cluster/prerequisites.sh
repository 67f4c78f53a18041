#!/usr/bin/env bash
# Installs what the cluster needs where it may (root on Debian), and says what is missing elsewhere.
set -euo pipefail
source "$(dirname "$0")/env.sh"

declare -A package=([docker]=docker.io [debootstrap]=debootstrap [jq]=jq [gcc]=gcc [iptables]=iptables [conntrack]=conntrack [ip]=iproute2 [curl]=curl)
missing=()
for command in "${!package[@]}"; do
    command -v "$command" >/dev/null || missing+=("${package[$command]}")
done
# a docker client alone is not an engine
docker info >/dev/null 2>&1 || command -v dockerd >/dev/null || missing+=(docker.io)
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${missing[*]} (a minute)"
    step "$CACHE/log/apt.log" sh -c "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends ${missing[*]}"
else
    die "please install: ${missing[*]} (on Debian: apt-get install ${missing[*]}), then run this again"
fi
