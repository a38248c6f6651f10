# The course and its tests. `make` alone lists what there is.
PYTHON ?= python3
VENV ?= .venv
STEPS ?= 740
DEVICE ?= auto
OUT ?= runs/zero_pair
JOBS ?= 2
NOTEBOOKS ?= notebooks/*.ipynb

BIN = $(VENV)/bin
READY = $(VENV)/.installed
BROWSER = $(VENV)/.installed-browser

.DEFAULT_GOAL := help
.PHONY: help setup run course lab html test test-browser notebooks lint gpu speedrun soak

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

setup: $(READY)  ## make the virtual environment (VENV=.venv) and install requirements.txt into it

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11: give another one, as in make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r requirements.txt
	@touch $@

run: $(READY)  ## train for STEPS=740 steps in notebook 04, headless, and leave all results in OUT=runs/zero_pair
	@mkdir -p "$(OUT)"
	@echo "Training $(STEPS) steps. A stopped run goes on where it was; OUT=... names another folder."
	$(BIN)/python -m papermill --kernel python3 --execution-timeout 14400 --no-progress-bar --log-output \
	  -p steps 40 -p library_steps $(STEPS) -p device $(DEVICE) -p out "$(OUT)" \
	  notebooks/04_zero_pair_training.ipynb "$(OUT)/04_zero_pair_training.ipynb"
	@echo
	@$(BIN)/python -c 'import json, sys; from mmlib import table; print(table(json.load(open(sys.argv[1]))))' \
	  "$(OUT)/metrics.json"
	@echo "Everything is in $(OUT): the executed notebook, checkpoint, log, metrics.json and figures."

course: OUT = runs/course
course: $(READY)  ## run all notebooks in order, headless, into OUT=runs/course
	$(BIN)/python -m mmlib course --out "$(OUT)" -p device $(DEVICE)

lab: $(READY)  ## open the notebooks in JupyterLab
	$(BIN)/python -m jupyter lab --notebook-dir=notebooks

html: OUT = runs/html
html: $(READY)  ## make web pages of the notebooks and the library, with a contents page, in OUT=runs/html
	$(BIN)/python -m mmlib html --out "$(OUT)"

test: $(READY)  ## run the tests, and every notebook against its committed outputs, JOBS=2 files at a time
	MMLIB_STEPS=40 OMP_NUM_THREADS=$$($(BIN)/python -c 'import os; print(max(1, (os.cpu_count() or 1) // $(JOBS)))') \
	  $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --nbval --nbval-current-env --nbval-cell-timeout=600 tests notebooks

test-browser: $(BROWSER)  ## open and run notebooks in JupyterLab in a real browser, Debian's chromium
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } || \
	  { echo "chromium is missing: install it, as in sudo apt-get install chromium" >&2; exit 1; }
	$(BIN)/python -m pytest tests/browser

$(BROWSER): $(READY) tests/browser/requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -r tests/browser/requirements.txt
	@touch $@

notebooks: $(READY)  ## execute NOTEBOOKS=notebooks/*.ipynb in place, as they are committed
	$(BIN)/python -m mmlib execute $(NOTEBOOKS)

lint: $(READY)  ## check style, formatting, English, types, and that imports point down
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m mypy
	$(BIN)/python tests/language.py

gpu: OUT = runs/gpu
gpu:  ## what only a GPU can say, in nine minutes, with PYTHON=python3 as it is; SMOKE=1 tries it in a minute on a CPU
	$(PYTHON) tests/gpu.py "$(OUT)"

speedrun: $(READY)  ## from nothing to a zero-pair mIoU of 0.40, three seeds on a clock
	$(BIN)/python -m mmlib speedrun --device $(DEVICE)

soak: $(READY)  ## 2,000 smoke steps under random SIGKILLs, held against an undisturbed run
	$(BIN)/python tests/soak.py
