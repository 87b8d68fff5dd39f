# Everything runs from .venv, which `make setup` builds out of requirements.lock with nothing but Python.

VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/installed

# The first suitable interpreter on the PATH; `make setup PYTHON=/path/to/python3.12` takes another one.
SUITABLE := import sys; assert (3, 11) <= sys.version_info < (3, 14)
PYTHON ?= $(firstword $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c '$(SUITABLE)' 2> /dev/null && echo "$$p"; done))
# uv installs faster than pip where it is on the PATH; `make setup UV=` does without it.
UV ?= $(shell command -v uv 2> /dev/null)

# What make runs must never reach the sources or the warehouse that a developer's .env names.
export PYTHON_DOTENV_DISABLED := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
SQLMESH := INSIGHTMART_HOME=var/lint $(BIN)/sqlmesh --log-file-dir var/lint/logs

.DELETE_ON_ERROR:
.PHONY: help setup demo test test-models test-python test-fast check mutants fuzz kill-points soak audit sbom review docs format lint types hooks bench sandbox image checkov lock clean

help: ## List these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(SETUP) ## Create .venv and install what requirements.lock names (once; PYTHON=... chooses the interpreter)

# An environment that is there is kept, with its interpreter, and brought up to date; `make clean` first for another one.
$(SETUP): requirements.lock pyproject.toml
	@$(BIN)/python -c '$(SUITABLE)' 2> /dev/null || "$(PYTHON)" -c '$(SUITABLE)' 2> /dev/null || { \
		echo "make: Python 3.11, 3.12 or 3.13 is needed, and $(if $(PYTHON),$(PYTHON) is none of them,none is on the PATH)." \
			"Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "Installing about 210 packages into $(VENV): one to three minutes."
ifneq ($(strip $(UV)),)
	@$(BIN)/python -c '$(SUITABLE)' 2> /dev/null || "$(UV)" venv --quiet --clear --python "$(PYTHON)" $(VENV)
	@"$(UV)" pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@"$(UV)" pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
else
	@$(BIN)/python -c '$(SUITABLE); import pip' 2> /dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
endif
	@# At once, on all cores, also under PYTHONDONTWRITEBYTECODE: uncompiled, importing SQLMesh alone takes seconds. Some
	@# packages ship templates that are no Python, which is no failure.
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true
	@touch $@

demo: $(SETUP) ## Play the whole story on a sandbox and tie every total to the truth
	@$(BIN)/insightmart demo

# Tests run in one process a core (at most 8); one that is free takes tests over from the others.
TEST_PROCESSES ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2> /dev/null || echo 2); [ "$$n" -lt 8 ] && echo "$$n" || echo 8)

test: $(SETUP) ## Run all tests: those of Python, and beside them those of the models
	@$(MAKE) --no-print-directory --jobs 2 test-models test-python

test-models: $(SETUP) ## Run the models' own unit tests
	$(SQLMESH) test

test-python: $(SETUP) ## Run pytest, fast and slow
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist worksteal

test-fast: $(SETUP) ## Run the tests that are not marked slow: minutes less
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist worksteal -m "not slow"

check: $(SETUP) ## Before each commit: formatting, lint, types, fast tests; changes nothing
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint types
	@$(MAKE) --no-print-directory test-fast

mutants: $(SETUP) ## Change the models' SQL by one token, 40 times, and say what the unit tests notice (MUTANTS_FLAGS="--seed 7")
	$(BIN)/python -m bench.mutants $(MUTANTS_FLAGS)

BASE ?= origin/main
review: $(SETUP) ## Show what the files here do to the figures of BASE (origin/main), on a sandbox (REVIEW_FLAGS="--hours 72")
	@$(BIN)/python -m review --base "$(BASE)" $(REVIEW_FLAGS)

kill-points: $(SETUP) ## Kill commands between every two of their statements, and let one rerun heal it (KILL_FLAGS="--command cycle --every 10")
	$(BIN)/python -m tests.faults.kill_points $(KILL_FLAGS)

soak: $(SETUP) ## Play a month of hourly cycles with trouble at random (SOAK_FLAGS="--seed 2 --folder var/soak")
	$(BIN)/python -m tests.faults.soak $(SOAK_FLAGS)

FUZZ_EXAMPLES ?= 20000

fuzz: $(SETUP) ## Try the readers of files and of the shop's answers on damaged input for minutes (FUZZ_EXAMPLES=20000)
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/pytest -q tests/ingestion/stores/csv/test_properties.py \
		tests/ingestion/shopify/test_fuzzed_bulk.py tests/ingestion/shopify/test_fuzzed_answers.py

