# Everything from a fresh clone: each target sets up .venv first, once.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow lint format peers benchmark benchmark-full clean

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

# Beside other frameworks on the same work, alternately; needs the real data (AUTOBRATS_REALDATA).
AUTOBRATS_REALDATA ?= ../shared/data
benchmark: .venv/.installed .venv-peers/.installed
	$(BIN)/python benchmarks/compare.py --data $(AUTOBRATS_REALDATA)

# Hours: the slow rows and sizes too, how time grows with the cases, and what has no peer.
benchmark-full: .venv/.installed .venv-peers/.installed
	$(BIN)/python benchmarks/compare.py --data $(AUTOBRATS_REALDATA) --full
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/limits.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/postprocessing.py $(AUTOBRATS_REALDATA)/brats_full/BraTS2021

# The second environment, for those that autobrats is compared with: the same torch, nnU-Net, MONAI, medpy, pyradiomics.
peers: .venv-peers/.installed

NNUNET := nnunetv2==2.8.1 dynamic-network-architectures==0.4.4
PEERS_PIP := .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
.venv-peers/.installed: benchmarks/peers.txt constraints.txt
	$(PYTHON) -m venv .venv-peers
	$(PEERS_PIP) torch
	$(PEERS_PIP) --no-deps $(NNUNET)
	$(PEERS_PIP) -r benchmarks/peers.txt
	touch $@

# torch comes first and pinned: an unpinned torch may bring gigabytes of another build.
.venv/.installed: setup.py constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf build dist demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
