# make demo   the whole chain on the sample corpora, from an empty folder to scored translations
# make test   the tests; of long products of parameters, cases in which every value occurs
# make test-all  the tests with every case
# make kernels  compiles what the tests need of machine code, which they do first if need be
# make coverage  the tests, and which lines of the package they ran; an error under 98%
# make lint   style and types
# make torture  faults in runs of every command for hours: kills, full disks, damaged files; prints a table
# make fuzz   hostile files for every reader, MINUTES=10 for each
# make clean  removes everything that the others made, but no results
#
# make package   builds wheel and source distribution, and tries the wheel where nothing else is
# make versions  the quick tests on the lowest versions that pyproject.toml allows
# make lock      writes requirements.lock anew
# make audit     asks the advisory databases about every version in requirements.lock
#
# Everything is installed into .venv, once: the files below named .venv/*.stamp remember it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
SEED ?= 1
MINUTES ?= 10
TORTURE ?= --kill 512 --cut 208 --flip 208 --full-disk 64 --small-disk 32 --read-only 32 --two-at-once 64 --clock 16 \
	--dead-stream 64 --foreign 90 --failing-input 90 --odd-output 90 --other-model 24 --vanish 54 --readers 36

# Caches stay out of the tree.
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/$(VENV)/cache/hypothesis
export MYPY_CACHE_DIR := $(CURDIR)/$(VENV)/cache/mypy
export NUMBA_CACHE_DIR := $(CURDIR)/$(VENV)/cache/numba
export RUFF_CACHE_DIR := $(CURDIR)/$(VENV)/cache/ruff
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The tools of the `dev` group. `pip install --group` would do, but the pip that Python 3.11 brings does not know it.
DEVELOPMENT_TOOLS = import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"])

.PHONY: demo test test-all kernels coverage lint torture fuzz clean package versions lock audit

demo: $(VENV)/installed.stamp
	$(BIN)/rnnkit demo

# Each worker computes on one core; more threads than cores would only wait for each other. Who is done takes over the others' tests.
test: $(VENV)/kernels.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-all: $(VENV)/kernels.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --all

kernels: $(VENV)/kernels.stamp

coverage: $(VENV)/kernels.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term --cov-report=xml:$(VENV)/coverage.xml

lint: $(VENV)/tools.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Both end with an error where anything was lost or found.
torture: $(VENV)/tools.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.reliability.torture $(TORTURE) --seed $(SEED)

# atheris has no wheels for every Python; without it changes to files are drawn at random.
fuzz: $(VENV)/tools.stamp
	$(BIN)/python -m pip install atheris || echo "atheris does not install here"
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.loop --minutes $(MINUTES) --seed $(SEED)

package: $(VENV)/tools.stamp
	PYTHON="$(PYTHON)" .ci/package

versions: $(VENV)/tools.stamp
	PYTHON="$(PYTHON)" .ci/versions

lock: $(VENV)/tools.stamp
	$(BIN)/python -m pip install uv
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header \
		--upgrade --output-file requirements.lock

audit:
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet pip-audit
	$(VENV)/audit/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict

clean:
	rm -rf $(VENV) build dist src/*.egg-info .hypothesis .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --editable .
	touch $@

$(VENV)/tools.stamp: $(VENV)/installed.stamp
	$(BIN)/python -m pip install $$($(BIN)/python -c '$(DEVELOPMENT_TOOLS)')
	touch $@

# Once, before several workers and their commands need the same kernels at the same time.
$(VENV)/kernels.stamp: $(VENV)/tools.stamp $(wildcard src/rnnkit/kernels/*.py)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.compile_kernels
	touch $@
