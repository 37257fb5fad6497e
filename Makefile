# `make help` lists what there is; docs/install.md says the same without make.
PYTHON ?= python3
BIN := .venv/bin
TEACHER ?= ./kneeoa-cnn-0.8.0
# Several processes test at once, so that each network has one thread: more of them would wait for each other in loops.
ONE_THREAD := OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 KNEEOA_THREADS=1
TESTS := $(ONE_THREAD) $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
# One process more than cores, up to four, because some of the time is waiting for servers and browsers.
PROCESSES := $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 3 ? cores + 1 : 4)))
export TF_CPP_MIN_LOG_LEVEL ?= 3
# Without it Python would compile the tests, and every process that they start the package, each time anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run help quick test app space bench weights shipped pack docs lint clean

run: .venv/ready  ## the whole loop, small, on synthetic films; sample films are graded with the shipped weights
	@$(BIN)/python -m tuning.quickstart

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##/\1 -/p' Makefile

quick: .venv/ready  ## what to try after each change, in under a minute: lint, and the quick tests of the library
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(TESTS) -n auto --maxprocesses 4 tests/library -m "not slow and not keras and not films"

test: .venv/ready  ## every test
	$(TESTS) -n $(PROCESSES)

app: .venv/ready  ## the Flask app, on port 8000
	$(BIN)/python -m flask_app

space: .venv/ready  ## the Gradio demo, on port 7860
	$(BIN)/python -m spaces.app

bench: .venv/ready  ## the figures of speed in docs/benchmarks.md
	$(BIN)/python -m benchmarks.speed

# TEACHER is the bundle of release 0.8.0. One network or two are compiled; trials differ in numbers alone.
SEARCH := --epochs 36 --least-epochs 4 --iterations 1 --batch 64 --films 10000 --validation-films 10000 --teacher kneeoa-cnn \
	--only backbone=lite0,lite1 --only size=288 --only view=whole --only fold=True --only pooling=average --only dense= \
	--only dropout=0.3 --only reach=0.85,1.0,1.15
# requirements.lock has JAX for processors, tuning/requirements.lock that for a GPU: docs/training.md.
MINUTES ?= 14
weights: .venv/ready  ## a search on the films in KNEEOA_DATA, its chosen trials trained for MINUTES, a bundle; needs a GPU
	$(AUDITED)
	$(BIN)/python -m tuning.training.pack --audit runs/audit --backbone lite0 --backbone lite1 --teacher "$(TEACHER)" --out runs/pack
	KERAS_BACKEND=jax $(BIN)/python -m tuning search --data runs/pack --out runs/search $(SEARCH)
	$(BIN)/python -m tuning search --data runs/pack --out runs/search $(SEARCH) --finish
	KERAS_BACKEND=jax $(BIN)/python -m tuning.training.accelerated --pack runs/pack --search runs/search \
		--minutes $(MINUTES) --out runs/longer
	$(BIN)/python -m tuning train --data runs/search --architecture none $$(printf -- '--join %s ' runs/longer/*.npz) --out runs/train
	$(BIN)/python -m tuning evaluate --data runs/train --protocol oai --out runs/evaluate
	$(BUNDLED)

# Release 0.11.0: lite0-d and lite1-d, from jobs that were written by hand, with the frame that validation films chose.
shipped: .venv/ready  ## the weights of release 0.11.0 again, which no search found; needs a GPU
	$(AUDITED)
	$(BIN)/python -m tuning.training.pack --audit runs/audit --backbone lite0 --backbone lite1 \
		--start "$(TEACHER)" --members folded@224-0,folded@224-1,folded@224-2 --teacher "$(TEACHER)" --out runs/pack
	KERAS_BACKEND=jax $(BIN)/python -m tuning.training.accelerated --pack runs/pack --jobs docs/evidence/accelerated/jobs.json \
		--minutes 14 --out runs/members
	$(BIN)/python -m tuning train --data runs/audit --architecture none --join runs/members/lite0-d.npz \
		--join runs/members/lite1-d.npz --out runs/train
	$(BIN)/python -m tuning evaluate --data runs/train --protocol oai --reach 0.95 --out runs/evaluate
	$(BUNDLED)

# For a machine with an accelerator and no network: docs/training.md. ITS_PYTHON is the version of Python there.
ITS_PYTHON ?= 3.12
pack: .venv/ready  ## what a search on an accelerator without a network needs, from runs/audit, in .pack and .whl
	$(BIN)/python -m tuning.training.pack --audit runs/audit --backbone lite0 --backbone lite1 --teacher "$(TEACHER)" --out .pack
	$(BIN)/python -m pip download --quiet --no-deps --only-binary=:all: --python-version $(ITS_PYTHON) --dest .whl \
		$$($(BIN)/python -m pip freeze | grep -E '^(keras|keras-tuner|kt-legacy|namex|optree|filelock)==')

define AUDITED
	$(BIN)/python benchmarks/gornale_protocol.py --data "$(KNEEOA_DATA)" --out runs/gornale.csv
	$(BIN)/python -m tuning audit --data oai="$(KNEEOA_DATA)/oai299_train.zip" --data oai="$(KNEEOA_DATA)/oai299_val.zip" \
		--data oai="$(KNEEOA_DATA)/oai299_test.zip" --data gornale=runs/gornale.csv --locator "$(TEACHER)" --out runs/audit
endef

define BUNDLED
	$(BIN)/python -m tuning locator --data runs/audit --out runs/locator
	$(BIN)/python -m tuning gate --data runs/audit --out runs/gate
	$(BIN)/python -m tuning export --data runs/evaluate --locator runs/locator --gate runs/gate --out runs/plain --name kneeoa-cnn
	$(BIN)/python -m benchmarks.robustness --audit runs/audit --bundle ./runs/plain --films 120 --out runs/robustness
	$(BIN)/python -m tuning export --data ./runs/plain --robustness runs/robustness --out runs/bundle \
		--cross-domain docs/evidence/cross-domain/cross-domain.json
endef

docs: .venv/ready  ## the documentation as a site, in site/; fails on a broken link
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: .venv/ready  ## linters, and types of code and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

.venv/ready: requirements.lock pyproject.toml
	@echo "Installing the packages into .venv: 5 GB, which takes some minutes and says nothing meanwhile."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $@

clean:  ## delete what the other targets made, but for the environment
	rm -rf runs build dist site