# It pulls in packages of its own, so it has an environment of its own. What it finds it asks the network for.
PIP_AUDIT_VERSION := 2.10.1
PIP_AUDIT := var/pip-audit-$(PIP_AUDIT_VERSION)

audit: $(SETUP) ## Look up known weaknesses of the locked packages at PyPI (installs pip-audit in var/, once)
	@[ -x $(PIP_AUDIT)/bin/pip-audit ] || { $(BIN)/python -m venv --clear $(PIP_AUDIT) && \
		$(PIP_AUDIT)/bin/python -m pip install --quiet pip-audit==$(PIP_AUDIT_VERSION); }
	$(PIP_AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements.lock \
		--requirement deploy/container/requirements.lock

sbom: $(SETUP) ## Write var/sbom.json, the locked packages as a list of materials (CycloneDX)
	$(BIN)/python -m verification.sbom var/sbom.json

docs: $(SETUP) ## Write pages, contracts, data sources, column comments, schema checks and grants from what defines them; build var/site
	INSIGHTMART_HOME=var/lint $(BIN)/python -m insightmart.definitions.documentation
	$(BIN)/python -m insightmart.account
	$(BIN)/python -m insightmart.costs.capacity_page
	$(BIN)/sphinx-build -q -W --keep-going -n -b html -d var/lint/site docs var/site
	@echo "file://$(CURDIR)/var/site/index.html"

format: $(SETUP) ## Write Python, models and audits in the project's format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(SQLMESH) format

lint: $(SETUP) ## Check formatting and rules of Python, models and audits
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	INSIGHTMART_HOME=var/lint $(BIN)/python -m linter

types: $(SETUP) ## Check types
	$(BIN)/mypy

hooks: $(SETUP) ## Check every commit by itself from now on (.pre-commit-config.yaml says what and why)
	$(BIN)/pre-commit install --install-hooks

bench: $(SETUP) ## Measure the ingestion of one production hour (BENCH_FLAGS="--scale 0.1": a tenth)
	$(BIN)/python -m bench.ingestion $(BENCH_FLAGS)

sandbox: $(SETUP) ## Say how to start the three sources on this machine
	@echo 'PostgreSQL, an S3 endpoint, a Shopify shop and a mail inbox, on 127.0.0.1 only:'
	@echo
	@echo '  . $(BIN)/activate'
	@echo '  insightmart sandbox up'
	@echo '  eval "$$(insightmart sandbox env)"'
	@echo '  insightmart cycle'
	@echo '  insightmart sandbox down'

IMAGE ?= insightmart

image: ## Build the container image of the commit that is checked out (IMAGE=... names it); its tag is the commit
	@[ -z "$$(git status --porcelain)" ] || { echo "make: files differ from the commit, which the image would name." \
		"Commit or stash them" >&2; exit 2; }
	docker build --file deploy/container/Dockerfile --build-arg COMMIT="$$(git rev-parse HEAD)" \
		--tag "$(IMAGE):$$(git rev-parse HEAD)" .

# checkov asks for versions of boto3, packaging and networkx that do not go with ours: it has an environment of its own.
CHECKOV_VERSION := 3.3.30
CHECKOV := var/checkov-$(CHECKOV_VERSION)

checkov: $(SETUP) ## Look for what is unsafe in the templates and the Dockerfile of deploy/ (installs checkov in var/, once)
	@[ -x $(CHECKOV)/bin/checkov ] || { $(BIN)/python -m venv --clear $(CHECKOV) && \
		$(CHECKOV)/bin/python -m pip install --quiet checkov==$(CHECKOV_VERSION); }
	@$(CHECKOV)/bin/checkov --directory deploy --framework cloudformation dockerfile --compact --quiet --skip-download

lock: $(SETUP) ## Resolve requirements.lock anew (LOCK_FLAGS="--upgrade-package duckdb" lets one move)
	@PATH="$(CURDIR)/$(BIN):$$PATH"; command -v uv > /dev/null || $(BIN)/python -m pip install --quiet uv; \
	compile="uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate"; \
	$$compile --all-extras $(LOCK_FLAGS) --output-file requirements.lock && \
	$$compile --constraint requirements.lock --output-file deploy/container/requirements.lock

clean: ## Remove .venv and caches; var/ stays, because it holds the local warehouse
	rm -rf $(VENV) build insightmart.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis logs var/lint
