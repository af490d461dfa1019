# make demo      the whole line on the bundled model: install, sample, label, screen, answer, build
# make test      install, the whole test suite
# make lint      formatting, lint, types
# make demo-model   train the bundled models again and write their scores (45 minutes on 2 cores)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint demo-model clean

demo: $(INSTALLED)
	$(BIN)/magpie-hub demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

demo-model: $(INSTALLED)
	$(BIN)/python -m demo_model.train
	$(BIN)/python -m demo_model.reward
	$(BIN)/python -m demo_model.score

clean:
	rm -rf $(VENV) build dist *.egg-info

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[transformers,annotate,dev]'
	touch $@
