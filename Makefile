# The two commands for a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
# Each sets up what it needs, once, in .venv.

PYTHON ?= python3
VENV   := .venv
AUDIT  := .venv-audit
BIN    := $(VENV)/bin
SWEEP  ?= digits
# CONSTRAINTS=constraints.txt installs the versions that the tests ran with, instead of the newest that fit.
CONSTRAINTS ?=
# LOCKED=1 installs exactly the files whose SHA-256 is in requirements.lock, for `make demo`.
LOCKED ?=
# Of 27 000 files few are ever imported: Python compiles these when they are, and pip would take minutes for all.
PIP    := $(BIN)/python -m pip install --quiet --no-compile $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))

WHAT_IS_INSTALLED := installing into $(VENV): PyTorch, Ray and MLflow are a few GB, so the first time takes minutes

# Debian's packages for the system tests: a browser; a database; hosts with sshd; a Slurm cluster of them.
PACKAGES := chromium chromium-driver postgresql openssh-server iproute2 nftables rsync curl munge slurmctld slurmd slurm-client

# Two cores are busy with three; with four, tests that wait for others run out of time.
SIDE_BY_SIDE ?= 3

# Tests start many processes, which would each compile the modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo ui test quick-tests lint test-system docs pictures bench clean lock sbom audit

help:
	@echo "make demo         set up, then run the sweep '$(SWEEP)': train, measure, rank"
	@echo "make ui           show its runs in the MLflow UI"
	@echo "make test         set up, then static checks and all quick tests"
	@echo "make test-system  tests with Ray, a real browser, databases, hosts, full disks and killed processes;"
	@echo "                  installs the Debian packages for them where it is root"
	@echo "make docs         the site of the documents, into build/docs, with its links checked"
	@echo "make pictures     the pictures of the documents anew; needs Chromium"
	@echo "make demo LOCKED=1   the same demo from files whose SHA-256 is in requirements.lock"
	@echo "make sbom audit   what that consists of (CycloneDX), and its known vulnerabilities; needs a network"
	@echo "make bench        every benchmark, as tables"

demo: $(VENV)/.installed
	$(BIN)/renyi run $(SWEEP)

ui: $(VENV)/.installed
	$(BIN)/renyi ui $(SWEEP)

# The static checks take one core; side by side with the tests they use what these leave free.
test: $(VENV)/.installed-dev
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=recurse lint quick-tests

quick-tests: $(VENV)/.installed-dev
	$(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# By files: with the installed pytest, xdist's groups of tests are not kept together.
test-system: $(VENV)/.installed-dev
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg --status $(PACKAGES) >/dev/null 2>&1; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends $(PACKAGES); fi
	$(BIN)/pytest -m 'system or ray' --numprocesses $(SIDE_BY_SIDE) --dist loadfile --no-loadscope-reorder

# The variable silences an announcement of MkDocs' next version, which pyproject.toml excludes.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	$(BIN)/python docs/building/check_links.py build/docs

pictures: $(VENV)/.installed-dev
	$(BIN)/python docs/building/pictures.py

bench: $(VENV)/.installed-dev
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

# What is locked has the tool that builds this package, so that nothing is fetched to build it.
$(VENV)/.installed: pyproject.toml $(if $(LOCKED),requirements.lock) | $(VENV)/bin/python
	@echo '$(WHAT_IS_INSTALLED)'
ifdef LOCKED
	$(PIP) --require-hashes --requirement requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
else
	$(PIP) --editable .
endif
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	@echo '$(WHAT_IS_INSTALLED)'
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-docs

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	@echo '$(WHAT_IS_INSTALLED)'
	$(PIP) --editable '.[docs]'
	@touch $@ $(VENV)/.installed

# The lock: the newest versions that fit pyproject.toml and constraints.txt, for Linux, macOS and Windows, with the SHA-256
# of every file of each. The two that build this package are in it.
lock: $(AUDIT)/.installed
	printf 'hatchling\neditables\n' | $(AUDIT)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --constraint constraints.txt --output-file requirements.lock pyproject.toml -

# What a locked installation consists of, in the format of CycloneDX.
sbom: $(AUDIT)/.installed
	@mkdir -p build
	$(AUDIT)/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible \
		--output-file build/sbom.json

# Its known vulnerabilities, asked from the index; fails if there is one, or if the index does not tell.
audit: $(AUDIT)/.installed
	$(AUDIT)/bin/pip-audit --requirement requirements.lock --disable-pip --require-hashes --strict

$(AUDIT)/.installed:
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet uv==0.13.9 cyclonedx-bom==7.5.0 pip-audit==2.10.1
	@touch $@

clean:
	rm -rf $(VENV) $(AUDIT) .mypy_cache .ruff_cache .pytest_cache .hypothesis
