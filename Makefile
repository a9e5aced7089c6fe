# Everything from a fresh clone. Needs Python 3.11 or newer, make and git; the rest goes into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

KERNELS := anyres/kernels/build.py $(wildcard anyres/kernels/native/*)

.PHONY: setup demo test check bench
.DELETE_ON_ERROR:

setup: .venv/dev.stamp

# What anyres needs to run, and what it needs to be worked on. The second holds the first.
.venv/run.stamp: pyproject.toml constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	@echo "Installing anyres into .venv (a few minutes the first time) ..."
	@$(PIP_INSTALL) -e '.[video]'
	@touch $@ .venv/kernels.stamp

.venv/dev.stamp: pyproject.toml constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	@echo "Installing anyres and its development tools into .venv (a few minutes the first time) ..."
	@$(PIP_INSTALL) -e '.[dev]'
	@$(PIP_INSTALL) --no-deps dashscope==1.20.14  # only for its qwen.tiktoken: the vocabulary of Qwen2
	@touch .venv/run.stamp $@ .venv/kernels.stamp

# The install compiles them; this does it again where a source is newer. Without a compiler everything runs on torch.
.venv/kernels.stamp: .venv/run.stamp $(KERNELS)
	@$(BIN)/python -m anyres.kernels.build || true
	@touch $@

demo: .venv/run.stamp .venv/kernels.stamp
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh

# A process a core, each with one thread and whole files of tests, in their order: those of the page come last.
WORKERS ?= logical
test: .venv/dev.stamp .venv/kernels.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --cov --cov-report=term:skip-covered \
		-n $(WORKERS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Against transformers, and llama.cpp where BENCH_OPTIONS names it: see benchmarks/cpu_peers.py. 11 GB in BENCH, kept.
BENCH ?= /tmp/anyres-bench
bench: .venv/dev.stamp .venv/kernels.stamp
	$(BIN)/python -m benchmarks.quant_loss
	$(BIN)/python -m benchmarks.kernels
	$(BIN)/python -m benchmarks.cpu_peers --folder $(BENCH) --write $(BENCH_OPTIONS)
