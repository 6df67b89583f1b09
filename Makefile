# The commands of the house. A second call installs nothing unless the requirements changed.
#
#     make demo PYTHON=python3.12     another interpreter
#     make demo TORCH_INDEX=URL       torch from another index, as that of PyTorch's CPU builds
#     make suite DATA=FOLDER          the folder of data sets
#     make paper FIGURES=2            some of the paper's figures

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
DATA ?= ../shared/data
FIGURES ?= 1 2 3 4

BIN := $(VENV)/bin
PIP := $(BIN)/pip install -c constraints.txt
REQUIREMENTS := pyproject.toml constraints.txt

# $(call install,WHAT): torch first where it has an index of its own, then what asks for it.
define install
$(if $(TORCH_INDEX),$(PIP) --no-deps --index-url $(TORCH_INDEX) torch)
$(PIP) $(1)
endef

.PHONY: help demo demo-kafka test lint check chaos docs suite paper install clean

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*##/    make \1 -/p' Makefile

demo: $(VENV)/.demo  ## learn a real stream, test-then-train, and plot how it went
	rm -rf build/demo
	$(BIN)/fenchel-stream run examples/demo.toml
	@echo "plot:        build/demo/accuracy.png"
	@echo "checkpoints: $(BIN)/fenchel-stream checkpoint list build/demo/checkpoints"

demo-kafka: $(VENV)/.demo  ## the same from topics of a broker, with labels that come at arrival
	$(BIN)/python -m examples.topics

test: $(VENV)/.dev  ## every test and every docstring example, with coverage
	$(BIN)/python -m pytest --cov --numprocesses auto --dist loadfile

lint: $(VENV)/.dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

chaos: $(VENV)/.dev  ## kill, starve and damage runs for over half an hour; resumable, writes a report
	$(BIN)/python -m tests.chaos

check: lint test  ## what must pass before a change lands

docs: $(VENV)/.dev  ## the reference, as pages under build/docs
	$(BIN)/pdoc --docformat numpy --math --output-directory build/docs \
		fenchel_stream fenchel_connectors

suite: $(VENV)/.dev  ## compare models on many streams: overnight, and it goes on where it was stopped
	$(BIN)/python -m examples.benchmarks.suite --data $(DATA)

paper: $(VENV)/.dev  ## rerun the paper's figures: hours, and it goes on where it was stopped
	set -e; for figure in $(FIGURES); do \
		OMP_NUM_THREADS=1 $(BIN)/python -m examples.paper.figure$$figure --data $(DATA); done

install: $(BIN)/pip  ## the package alone, as the container image has it
	$(call install,.)

clean:  ## remove all that was made, except the environment
	rm -rf build dist *.egg-info .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find fenchel_stream connectors tests examples -name __pycache__ -prune -exec rm -rf {} +

# pip, not python, says that the environment is whole: without python3-venv only pip is missing.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(REQUIREMENTS) | $(BIN)/pip
	$(call install,-e '.[demo]')
	touch $@

$(VENV)/.dev: $(REQUIREMENTS) | $(BIN)/pip
	$(call install,-e '.[dev]')
	touch $(VENV)/.demo $@
