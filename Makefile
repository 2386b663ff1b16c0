# `make repro` runs the selected study from nothing to a table; `make test` runs the tests; `make ui` opens the MLflow UI.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Stages at once; 0: one where there is a GPU, else one for each core, four at most.
JOBS ?= 0

.PHONY: help install repro study plan test ui doctor clean

help:
	@echo "make repro   install, compile the specs, run what is stale, print the table"
	@echo "make study   the default study with three seeds, so that its claims can be judged"
	@echo "make plan    show the stages and what would run, and why"
	@echo "make ui      open the MLflow UI on this checkout's store"
	@echo "make test    install what the tests need and run them"
	@echo "make doctor  check this machine: Python, torch, codecs, data roots, disk"

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11 to 3.13 is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
# Stages are called as `python`: so that a bare .venv/bin/dvc finds this one, it puts its own folder first in PATH.
	@$(BIN)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "vidspec.pth").write_text("import os, sys; os.environ[\"PATH\"] = os.path.join(sys.prefix, \"bin\") + os.pathsep + os.environ.get(\"PATH\", \"\")\n")'
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

install: $(VENV)/installed

repro: install
	@$(BIN)/vidspec repro --jobs $(JOBS)

study: install
	@$(BIN)/vidspec repro --jobs $(JOBS) -S 'coclr_demo.seeds=[0,1,2]'

plan: install
	@$(BIN)/vidspec plan

ui: install
	@$(BIN)/vidspec ui

doctor: install
	@$(BIN)/vidspec doctor

# One thread a worker: torch's threads stall each other when there are more of them than cores.
test: $(VENV)/installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

clean:
	rm -rf $(VENV) plan results .vidspec
