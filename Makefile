# Two commands matter: `make demo` and `make test`. Both set up what they need.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
LAB ?= lab
NODES ?= 2
# Every scenario but the quick ones; the longest first, so that no lane ends long before the other.
LONGEST := kernel default driver_upgrade
ROLES := $(filter-out lane_%,$(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))
SCENARIOS := $(filter $(ROLES),$(LONGEST)) $(filter-out $(LONGEST),$(ROLES))
E2E := $(patsubst tests/e2e/test_%.py,%,$(shell grep -l 'mark.slow\|installation' tests/e2e/test_*.py))

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

# Side by side, two at a time unless LANES says otherwise; each has a log in build/lanes. What takes longest comes
# early, and what fails most often first.
.PHONY: test
test: setup ## Run the tests that belong before each commit, with a quick scenario of every role
	@scripts/lanes.py lint unit molecule-lane_toolkit molecule-lane_driver integration road

.PHONY: test-full
test-full: setup ## Run the rest: every scenario as a whole, in containers and VMs, and the long end-to-end tests
	@scripts/lanes.py $(foreach scenario,$(SCENARIOS),molecule-$(scenario)) $(foreach part,$(E2E),e2e-$(part))

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
	$(BIN)/pytest -q -n auto --maxprocesses 4 tests/integration

.PHONY: molecule
molecule: setup ## Run all scenarios one after the other, or as `make molecule-NAME` one
	scripts/molecule.sh $(SCENARIOS)

molecule-%: setup
	scripts/molecule.sh $*

.PHONY: road
road: setup ## Take two bare lab nodes to a completion and back
	$(BIN)/pytest -q -m "not slow" tests/e2e

.PHONY: e2e
e2e: setup ## Run the long end-to-end tests on labs, or as `make e2e-NAME` those of one file
	$(BIN)/pytest -q -m slow tests/e2e

e2e-%: setup
	$(BIN)/pytest -q -m slow tests/e2e/test_$*.py

.PHONY: clean
clean: ## Take down the labs and remove what was built
	-$(BIN)/nimctl lab down --name $(LAB)
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
