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
# make test-clients: which of them, all if none is named.
CLIENTS ?=
# make asan: what runs, unless ARGS says. Left out is what measures time or memory.
ASAN_TESTS = tests/codec tests/chain tests/core tests/fuzz tests/net tests/python tests/config tests/runtime \
	tests/observability tests/integration tests/live $(wildcard tests/simulation)
# make fuzz: how long, all parsers together.
FUZZ_SECONDS ?= 60
# make soak: how long clients ask, and which of the possible runs; without a seed, any.
SOAK_SECONDS ?= 600
SEED ?=
# make wheel: where the wheel and the source archive go.
DIST ?= dist

SOURCES := $(shell find shotover \( -name '*.pyx' -o -name '*.pxd' -o -name '*.h' \) -print)
PYTEST   = $(BIN)/pytest
RUFF     = $(BIN)/ruff

.PHONY: help run test test-long test-clients mutants soak test-debug asan fuzz lint bench bench-micro wheel reproduce clean

help:
	@echo 'make run          build, start a Redis server and Shotover before it, stay until Ctrl-C'
	@echo '                  (LISTEN=127.0.0.1:6380, METRICS=127.0.0.1:9001, SERVER=/path/to/redis-server)'
	@echo 'make test         build and run the tests (ARGS="-k pubsub" for some of them)'
	@echo 'make test-long    the tests that take minutes, too (SIM_SEEDS=3000 runs of the simulator)'
	@echo 'make test-clients clients of other languages, fetched and built first (CLIENTS="go-redis jedis")'
	@echo 'make mutants      break the code in known ways: the simulator must notice each'
	@echo 'make soak         clients and faults for as long as you like (SOAK_SECONDS=600, SEED=1)'
	@echo 'make test-debug   all tests in a build that aborts where an invariant is broken'
	@echo 'make asan         codec, chains, network and more under AddressSanitizer and UBSan'
	@echo 'make fuzz         look for bytes that break a parser (FUZZ_SECONDS=60, ARGS="--target replies")'
	@echo 'make lint         linter, type checker, Cython linter, formatter, licences'
	@echo 'make bench        measure Shotover beside its peers (ARGS="--help" for what can be chosen)'
	@echo 'make bench-micro  what a codec, a chain and a transform cost by themselves'
	@echo 'make wheel        the wheel and the source archive, in dist/'
	@echo 'make reproduce    two wheels from two folders: they must be the same, byte for byte'
	@echo 'make clean        remove all that was made'
	@echo
	@echo 'PYTHON=python3.12 chooses the Python.'

run: $(VENV)/.built
	@$(BIN)/python tools/run.py --listen '$(LISTEN)' --metrics '$(METRICS)' --server '$(SERVER)'

test: $(VENV)/.built $(VENV)/.with-test
	@$(BIN)/python tools/servers.py --for-tests
	$(PYTEST) -n $(TEST_JOBS) $(ARGS)

test-long: $(VENV)/.built $(VENV)/.with-test
	@$(BIN)/python tools/servers.py --for-tests
	$(PYTEST) -n $(TEST_JOBS) --timeout 1800 -m 'not clients' $(ARGS)

# Needs Node.js, Go, a JDK and Maven, each set up to fetch its packages; see tests/clients/build.py.
test-clients: $(VENV)/.built $(VENV)/.with-test
	@$(BIN)/python tools/servers.py --for-tests
	@CLIENTS='$(CLIENTS)' $(BIN)/python tests/clients/build.py
	CLIENTS='$(CLIENTS)' $(PYTEST) -n $(TEST_JOBS) -m clients tests/clients $(ARGS)

mutants: $(VENV)/.built $(VENV)/.with-test
	$(BIN)/python tests/simulation/mutants.py $(ARGS)

soak: $(VENV)/.built $(VENV)/.with-test
	@$(BIN)/python tools/servers.py --for-tests
	$(BIN)/python tests/soak --seconds $(SOAK_SECONDS) $(if $(SEED),--seed $(SEED)) $(ARGS)

# A variant is built beside the usual modules, in build/: see tools/variant.py.
test-debug: $(VENV)/.with-test
	@$(BIN)/python tools/servers.py --for-tests
	@$(BIN)/python tools/variant.py debug $(PYTEST) -n $(TEST_JOBS) --timeout 180 $(ARGS)

asan: $(VENV)/.with-test
	@$(BIN)/python tools/servers.py --for-tests
	@$(BIN)/python tools/variant.py asan $(PYTEST) -n $(TEST_JOBS) --timeout 300 --capture=sys \
		-m 'not long and not measures' $(if $(ARGS),$(ARGS),$(ASAN_TESTS))

fuzz: $(VENV)/.with-test
	@$(BIN)/python tools/variant.py fuzz $(BIN)/python tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(ARGS)

lint: $(VENV)/.built $(VENV)/.with-test $(VENV)/.with-lint
	$(RUFF) check .
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/cython-lint shotover tests/native
	$(RUFF) format --check --quiet .
	$(BIN)/python tools/licences.py

bench: $(VENV)/.built $(VENV)/.with-bench
	$(BIN)/shotover-bench $(if $(ARGS),$(ARGS),run)

bench-micro: $(VENV)/.built $(VENV)/.with-test
	$(PYTEST) bench/micro --benchmark-columns min,median,iqr,rounds --benchmark-sort name $(ARGS)

wheel: $(VENV)/.with-wheel
	SOURCE_DATE_EPOCH="$$($(BIN)/python tools/reproduce.py --epoch)" $(BIN)/python -m build --quiet --outdir '$(DIST)' .
	@ls -l '$(DIST)'

# Builds everything twice: the tests do it with one module.
reproduce: $(VENV)/.with-run
	$(BIN)/python tools/reproduce.py

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
