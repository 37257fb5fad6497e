# make run: the whole loop, small. make test: every test. docs/install.md says the same without make.
PYTHON ?= python3
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: run test app space bench lint clean

run: .venv/ready
	@$(BIN)/python -m tuning.quickstart

test: .venv/ready
	$(BIN)/python -m pytest

app: .venv/ready
	$(BIN)/python -m flask_app

space: .venv/ready
	$(BIN)/python -m spaces.app

bench: .venv/ready
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/install_size.py

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/pyright

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $@

clean:
	rm -rf runs build dist
