# `make run` tries Shotover, `make test` tests it, `make help` lists the rest.
# For GNU make 3.81 (macOS) and newer. All that is made goes to .venv/, build/ and dist/, and the
# compiled modules beside their sources.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

# make run: where Shotover listens, and where it serves metrics.
LISTEN  ?= 127.0.0.1:6380
METRICS ?= 127.0.0.1:9001
# make test, make bench: more arguments, as in make test ARGS="-k pubsub".
ARGS ?=
# make test: processes that the tests run in.
TEST_JOBS ?= 2
FUZZ_SECONDS ?= 60
# make wheel: where the wheel and the source archive go.
DIST ?= dist

SOURCES := $(shell find shotover \( -name '*.pyx' -o -name '*.pxd' -o -name '*.h' \) -print)
PYTEST   = $(BIN)/pytest
RUFF     = $(BIN)/ruff

.PHONY: help run test test-long mutants lint bench wheel clean

help:
	@echo 'make run        build, start a Redis server and Shotover before it, stay until Ctrl-C'
	@echo '                (LISTEN=127.0.0.1:6380, METRICS=127.0.0.1:9001, SERVER=/path/to/redis-server)'
	@echo 'make test       build and run the tests (ARGS="-k pubsub" for some of them)'
	@echo 'make test-long  the tests that take minutes, too (SIM_SEEDS=3000 runs of the simulator)'
	@echo 'make mutants    break the code in known ways: the simulator must notice each'
	@echo 'make lint       formatter, linter, type checker, Cython linter'
	@echo 'make bench      measure Shotover beside its peers (ARGS="--help" for what can be chosen)'
	@echo 'make wheel      the wheel and the source archive, in dist/'
	@echo 'make clean      remove all that was made'
	@echo
	@echo 'PYTHON=python3.12 chooses the Python.'

run: $(VENV)/.built
	@$(BIN)/python tools/run.py --listen '$(LISTEN)' --metrics '$(METRICS)' --server '$(SERVER)'

test: $(VENV)/.built $(VENV)/.with-test
	@$(BIN)/python tools/servers.py --for-tests
	$(PYTEST) -n $(TEST_JOBS) $(ARGS)

test-long: $(VENV)/.built $(VENV)/.with-test
	@$(BIN)/python tools/servers.py --for-tests
	$(PYTEST) -n $(TEST_JOBS) --timeout 1800 -m '' $(ARGS)

mutants: $(VENV)/.built $(VENV)/.with-test
	$(BIN)/python tests/simulation/mutants.py $(ARGS)

lint: $(VENV)/.built $(VENV)/.with-test $(VENV)/.with-lint
	$(RUFF) check .
	$(BIN)/mypy
	$(BIN)/cython-lint shotover

bench: $(VENV)/.built $(VENV)/.with-bench
	$(BIN)/shotover-bench $(if $(ARGS),$(ARGS),run)

wheel: $(VENV)/.with-wheel
	$(BIN)/python -m build --quiet --outdir '$(DIST)' .
	@ls -l '$(DIST)'

clean:
	rm -rf .venv build dist shotover.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find shotover tests tools \( -name '*.so' -o -name '__pycache__' \) -prune -exec rm -rf {} +
	find shotover \( -name '*.c' -o -name '*.html' \) -exec rm -f {} +

# A stamp for each group of packages: `run` is what the process itself needs and what builds it.
$(VENV)/.with-run: pyproject.toml tools/make_venv.py
	@$(PYTHON) tools/make_venv.py '$(VENV)' run

$(VENV)/.with-%: $(VENV)/.with-run
	@$(PYTHON) tools/make_venv.py '$(VENV)' $*

$(VENV)/.built: $(VENV)/.with-run setup.py $(SOURCES)
	@echo 'building the compiled part'
	@$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@
