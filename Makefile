# make run     set up .venv, build, install, run the main job
# make test    the same set-up, then the C unit tests and pytest
# make crash   the full crash matrix, on a debug build of its own
# make lint    clang-format, ruff, mypy, stubtest
# make bench   stdlib against pyconc
# make clean   remove what the others made
#
# PYTHON=python3.13 picks the interpreter (the environment is made anew when
# it changes), CC the compiler, VENV the environment's place.  The build
# switches are in docs/internals/building.md.  JOBS is how many tests run at a
# time: most of them wait.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 4
ifeq ($(origin CC),default)
CC := gcc
endif
export CC

# An environment belongs to one interpreter, an installation to one state of
# the sources and one set of switches: each is a stamp in the environment.
interpreter := $(shell $(PYTHON) -c 'import sys, zlib; print( \
    "%d.%d.%d-%08x" % (*sys.version_info[:3], \
    zlib.crc32(sys.base_prefix.encode())))' 2>/dev/null)
environment := $(VENV)/.made-$(interpreter)
installed := $(VENV)/.installed-$(PYCONC_DEBUG)-$(PYCONC_SANITIZE)
sources := setup.py pyproject.toml $(shell find csrc pyconc \
    -name '*.[ch]' -o -name '*.txt' -o -name '*.py' -o -name '*.pyi')
# Directories too: their time changes when a file is removed.
sources += $(shell find csrc pyconc -type d ! -name __pycache__)
bin := $(VENV)/bin
pip := $(bin)/pip install --quiet --disable-pip-version-check

# $(call require,table expression): install what pyproject.toml lists there,
# without building pyconc for it.
require = $(bin)/python -c 'import tomllib; \
    table = tomllib.load(open("pyproject.toml", "rb")); \
    project = table["project"]; \
    extra = project["optional-dependencies"]; \
    print(*$(1), sep="\n")' | $(pip) -r /dev/stdin

# Debian calls the packages python3.13, python3.13-dev, python3.13-venv.
package := $(patsubst python,python3,$(notdir $(PYTHON)))

.PHONY: run test c-test crash lint bench install prerequisites clean

run: install
	$(bin)/python examples/main_job.py

test: install $(VENV)/.test c-test
	$(bin)/pytest -n $(JOBS)

c-test: | prerequisites
	$(PYTHON) tests/c/run.py

crash:
	PYCONC_DEBUG=1 $(MAKE) VENV=build/venv-debug install build/venv-debug/.test
	build/venv-debug/bin/pytest -n $(JOBS) tests/crash --full-matrix

lint: install $(VENV)/.dev
	find csrc tests/c -name '*.[ch]' -print0 | \
	    xargs -0r $(bin)/clang-format --dry-run -Werror
	$(bin)/ruff check .
	$(bin)/mypy
	@# From elsewhere, so that it meets the installed package.
	cd $(VENV) && bin/stubtest pyconc._core pyconc._launch

bench: install $(VENV)/.bench
	$(bin)/python benchmarks $(BENCH)

install: $(installed)

# Old build products would otherwise be packed again after their source has
# gone.
$(installed): $(environment) $(VENV)/.build $(sources)
	rm -rf build/release*/lib* build/debug*/lib* pyconc.egg-info
	rm -f $(VENV)/.installed*
	$(pip) --no-deps --no-build-isolation .
	@touch $@

$(VENV)/.build: pyproject.toml $(environment)
	$(call require,table["build-system"]["requires"]+project["dependencies"])
	@touch $@

$(VENV)/.test $(VENV)/.dev $(VENV)/.bench: pyproject.toml $(environment)
	$(call require,extra["$(subst .,,$(notdir $@))"])
	@touch $@

$(environment): | prerequisites
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@touch $@

prerequisites:
	@missing() { echo "$$1: install the Debian package $$2" >&2; exit 1; }; \
	command -v $(PYTHON) >/dev/null || \
	    missing "$(PYTHON) is missing" $(package); \
	$(PYTHON) -c '' 2>/dev/null || \
	    { echo "$(PYTHON) does not start: try its full path" >&2; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    missing "$(PYTHON) is older than 3.11" "python3.11 or newer"; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    missing "the venv module of $(PYTHON) is missing" $(package)-venv; \
	test -f "$$($(PYTHON) -c 'import sysconfig; \
	    print(sysconfig.get_path("include"))')/Python.h" || \
	    missing "Python.h of $(PYTHON) is missing" $(package)-dev; \
	command -v $(firstword $(CC)) >/dev/null || \
	    missing "the C compiler $(firstword $(CC)) is missing" \
	        $(notdir $(firstword $(CC))); \
	echo '#include <stdio.h>' | $(CC) -E - >/dev/null 2>&1 || \
	    missing "the C library's headers are missing" libc6-dev

clean:
	rm -rf .venv build dist *.egg-info .hypothesis .mypy_cache .pytest_cache \
	    .ruff_cache examples/extension/build examples/extension/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
