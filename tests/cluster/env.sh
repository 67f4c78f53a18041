# shellcheck shell=bash
# Where things are. Sourced by the scripts here, by the Makefile and by whoever works with the cluster.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${SECUREMODEL_CACHE:-$HOME/.cache/securemodel}
# one cluster and one cargo target a checkout: two clones on a machine do not meet
CHECKOUT=$(printf '%s' "$ROOT" | sha256sum | cut -c1-8)
CLUSTER=${SECUREMODEL_CLUSTER:-securemodel-$CHECKOUT}
PLAYER_TARGET=$CACHE/target/$CHECKOUT
STATE=$ROOT/.cluster
BIN=$CACHE/bin
export KUBECONFIG=$STATE/kubeconfig
# Debian's docker client before any other: it fits its engine. The legacy builder needs no plugin.
export PATH=$BIN:/usr/bin:$PATH DOCKER_BUILDKIT=0

source "$ROOT/tests/cluster/versions.sh"

# say TEXT: one line of progress, with the time since the script began
say() { printf '==> [%3ds] %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# step LOG COMMAND...: runs a long step with its output in a file, shown when it fails
step() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    "$@" >"$log" 2>&1 && return
    printf '%s\n' "--- the end of $log:" >&2
    tail -n 40 "$log" >&2
    die "'$*' failed; the whole output is in $log"
}
