# `make serve` and `make test` each set up what they need, from a bare clone.
# A second run finds the stamps and starts at once.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PORT ?= 8000
BIN := .venv/bin

RUNTIME := .venv/.stamp-runtime
DEV := .venv/.stamp-dev
SETUP := pyproject.toml requirements/setup.txt tools/setup.sh

NODE_STAMP := clients/js/node_modules/.stamp
JOSE_STAMP := examples/verify-with-jose/node_modules/.stamp
EXPRESS_STAMP := tools/express/node_modules/.stamp

# How many test processes, and what else to tell pytest: make test ARGS="-k refresh"
JOBS ?= 2
ARGS ?=
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

.PHONY: help setup serve test coverage gate check types-js packages-js format wheel lock bench record clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1	\2/' | expand -t 22

$(RUNTIME): requirements/runtime.txt $(SETUP)
	@sh tools/setup.sh runtime
	@touch $@

$(DEV): requirements/dev.txt $(SETUP)
	@sh tools/setup.sh dev
	@touch $(RUNTIME) $@

setup: $(DEV) ## everything for development, in .venv

serve: $(RUNTIME) ## the server on http://127.0.0.1:8000 (PORT= changes it)
	@exec $(BIN)/authward serve --port $(PORT)

test: $(DEV) packages-js ## all tests
	@$(PYTEST) $(ARGS)

coverage: $(DEV) ## all tests under the tracer, and the coverage gate
	@rm -rf .coverage .coverage.* build/coverage.json
	@$(MAKE) --no-print-directory test ARGS="--cov --cov-report= $(ARGS)"
	@$(MAKE) --no-print-directory gate

gate: $(DEV) # whether what `make test ARGS=--cov` reached is enough
	@mkdir -p build
	@$(BIN)/coverage json --quiet -o build/coverage.json
	@$(BIN)/python tools/coverage_gate.py build/coverage.json

check: $(DEV) types-js ## lint, format, types, import contracts, docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_docs.py

types-js: ## types of the browser module, where Node is there
	@if command -v npm >/dev/null 2>&1; then \
	  $(MAKE) --no-print-directory $(NODE_STAMP) && cd clients/js && echo "npm run check" && npm run --silent check; \
	elif [ "$${AUTHWARD_TEST_NO_SKIP:-}" = 1 ]; then \
	  echo "npm is missing: apt-get install nodejs npm" >&2; exit 1; \
	else \
	  echo "SKIPPED: the types of clients/js, for want of npm: apt-get install nodejs npm" >&2; \
	fi

packages-js: # what the tests need for Node, where it is; they skip what is not there
	@if command -v npm >/dev/null 2>&1; then $(MAKE) --no-print-directory $(NODE_STAMP) $(JOSE_STAMP); fi

$(JOSE_STAMP): examples/verify-with-jose/package.json examples/verify-with-jose/package-lock.json
	@cd examples/verify-with-jose && npm ci --silent --no-audit --no-fund
	@touch $@

$(NODE_STAMP): clients/js/package.json clients/js/package-lock.json
	@cd clients/js && npm ci --silent --no-audit --no-fund
	@touch $@

format: $(DEV) ## let ruff write the format and the fixes it is sure of
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

wheel: $(DEV) packages-js ## build the wheel and test it, installed outside the checkout
	@sh tools/wheel_test.sh

lock: $(DEV) ## write requirements/*.txt anew
	@sh tools/lock.sh

bench: $(DEV) ## measure, beside others: make bench ARGS="--rows fastapi,limiter --seconds 2"
	@$(BIN)/python -m bench.run $(ARGS)

record: $(EXPRESS_STAMP) ## write tests/vectors/express.json anew, from what Express's packages send
	@cd tools/express && npm run --silent record

$(EXPRESS_STAMP): tools/express/package.json tools/express/package-lock.json
	@cd tools/express && npm ci --silent --no-audit --no-fund
	@touch $@

clean: ## remove everything that was built, .venv too
	rm -rf .venv build dist .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis clients/js/node_modules tools/express/node_modules examples/verify-with-jose/node_modules
