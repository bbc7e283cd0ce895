#!/bin/sh
# Writes requirements/*.txt anew. Existing pins are kept where they still fit;
# `tools/lock.sh --upgrade` moves everything to the newest releases.
set -eu
cd "$(dirname "$0")/.."
export UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never

lock() {
  out=$1
  shift
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-annotate \
    --custom-compile-command tools/lock.sh --output-file "$out" "$@"
}

# With both extras: a checkout serves PostgreSQL and Redis too, and nothing need be added to it.
lock requirements/runtime.txt --extra postgres --extra redis pyproject.toml "$@"
# The sets share one environment, so the smaller ones bind the larger one.
lock requirements/setup.txt -c requirements/runtime.txt requirements/setup.in "$@"
lock requirements/dev.txt -c requirements/runtime.txt -c requirements/setup.txt \
  --extra postgres --extra redis pyproject.toml requirements/dev.in "$@"

if grep -nE '://|@ |^-|^/|^\.' requirements/*.txt; then
  echo "requirements/*.txt must name packages only: no addresses, no paths, no options" >&2
  exit 1
fi
