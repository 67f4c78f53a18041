#!/usr/bin/env bash
# The player's binary, in the cache (target folders are large and outlive a checkout).
set -euo pipefail
source "$(dirname "$0")/env.sh"
mkdir -p "$PLAYER_TARGET"
if command -v cargo >/dev/null; then
    say "building the player (two minutes the first time)"
    CARGO_TARGET_DIR=$PLAYER_TARGET step "$CACHE/log/player.log" cargo build --release --locked --manifest-path "$ROOT/worker_image/player/Cargo.toml"
elif say "asking the container registry for Rust (five minutes at most)" && timeout 300 docker pull -q rust:1-bookworm >/dev/null 2>&1; then
    say "building the player (two minutes)"
    step "$CACHE/log/player.log" docker run --rm -v "$ROOT/worker_image/player:/source:ro" -v "$PLAYER_TARGET:/target" -e CARGO_TARGET_DIR=/target \
        rust:1-bookworm cargo build --release --locked --manifest-path /source/Cargo.toml
else
    die "Rust (1.89 or newer) is needed to build the player, because no container registry can be reached; install it from https://rustup.rs, then run this again"
fi
