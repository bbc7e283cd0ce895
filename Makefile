# `make serve` and `make test` each set up what they need, from a bare clone.
# A second run finds the stamps and starts at once.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PORT ?= 8000
HOST ?= 127.0.0.1
BIN := .venv/bin

RUNTIME := .venv/.stamp-runtime
DEV := .venv/.stamp-dev
SETUP := pyproject.toml requirements/setup.txt tools/setup.sh

.PHONY: help setup serve lock clean

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
	@exec $(BIN)/authward serve --host $(HOST) --port $(PORT)

lock: $(DEV) ## write requirements/*.txt anew
	@sh tools/lock.sh

clean: ## remove everything that was built, .venv too
	rm -rf .venv build dist .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
