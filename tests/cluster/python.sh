#!/usr/bin/env bash
# The Python environment of all parts in .venv, from uv.lock.
set -euo pipefail
source "$(dirname "$0")/env.sh"
cd "$ROOT"
stage 1 "the Python environment"
made_of=(pyproject.toml uv.lock operator/pyproject.toml client/pyproject.toml worker_image/share/pyproject.toml)
if [ -e .venv/.synced ] && [ -z "$(find "${made_of[@]}" -newer .venv/.synced)" ]; then exit 0; fi
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    uv=$CACHE/uv/bin/uv
    if [ ! -x "$uv" ]; then
        say "installing uv"
        command -v python3 >/dev/null || die "python3 is needed (on Debian: apt-get install python3 python3-venv)"
        python3 -m venv "$CACHE/uv" 2>/dev/null || { [ "$(id -u)" = 0 ] && step "$CACHE/log/apt-venv.log" sh -c 'apt-get update -q && apt-get install -y -q python3-venv' && python3 -m venv "$CACHE/uv"; } ||
            die "python3 -m venv does not work here (on Debian: apt-get install python3-venv)"
        step "$CACHE/log/uv-install.log" "$CACHE/uv/bin/pip" install -q uv
    fi
fi
say "installing the Python environment (TensorFlow is large: a minute or two the first time)"
step "$CACHE/log/uv-sync.log" "$uv" sync --frozen
touch .venv/.synced
