# Everything from a fresh clone: each target sets up .venv first, once.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow lint format benchmark benchmark-training clean

# Generated studies through all commands, with score tables at the end.
demo: .venv/.installed
	$(BIN)/autobrats_demo -o demo

test: .venv/.installed
	$(BIN)/python -m pytest -n auto --dist loadfile

test-slow: .venv/.installed
	$(BIN)/python -m pytest -m "slow or not slow"

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

format: .venv/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Measurements beside other frameworks; needs the real data (AUTOBRATS_REALDATA).
AUTOBRATS_REALDATA ?= ../shared/data
benchmark: .venv/.installed
	$(BIN)/python benchmarks/metrics.py $(AUTOBRATS_REALDATA)/real_predictions
	$(BIN)/python benchmarks/prediction.py
	$(BIN)/python benchmarks/planning.py $(AUTOBRATS_REALDATA)/Dataset004_Hippocampus
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/postprocessing.py $(AUTOBRATS_REALDATA)/brats_full/BraTS2021
	$(BIN)/python benchmarks/radiomic_features.py $(AUTOBRATS_REALDATA)/brats_full/BraTS2021
	$(BIN)/python benchmarks/tuning.py $(AUTOBRATS_REALDATA)/brats2020_lesions

# A plain MONAI U-Net beside a fold that was trained: WORKSPACE and MINUTES say which and how long.
WORKSPACE ?= autobrats_workspace
MINUTES ?= 10
benchmark-training: .venv/.installed
	$(BIN)/python benchmarks/training.py -w $(WORKSPACE) --minutes $(MINUTES)

# torch comes first and pinned: an unpinned torch may bring gigabytes of another build.
.venv/.installed: setup.py constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf build dist demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
