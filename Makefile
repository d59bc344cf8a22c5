PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint docs docs-quick course bench clean

demo: $(VENV)/.run
	$(BIN)/dipops demo --output demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html
	$(BIN)/python docs/_ext/links.py docs/_build/html
	@echo "Look at docs/_build/html/index.html"

docs-quick: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -D plot_gallery=0 -D nb_execution_mode=off -b html docs docs/_build/quick
	@echo "Look at docs/_build/quick/index.html; the gallery and the lessons were not run"

course: $(VENV)/.test
	$(BIN)/python -m pytest -m course tests/test_course.py

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.speed_report

clean:
	rm -rf $(VENV) demo build dist docs/_build docs/_drawn docs/_measured docs/api docs/commands.rst docs/gallery .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) -e '.[test]'
	touch $@

$(VENV)/.lint: $(VENV)/.test
	$(PIP) -e '.[lint]'
	touch $@

$(VENV)/.docs: $(VENV)/.run
	$(PIP) -e '.[docs]'
	touch $@
