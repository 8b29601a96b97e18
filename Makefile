# Two commands matter: `make demo` and `make test`. Both set up what they need.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
LAB ?= lab
NODES ?= 2

.PHONY: help
help: ## Show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/.complete .venv/.system ## Make .venv and install what this machine lacks

.venv/.complete: pyproject.toml scripts/setup.sh hatch_build.py
	@scripts/setup.sh venv
	@touch $@

.venv/.system: .venv/.complete scripts/setup.sh
	@scripts/setup.sh system
	@touch $@

.PHONY: demo
demo: setup ## Start a lab, provision it and print a chat completion
	@$(BIN)/nimctl lab demo --name $(LAB) --nodes $(NODES)

.PHONY: test
test: lint unit integration road ## Run the tests that belong before each commit

.PHONY: test-full
test-full: molecule e2e ## Run the rest: every role scenario, and the end-to-end tests that take minutes

.PHONY: lint
lint: .venv/.complete ## Check types, style and Ansible content
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	$(BIN)/ansible-lint --offline --profile production

.PHONY: unit
unit: .venv/.complete ## Run the unit tests: seconds, no root, no network
	$(BIN)/pytest -q -n auto tests/unit

.PHONY: integration
integration: setup ## Run the tests that call ansible-playbook on fixtures
	$(BIN)/pytest -q tests/integration

.PHONY: molecule
molecule: setup ## Run the role scenarios on lab nodes
	scripts/molecule.sh

.PHONY: road
road: setup ## Take two bare lab nodes to a completion and back
	$(BIN)/pytest -q -m "not slow" tests/e2e

.PHONY: e2e
e2e: setup ## Run the long end-to-end tests on labs
	$(BIN)/pytest -q -m slow tests/e2e

.PHONY: clean
clean: ## Take down the labs and remove what was built
	-$(BIN)/nimctl lab down --name $(LAB)
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
