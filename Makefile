# The commands of the project. A second call installs nothing, unless the requirements changed.
#
#     make demo PYTHON=python3.12             another interpreter
#     make test EXTRAS=dev VENV=.venv-light   the tests without torch, in an environment of their own
#     make demo-kafka BOOTSTRAP=host:9092  on a cluster of your own, where it makes two topics
#     make suite DATA=FOLDER                  the folder of data sets
#     make paper FIGURES=2                    some of the paper's figures
#     make chaos CHAOS=--quarter              every fourth part of each kind
#
# pip reads its own variables: PIP_EXTRA_INDEX_URL can name an index that has a CPU build of torch.

PYTHON ?= python3
VENV ?= .venv
DATA ?= ../shared/data
FIGURES ?= 1 2 3 4
CHAOS ?=
# The extras of pyproject.toml to install. `install` takes none by default, all others take `dev,torch`.
EXTRAS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/pip install -c constraints.txt
ALL_EXTRAS := dev,torch
DEV := $(VENV)/.installed-$(or $(EXTRAS),$(ALL_EXTRAS))
DEMO := $(VENV)/.installed-demo

.PHONY: help demo demo-kafka test lint check chaos docs suite paper install clean

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*##/    make \1 -/p' Makefile

demo: $(DEMO)  ## learn a real stream, test-then-train, and plot the accuracy
	rm -rf build/demo
	$(BIN)/fenchel-stream run examples/demo.toml
	@echo "plot:        build/demo/accuracy.png"
	@echo "checkpoints: $(BIN)/fenchel-stream checkpoint list build/demo/checkpoints"

demo-kafka: $(DEMO)  ## learn the same stream from a Kafka broker, with labels that come at arrival
	$(BIN)/python -m examples.topics $(if $(BOOTSTRAP),--bootstrap $(BOOTSTRAP))

test: $(DEV)  ## run every test and every example of the documentation, with coverage
	$(BIN)/python -m pytest --cov --numprocesses auto --dist loadfile

lint: $(DEV)  ## check style, types, and which module imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

docs: $(DEV)  ## build the documentation under build/docs; a warning or a broken reference is an error
	$(BIN)/sphinx-build --fail-on-warning --nitpicky --keep-going --quiet -b html docs build/docs

check: lint test docs  ## run all that must pass before a change lands

chaos: $(DEV)  ## kill, starve and damage runs for hours; resumable, writes a report
	$(BIN)/python -m tests.chaos $(CHAOS)

suite: $(DEV)  ## compare models on many streams overnight; resumable
	$(BIN)/python -m examples.benchmarks.suite --data $(DATA)

paper: $(DEV)  ## rerun the paper's figures for hours; resumable
	set -e; for figure in $(FIGURES); do \
		OMP_NUM_THREADS=1 $(BIN)/python -m examples.paper.figure$$figure --data $(DATA); done

install: $(BIN)/pip  ## install the package and its EXTRAS, as the container image does
	$(PIP) '.$(if $(EXTRAS),[$(EXTRAS)])'

clean:  ## remove all that was made, except the environment
	rm -rf build dist *.egg-info .coverage* .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache
	find fenchel_stream connectors tests examples -name __pycache__ -prune -exec rm -rf {} +

# The target is pip and not python: where python3-venv is missing, an environment has python only.
$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/pip
	$(PIP) -e '.[$*]'
	touch $@
