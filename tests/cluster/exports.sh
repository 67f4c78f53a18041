#!/usr/bin/env bash
# Prints the lines that make a shell use this checkout's cluster: eval "$(bash tests/cluster/exports.sh)"
set -euo pipefail
source "$(dirname "$0")/env.sh"
printf 'export KUBECONFIG=%q\n' "$KUBECONFIG"
printf 'export PATH=%q:"$PATH"\n' "$BIN"
