# make demo: embed a small corpus with the default model and search it.   make test: run the tests.
# make bench: race oneword against a plain transformers loop, quickly.
# All make the virtual environment .venv first, with pinned dependencies; a second run reuses everything.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
TORCH := torch==2.13.0

.PHONY: help demo test lint bench clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# //p' Makefile | head -3

demo: $(VENV)/installed .demo/vectors.parquet
	$(BIN)/oneword search --corpus .demo/vectors.parquet -k 5 \
	  "shipment has not turned up" "flooding disaster" "database performance tuning"

# Made again when what it was made with changes
ASKED := $(wildcard src/oneword/presets/*.toml) src/oneword/prompt.py src/oneword/models/gguf.py src/oneword/models/digest.py

.demo/vectors.parquet: examples/corpus.csv $(ASKED) | $(VENV)/installed
	@mkdir -p .demo
	$(BIN)/oneword embed examples/corpus.csv --column text -o $@

test: $(VENV)/installed-dev
	$(BIN)/oneword models pull
	$(BIN)/python -m pytest -n auto --dist loadfile

bench: $(VENV)/installed
	$(BIN)/oneword bench --quick

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	$(PIP) -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) -e ".[dev,quantize]"
	@touch $@

clean:
	rm -rf $(VENV) .demo dist
