# Every target makes what it needs, on a machine with Python 3.11 or later and nothing else.
PYTHON ?= python3
BIN := .venv/bin
export MPLBACKEND := Agg

.PHONY: demo test test-all lint docs bench

demo: .venv/installed
	$(BIN)/face-analysis demo --output demo-output

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-all: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

docs: .venv/installed
	$(BIN)/mkdocs build --strict

bench: .venv/installed
	for script in loading pack train_step train_epoch inference extract heads sampled_classes matching search interval_coverage photos photos_memory startup audit_copies decode_limits fuzz_decode starts readability; do $(BIN)/python -m benchmarks.$$script || exit 1; done

# The pinned torch is taken before anything that depends on it, so that no other build of it is fetched.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
