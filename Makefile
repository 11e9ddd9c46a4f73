# Each target is a short list of commands that you can type yourself.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
# Where bytecode may not be written, each process compiles the whole pipeline again.
unexport PYTHONDONTWRITEBYTECODE

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

repro: .venv/train.stamp .dvc/plots/page.html ## Install, then bring every recipe of conf/recipes.yaml up to date
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro
	@$(BIN)/lineside summary

check: lint ## Lint, and the tests that start no process and train no network
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not slow"

test: .venv/dev.stamp ## Run every test, in four processes: many tests wait
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --durations 30

lint: .venv/dev.stamp ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: .venv/train.stamp ## Inspect the held-out images as a replayed camera stream, seen in a browser
	$(BIN)/lineside run conf/lines/demo.yaml --browser

bench-accuracy: .venv/train.stamp ## Accuracy of the shipped method, by two protocols
	$(BIN)/python -m benchmarks.accuracy

bench-duplicates: .venv/train.stamp ## Time and memory of the search for near-duplicates
	$(BIN)/python -m benchmarks.duplicates

bench-preprocess: .venv/train.stamp ## Rate and memory of preparing images, beside the bare OpenCV loop
	$(BIN)/python -m benchmarks.preprocess

bench-train-stage: .venv/train.stamp ## Seconds of the train stage, cold and with features cached
	$(BIN)/python -m benchmarks.train_stage

bench-time-to-accuracy: .venv-bench/stamp ## Time to accuracy beside fastai, timm and scikit-learn
	PYTHONPATH=.venv-bench $(BIN)/python -m benchmarks.time_to_accuracy
	$(BIN)/python -m benchmarks.time_to_accuracy --folds 5

bench-heads: .venv/train.stamp ## The trained head beside scikit-learn's, on the same features
	$(BIN)/python -m benchmarks.heads

bench-pictures: .venv/train.stamp ## Fit, size and scales of the pictures on every development set
	$(BIN)/python -m benchmarks.pictures

bench-normal: .venv/train.stamp ## Method normal beside anomalib's PatchCore and PaDiM, in an environment of its own
	test -x .venv-anomalib/bin/python || $(PYTHON) -m venv .venv-anomalib
	.venv-anomalib/bin/python -m pip install -q -c constraints.txt -e '.[train,demo]' anomalib==2.7.0
	.venv-anomalib/bin/python -m benchmarks.normal

bench-station: .venv/train.stamp ## Latency, rate, idle cost and start of a station
	$(BIN)/python -m benchmarks.station
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.commands
	$(BIN)/python -m benchmarks.pages

soak: .venv/dev.stamp ## Break a station longer and more often, then replay 100,000 frames
	LINESIDE_SOAK=1 $(BIN)/python -m pytest tests/faults
	$(BIN)/python -m benchmarks.soak --frames 100000

bench-gpu: .venv/train.stamp ## Fine-tuning on a GPU beside timm's own training loop
	$(BIN)/python -m benchmarks.gpu

bench: bench-accuracy bench-duplicates bench-preprocess bench-train-stage bench-time-to-accuracy bench-station ## All that need no GPU

# The page that `dvc plots show` writes then needs no network.
.dvc/plots/page.html: .venv/train.stamp $(wildcard pipeline/reporting/plots_page*)
	$(BIN)/python -m pipeline.reporting.plots_page

.venv/train.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[train,demo]'
	touch $@

.venv/dev.stamp: .venv/train.stamp
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[train,demo,dev]'
	touch $@

.venv-bench/stamp: benchmarks/requirements.txt .venv/train.stamp
	$(BIN)/python -m pip install -q --no-deps --upgrade --target .venv-bench -r $<
	touch $@

.PHONY: help repro check test lint demo bench bench-accuracy bench-duplicates bench-preprocess \
	bench-train-stage bench-time-to-accuracy bench-heads bench-normal bench-pictures bench-station bench-gpu \
	soak
