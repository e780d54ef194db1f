# Every command of the project. `make help` lists them.
# Paths are relative, so that the project may lie in a folder with spaces in its name.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
LAUNCHER := $(PY) -m apps.core.launcher
INSTALL := apps/core/launcher/install.py
PRODUCT := requirements.txt requirements-local.txt
EPHEMERAL := $(LAUNCHER) exec --ephemeral --
# Each process of tests has databases of its own; Valkey has sixteen.
PARALLEL := -n logical --maxprocesses 8 --dist loadgroup
TEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test both-tests e2e lint format types check bench shell demo lock audit python venv venv-dev

help: ## Show this list
	@echo "Riskdesk. Start with: make run"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: venv ## Install, start everything with demo data, print the addresses (PORT=8000, HOST=127.0.0.1, DEMO=0)
	@exec $(LAUNCHER) run $(if $(filter 0,$(DEMO)),--no-demo)

test: venv-dev ## Everything: unit, integration and browser tests on throw-away servers
	@$(EPHEMERAL) $(MAKE) --no-print-directory both-tests

# On servers that are there already; the second part finds the databases that the first one made.
both-tests:
	@$(PY) -m pytest $(PARALLEL) --reuse-db $(TEST_ARGS)
	@$(MAKE) --no-print-directory e2e EPHEMERAL= KEPT=--reuse-db

e2e: venv-dev ## The browser tests alone
	@if chromium="$$($(LAUNCHER) browser)"; then \
		CHROMIUM="$$chromium" $(EPHEMERAL) $(PY) -m pytest $(PARALLEL) -m browser $(or $(TEST_ARGS),tests/browser) $(KEPT); \
	elif [ -n "$${CI:-}" ]; then \
		echo "CI is set, so the missing browser part is a failure."; exit 1; \
	else \
		echo "==============================================================="; \
		echo "ATTENTION: THE BROWSER TESTS DID NOT RUN. See the reason above."; \
		echo "==============================================================="; \
	fi

lint: venv-dev ## ruff (rules and format) and the import layers
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check --quiet . || { echo "Some files are not formatted: make format"; exit 1; }
	@$(PY) -c "from importlinter.cli import lint_imports_command as main; main()"

format: venv-dev ## Let ruff format the code
	@$(PY) -m ruff format .

types: venv-dev ## mypy, strict
	@$(EPHEMERAL) $(PY) -m mypy

check: venv-dev ## Django's deployment checks, the API's description, the migrations' completeness
	@deploy/check.sh

bench: venv-dev ## The benchmarks, on throw-away servers (docs/benchmarks.md; BENCH=benchmarks.orders)
	@$(EPHEMERAL) $(PY) -m $(or $(BENCH),benchmarks.orders) $(BENCH_ARGS)

shell: venv ## Django's shell, on the servers of `make run` (started if they are not running)
	@$(LAUNCHER) exec -- $(PY) manage.py shell

demo: venv ## Send a lively shop's signed webhooks to the running site
	@$(LAUNCHER) exec -- $(PY) manage.py simulate_store $(DEMO_ARGS)

lock: venv-dev ## Compile requirements*.txt, with hashes, from requirements*.in
	@for part in requirements requirements-local requirements-dev; do \
		$(PY) -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
			--no-header --no-annotate $$part.in -o $$part.txt || exit 1; \
	done

audit: venv-dev ## Known vulnerabilities of the pinned packages
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.txt

python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "Riskdesk needs Python 3.11 or later, and '$(PYTHON)' is not there. Install it (Debian: sudo apt-get"; \
		echo "install python3 python3-venv), or name another: make run PYTHON=/path/to/python3"; exit 1; }

venv: python
	@$(PYTHON) $(INSTALL) $(VENV) $(PRODUCT)

venv-dev: python
	@$(PYTHON) $(INSTALL) $(VENV) $(PRODUCT) requirements-dev.txt
