#!/bin/sh
# Makes .venv and installs one hashed set into it: tools/setup.sh runtime|dev
# Needs Python 3.11 or newer and a package index; nothing else.
set -eu
cd "$(dirname "$0")/.."
set_name=$1
export UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1
unset VIRTUAL_ENV CONDA_PREFIX PYTHONHOME || true

say() { printf 'setup: %s\n' "$*" >&2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
    if command -v "$candidate" >/dev/null 2>&1 && new_enough "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  say "Python 3.11 or newer was not found. Install it, or name it: make PYTHON=/path/to/python3 …"
  exit 1
}

# Two makes at once in one checkout would write into the same environment.
mkdir -p .venv
if command -v flock >/dev/null 2>&1; then
  exec 9>.venv/.setup.lock
  flock 9
fi

if ! { [ -x .venv/bin/python ] && new_enough .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
  python=$(find_python)
  say "new environment in .venv with $python"
  if ! "$python" -m venv .venv >/dev/null 2>&1; then
    # Debian splits ensurepip off into python3-venv; its pip can do the job from outside.
    if ! { "$python" -m venv --without-pip .venv && "$python" -m pip --python .venv/bin/python install --quiet pip; }; then
      say "this Python can make no environment with pip. On Debian or Ubuntu: apt-get install python3-venv"
      exit 1
    fi
  fi
fi

if ! cmp -s requirements/setup.txt .venv/.setup.txt; then
  say "installing uv"
  .venv/bin/python -m pip install --quiet --require-hashes --no-deps --only-binary=:all: -r requirements/setup.txt
  cp requirements/setup.txt .venv/.setup.txt
fi

# uv does not read pip's own settings; a mirror named there is the index of this machine.
if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
  index=$(.venv/bin/python -m pip config list 2>/dev/null | sed -n "s/^[^ ]*\.index-url='\(.*\)'$/\1/p" | tail -n 1)
  [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
fi

say "installing requirements/$set_name.txt"
.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r "requirements/$set_name.txt"
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
say "ready"
