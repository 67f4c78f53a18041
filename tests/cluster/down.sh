#!/usr/bin/env bash
# Deletes the cluster of this checkout; with --engine also stops the Docker engine that up.sh started. Images stay cached.
set -euo pipefail
source "$(dirname "$0")/env.sh"

if command -v kind >/dev/null && docker info >/dev/null 2>&1; then
    say "deleting the cluster $CLUSTER"
    timeout 120 kind delete cluster -q --name "$CLUSTER"
fi
rm -rf "$STATE"
if [ "${1:-}" = --engine ] && [ -e "$CACHE/dockerd.pid" ]; then
    say "stopping the Docker engine"
    pid=$(cat "$CACHE/dockerd.pid")
    kill "$pid" 2>/dev/null || true
    timeout 30 tail --pid="$pid" -f /dev/null || die "the Docker engine (process $pid) did not stop within 30 s"
fi
