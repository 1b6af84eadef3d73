# Everything a user or a contributor types. Each target sets up what it needs; second runs are fast.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ARGS   ?=

.PHONY: help demo demo-cluster test check bench e2e docs lock setup clean

help:            ## this list
	@grep -hE '^[a-z0-9-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 14

demo: $(READY)   ## back up, lose and restore databases on embedded real servers (ARGS=--keep leaves them running)
	@$(BIN)/backstay demo $(ARGS)

demo-cluster: $(READY)   ## the same on a real Kubernetes with pods, as root; compiles it the first time (10 minutes)
	@$(BIN)/backstay demo --cluster $(ARGS)

test: $(READY)   ## every test, on real PostgreSQL and S3 servers
	@$(BIN)/python -m pytest $(ARGS)

check: $(READY)  ## lint, formatting, types, import contracts, documents current
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/docs.py --check

e2e: $(READY)    ## end-to-end tests on servers installed from Debian (needs root)
	@tests/e2e/run.sh $(ARGS)

bench: $(READY)  ## the benchmarks, printed as ratios
	@bench/run.sh $(ARGS)

docs: $(READY)   ## write the generated reference pages and the configuration schema again
	@$(BIN)/python tools/docs.py

setup: $(READY)  ## only the environment

lock:            ## resolve the dependencies again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-package pandas --no-emit-package numpy --extra dev pyproject.toml -o requirements.lock

clean:           ## remove the environment and what the demo left
	rm -rf $(VENV) .venv-* .demo .bench

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "Backstay needs Python 3.11 or newer, this is %d.%d; try: make PYTHON=python3.12 demo" % v[:2])'
	@echo "setting up $(VENV) (once; about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "hint: install the venv module, on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)
