#!/usr/bin/env bash
# The player's binary, in the cache (target folders are large and outlive a checkout).
set -euo pipefail
source "$(dirname "$0")/env.sh"
command -v cargo >/dev/null || die "Rust (1.85 or newer) is needed to build the player; install it from https://rustup.rs, then run this again"
say "building the player"
CARGO_TARGET_DIR=$CACHE/player-target step "$CACHE/log/player.log" cargo build --release --locked --manifest-path "$ROOT/worker_image/player/Cargo.toml"
