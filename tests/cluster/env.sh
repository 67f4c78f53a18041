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

# one clock over all scripts: make starts it, else the first script does
export SECUREMODEL_BEGAN=${SECUREMODEL_BEGAN:-$EPOCHSECONDS}

# say TEXT: one line of progress, with the time since the clock started
say() {
    local passed=$((EPOCHSECONDS - SECUREMODEL_BEGAN))
    printf '==> [%2d:%02d] %s\n' $((passed / 60)) $((passed % 60)) "$*" >&2
}

# stage N TEXT: what begins now, where make counts the steps (`make demo`, `make up`). TEXT says what takes minutes before it does.
stage() { [ -z "${SECUREMODEL_STEPS:-}" ] || say "step $1 of $SECUREMODEL_STEPS: $2"; }

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# step LOG COMMAND...: runs a long step with its output in a file, shown when it fails; says each minute that it is still at it
step() {
    local log=$1 bell failed=
    shift
    mkdir -p "$(dirname "$log")"
    exec {bell}> >(while read -rt 60 _; [ $? -gt 128 ]; do say "... still at it (output: $log)"; done) # until the bell is closed
    "$@" >"$log" 2>&1 {bell}>&- || failed=1
    exec {bell}>&-
    [ -n "$failed" ] || return 0
    printf '%s\n' "--- the end of $log:" >&2
    tail -n 40 "$log" >&2
    die "'$*' failed; the whole output is in $log"
}
