#!/usr/bin/env bash
# Deletes the cluster of this checkout; with --engine also stops the Docker engine that up.sh started. Images stay cached.
set -euo pipefail
source "$(dirname "$0")/env.sh"
here=$(cd "$(dirname "$0")" && pwd)

if ! docker info >/dev/null 2>&1; then
    say "no Docker engine is running; what it still keeps of $CLUSTER goes with the next up.sh"
elif command -v kind >/dev/null && kind get clusters 2>/dev/null | grep -qx "$CLUSTER"; then
    say "deleting the cluster $CLUSTER"
    timeout 120 kind delete cluster -q --name "$CLUSTER"
else
    say "there is no cluster $CLUSTER"
fi
rm -rf "$STATE"

if [ "${1:-}" = --engine ] && [ -e "$CACHE/dockerd.pid" ]; then
    pid=$(cat "$CACHE/dockerd.pid")
    # the number in a file left by a crash or a reboot may by now be another program's
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
        others=$(kind get clusters 2>/dev/null | paste -sd' ' -)
        [ -z "$others" ] || die "other clusters run on this Docker engine: $others; delete them first"
        say "stopping the Docker engine (process $pid)"
        kill "$pid"
        timeout 30 tail --pid="$pid" -f /dev/null || die "the Docker engine (process $pid) did not stop within 30 s"
    else
        rm -f "$CACHE/dockerd.pid"
    fi
fi
bash "$here/exports.sh"
