# make run: the whole loop, small. make quick: what to try after each change. make test: every test. make weights: the shipped weights, from real films, in hours. docs/install.md says the same without make.
PYTHON ?= python3
BIN := .venv/bin
TESTS := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
export TF_CPP_MIN_LOG_LEVEL ?= 3
# Without it Python would compile the tests, and every process that they start the package, each time anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run quick test app space bench weights docs lint clean

run: .venv/ready
	@$(BIN)/python -m tuning.quickstart

quick: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(TESTS) tests/library -m "not slow and not keras and not films"

test: .venv/ready
	$(TESTS)

app: .venv/ready
	$(BIN)/python -m flask_app

space: .venv/ready
	$(BIN)/python -m spaces.app

bench: .venv/ready
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/install_size.py

weights: .venv/ready
	$(BIN)/python benchmarks/gornale_protocol.py --data "$(KNEEOA_DATA)" --out runs/gornale.csv
	$(BIN)/python -m tuning audit --data oai="$(KNEEOA_DATA)/oai_train.zip" --data oai="$(KNEEOA_DATA)/oai_val.zip" \
		--data oai="$(KNEEOA_DATA)/oai_test.zip" --data gornale=runs/gornale.csv --out runs/audit
	$(BIN)/python -m tuning search --data runs/audit --out runs/search --epochs 10 --films 2400 --validation-films 900 \
		--only size=128,160 --only view=whole --only fold=False --only stem=conv5 --only block=plain,residual,squeeze_excite \
		--only widths=16-32-64-128,32-64-128-192,48-96-192 --only blocks=1,2 --only normalisation=True \
		--only pooling=average,max --only dense= --only dropout=0.0,0.2 --only learning_rate=0.001,0.002 \
		--only augmentation=0.35,0.7,1.0
	$(BIN)/python -m tuning train --data runs/search --out runs/teacher-train --architecture winner,folded@224,joint-line --epochs 45 --patience 45 --batch 32 \
		--mixup 0.4 --occlusion 0.5 --precision mixed_bfloat16
	$(BIN)/python -m tuning evaluate --data runs/teacher-train --out runs/teacher-evaluate --validation-only
	$(BIN)/python -m tuning export --data runs/teacher-evaluate --out runs/teacher
	$(BIN)/python -m tuning train --data runs/search --out runs/taught-train --architecture folded@224 --seeds 1 --epochs 70 --patience 70 --batch 32 \
		--mixup 0.2 --occlusion 0.5 --precision mixed_bfloat16 --teacher ./runs/teacher \
		--join runs/teacher-train/member-winner-0.weights.h5 --join runs/teacher-train/member-folded@224-0.weights.h5
	$(BIN)/python -m tuning evaluate --data runs/taught-train --out runs/taught-evaluate --validation-only
	$(BIN)/python -m tuning export --data runs/taught-evaluate --out runs/taught
	$(BIN)/python -m tuning train --data runs/search --out runs/train --architecture folded@224 --seeds 2 --epochs 75 --patience 75 --batch 32 \
		--mixup 0.2 --occlusion 0.5 --precision mixed_bfloat16 --teacher ./runs/taught --join runs/taught-train/member-winner-0.weights.h5 \
		--join runs/taught-train/member-folded@224-0.weights.h5 --join runs/taught-train/member-folded@224-1.weights.h5
	$(BIN)/python -m tuning evaluate --data runs/train --out runs/evaluate
	$(BIN)/python -m tuning locator --data runs/audit --out runs/locator
	$(BIN)/python -m tuning gate --data runs/audit --out runs/gate
	$(BIN)/python -m tuning export --data runs/evaluate --locator runs/locator --gate runs/gate --out runs/bundle --name kneeoa-cnn \
		--cross-domain docs/evidence/cross-domain/cross-domain.json

docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	touch $@

clean:
	rm -rf runs build dist site
