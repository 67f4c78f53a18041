#!/usr/bin/env bash
# Builds what the benchmark needs beside the player (a load tool, TF Encrypted's operations), then runs it. Arguments: bench.py's.
set -euo pipefail
source "$(dirname "$0")/../cluster/env.sh"
bench=$ROOT/tests/bench
needs=()
case " $* " in
*" --report "* | *" --cluster "* | *" --help "*) ;;
*)
    command -v cargo >/dev/null || die "Rust (1.89 or newer) is needed to build the load tool; install it from https://rustup.rs, then run this again"
    say "building the load tool"
    CARGO_TARGET_DIR=$PLAYER_TARGET step "$CACHE/log/load-tool.log" cargo build --release --locked --manifest-path "$bench/load/Cargo.toml"
    bash "$ROOT/tests/cluster/tfe-ops.sh"
    needs=(--tool "$PLAYER_TARGET/release/securemodel-load")
    ;;
esac
PYTHONPATH=$ROOT/tests/support exec "$ROOT/.venv/bin/python" "$bench/bench.py" "${needs[@]}" "$@"
