#!/usr/bin/env bash
# What TF Encrypted needs to run under its own protocols (as an oracle, as a baseline, as the attack's victim): its native operations, compiled once.
set -euo pipefail
source "$(dirname "$0")/env.sh"

if [ ! -e /usr/include/sodium.h ] || ! command -v g++ >/dev/null; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || die "g++ and libsodium's headers are needed to run TF Encrypted (on Debian: apt-get install g++ libsodium-dev)"
    say "installing g++ and libsodium"
    step "$CACHE/log/apt-sodium.log" sh -c 'apt-get update -q && apt-get install -y -q g++ libsodium-dev'
fi
say "compiling TF Encrypted's operations, if they are not (a minute)"
step "$CACHE/log/tfe-ops.log" "$ROOT/.venv/bin/python" "$ROOT/tests/support/tfe_ops.py"
