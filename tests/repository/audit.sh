#!/usr/bin/env bash
# What we are made of: are its licences and sources allowed (deny.toml), and is anything known against it?
# Exit status: 0 all was checked and nothing found; 1 something was found; 3 nothing was found, but something
# could not be checked, because a database of advisories was out of reach. Of make only 0 or 2 is seen.
set -euo pipefail
source "$(dirname "$0")/../cluster/env.sh"
cd "$ROOT"

CARGO_DENY=0.20.2
WORKSPACES=(worker_image/player worker_image/player/fuzz tests/bench/load)

found=() unchecked=()

install_cargo_deny() {
    local stamp=$BIN/.cargo-deny-$CARGO_DENY
    [ -e "$stamp" ] && return
    command -v cargo >/dev/null || die "Rust is needed to build cargo-deny; install it from https://rustup.rs, then run this again"

    say "building cargo-deny $CARGO_DENY (two minutes, once)"
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        step "$CACHE/log/cargo-deny.log" cargo install -q --locked --root "$CACHE" --version "$CARGO_DENY" cargo-deny
    touch "$stamp"
}

# check WHAT UNABLE COMMAND...: COMMAND's exit status 0 is well, UNABLE is "could not look", any other is a finding
check() {
    local what=$1 unable=$2 status=0
    say "$what"
    "${@:3}" || status=$?

    case $status in
        0) ;;
        "$unable") unchecked+=("$what") ;;
        *) found+=("$what") ;;
    esac
}

audit_rust() {
    local workspace=$1
    local deny=("$BIN/cargo-deny" --manifest-path "$workspace/Cargo.toml" --config deny.toml --locked)
    local quiet=(--hide-inclusion-graph -A license-exception-not-encountered -A unmatched-skip)

    check "$workspace: licences, bans, sources" 1 "${deny[@]}" check "${quiet[@]}" bans licenses sources

    # cargo-deny says 1 for "cannot fetch" and for "found": hence in two steps
    if "${deny[@]}" fetch db index; then
        check "$workspace: advisories" none "${deny[@]}" --offline check "${quiet[@]}" advisories
    else
        unchecked+=("$workspace: advisories")
    fi
}

audit_python() {
    local uv
    uv=$(command -v uv || echo "$CACHE/uv/bin/uv")
    check "uv.lock: advisories" 2 "$uv" audit --frozen --preview-features audit-command
}

# list TITLE LINE...
list() {
    printf '\n%s\n' "$1" >&2
    printf '    %s\n' "${@:2}" >&2
}

install_cargo_deny
for workspace in "${WORKSPACES[@]}"; do audit_rust "$workspace"; done
audit_python

[ ${#unchecked[@]} = 0 ] || list "NOT CHECKED, which says nothing good or bad: run this again where osv.dev, github.com/RustSec and crates.io are in reach." "${unchecked[@]}"
[ ${#found[@]} = 0 ] || { list "FOUND (above is what):" "${found[@]}"; exit 1; }
[ ${#unchecked[@]} = 0 ] || exit 3
say "all was checked, nothing was found"
