#!/usr/bin/env bash
# A Docker engine: the one that runs, or one of our own that lives until `down.sh --engine`.
set -euo pipefail
source "$(dirname "$0")/env.sh"

docker info >/dev/null 2>&1 && exit 0
[ "$(id -u)" = 0 ] || die "no Docker engine is reachable; start one (systemctl start docker), then run this again"
say "starting a Docker engine (log: $CACHE/log/dockerd.log)"
mkdir -p "$BIN" "$CACHE/log"
# left by a crash or a reboot, its number may be another program's by now, and dockerd would refuse to start
if [ -e "$CACHE/dockerd.pid" ] && [ "$(cat "/proc/$(cat "$CACHE/dockerd.pid")/comm" 2>/dev/null)" != dockerd ]; then
    rm -f "$CACHE/dockerd.pid"
fi
# --privileged asks for every capability; where the host lacks one, the wrapper leaves it out
install -m 755 "$(dirname "$0")/runc-within-bounds" "$BIN/"
setsid nohup dockerd --data-root "$CACHE/docker" --pidfile "$CACHE/dockerd.pid" --exec-opt native.cgroupdriver=cgroupfs \
    --add-runtime bounded="$BIN/runc-within-bounds" --default-runtime bounded >"$CACHE/log/dockerd.log" 2>&1 </dev/null &
for _ in $(seq 60); do
    docker info >/dev/null 2>&1 && exit 0
    sleep 1
done
tail -n 20 "$CACHE/log/dockerd.log" >&2
die "the Docker engine did not come up within 60 s"
