#!/bin/sh
# Builds the sdist and from it the wheel, installs the wheel in an environment outside
# the checkout, and runs there: first with nothing but its dependencies, then the whole suite.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
export UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never
unset VIRTUAL_ENV PYTHONPATH || true

away=$(mktemp -d "${TMPDIR:-/tmp}/authward-wheel.XXXXXX")
trap 'rm -rf "$away"' EXIT
trap 'exit 1' HUP INT TERM

rm -rf build/dist && mkdir -p build
.venv/bin/python -m build --no-isolation --outdir build/dist . >build/dist.log 2>&1 || { cat build/dist.log >&2; exit 1; }
wheel=$(ls build/dist/*.whl)
echo "built $wheel"

uv="$root/.venv/bin/uv"
"$uv" venv --quiet --python "$root/.venv/bin/python" "$away/venv"
python="$away/venv/bin/python"
"$uv" pip install --quiet --python "$python" --require-hashes -r requirements/runtime.txt
"$uv" pip install --quiet --python "$python" --no-deps "$root/$wheel"
"$uv" pip check --quiet --python "$python"
# What the extras bring is there in a checkout; the wheel alone must do without.
"$uv" pip uninstall --quiet --python "$python" asyncpg redis hiredis

cd "$away"
"$python" - <<'PY'
import pathlib, authward
here = pathlib.Path(authward.__file__).parent
assert "site-packages" in here.parts, here
for name in ("py.typed", "ui/authward.js"):
    assert (here / name).is_file(), f"the wheel lacks {name}"
assert list(here.glob("stores/migrations/**/*.py")), "the wheel lacks the migrations"
PY
"$away/venv/bin/authward" --help >/dev/null
echo "imports and starts with its run-time dependencies alone"

"$uv" pip install --quiet --python "$python" --require-hashes -r "$root/requirements/dev.txt"
# The whole suite, in a tree without src/: what it imports is the wheel.
mkdir "$away/tree"
(cd "$root" && git ls-files -z --cached --others --exclude-standard -- . ':!src' |
  xargs -0 sh -c 'for file; do [ ! -f "$file" ] || printf "%s\0" "$file"; done' - |
  tar --null -T - -cf -) | tar -xf - -C "$away/tree"
cd "$away/tree"
git init --quiet && git add --all
for modules in clients/js/node_modules examples/verify-with-jose/node_modules; do
  [ ! -d "$root/$modules" ] || ln -s "$root/$modules" "$modules"
done
"$python" -m pytest -n "${JOBS:-2}" --dist loadgroup -q -p no:cacheprovider ${ARGS:-}
