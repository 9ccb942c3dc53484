# Ateneo: `make demo` shows it, `make test` proves it. Everything goes into .venv; nothing else on the machine is touched.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TOOLS  := $(VENV)/.tools
LEAST  := .venv-minimum
OLDEST := .venv-oldest
PAGES  := .venv-docs
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-header --no-annotate

# Every interface once, and each provider's client: what a changed library would break.
LEAST_TESTS := tests/mcp tests/integrations tests/providers/test_anthropic.py tests/providers/test_openai.py \
  tests/providers/test_openai_chat.py tests/providers/test_rerank_http.py tests/api/test_chat_stream.py \
  tests/api/test_search.py tests/api/test_openapi.py tests/api/test_health.py tests/cli/test_cli.py \
  tests/cli/test_models_hub.py tests/providers/test_http_embedder.py \
  tests/base/test_guide.py tests/cli/test_backfill_command.py tests/base/test_settings.py tests/ingestion/test_parsing.py

OLDEST_TESTS := tests/db/test_pgvector.py tests/db/test_migrate.py tests/db/test_isolation_database.py \
  tests/db/test_uninstall.py tests/indexing/test_indexes.py tests/search/test_search.py tests/search/test_vector_search.py \
  tests/embedding/test_queue.py

POOLED_TESTS := tests/embedding/test_worker.py tests/embedding/test_queue.py tests/db/test_isolation_database.py \
  tests/db/test_isolation_machine.py tests/db/test_isolation_signed.py tests/search/test_vector_search.py

.PHONY: help demo test test-long fuzz mutants mutants-sample test-minimum test-oldest test-pooled wheel check docs serve bench lock clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Ateneo necesita Python 3.11 o posterior / needs Python 3.11 or later: make PYTHON=python3.12 ..."; exit 2; }
	@echo "Instalando en $(VENV) (solo la primera vez)..."
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Falta el módulo venv; en Debian y Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 2; }
	@$(PIP) --no-deps --require-hashes -r requirements.lock
	@$(PIP) --no-build-isolation --no-deps -e .
	@touch $(READY)

$(TOOLS): requirements-dev.lock $(READY)
	@echo "Instalando lo que usan las pruebas (solo la primera vez)..."
	@$(PIP) --no-deps --require-hashes -r requirements-dev.lock
	@touch $(TOOLS)

demo: $(READY)  ## the whole story, in Spanish, on a database of its own
	@$(BIN)/python examples/demo.py

test: check  ## linters, types, architecture and every test but the storms
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-long: $(TOOLS)  ## the storms: chaos, hostile files, long machines
	@$(BIN)/python -m pytest -m long --numprocesses auto --maxprocesses 4 --dist load

fuzz: $(TOOLS)  ## hypothesis with new examples every time, ten times as many; SEED=N makes a run's again
	@seed=$${SEED:-$$($(BIN)/python -c 'import secrets; print(secrets.randbelow(10**9))')}; echo "make fuzz SEED=$$seed"; \
	  $(BIN)/python -m pytest -m hypothesis --hypothesis-profile=fuzz --hypothesis-seed=$$seed \
	  --numprocesses auto --maxprocesses 4 --dist loadfile

mutants: $(TOOLS)  ## each guard of the source switched off, one at a time; prints those that no test noticed; goes on where it was
	@nice $(BIN)/python -m tests.mutants

mutants-sample: $(TOOLS)  ## two of each of three kinds of guard
	@$(BIN)/python -m tests.mutants --sample 6 'list entry:*' 'tenant:*' 'company:*:own_'

$(LEAST)/.ready: requirements-minimum.lock pyproject.toml
	@$(PYTHON) -m venv --clear $(LEAST)
	@$(LEAST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-minimum.lock
	@$(LEAST)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $(LEAST)/.ready

test-minimum: $(LEAST)/.ready  ## every interface, on the oldest versions that pyproject.toml allows
	@$(LEAST)/bin/python -m pytest -W ignore::pytest.PytestUnraisableExceptionWarning \
	  --numprocesses auto --maxprocesses 4 --dist loadfile $(LEAST_TESTS)

$(OLDEST)/.ready: requirements-oldest.lock
	@$(PYTHON) -m venv --clear $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-oldest.lock
	@touch $(OLDEST)/.ready

test-oldest: $(TOOLS) $(OLDEST)/.ready  ## migrations, isolation, indexes and searches on PostgreSQL 16 with pgvector 0.8.0
	@ATENEO_TEST_OLDER_SERVER=$(OLDEST)/bin/python $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile \
	  $(OLDEST_TESTS)

test-pooled: $(TOOLS)  ## isolation, the worker and searches through a PgBouncer that shares its sessions
	@ATENEO_TEST_POOLED=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(POOLED_TESTS)

check: $(TOOLS)  ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache | tail -n 8

$(PAGES)/.ready: requirements-docs.lock
	@$(PYTHON) -m venv --clear $(PAGES)
	@$(PAGES)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements-docs.lock
	@touch $(PAGES)/.ready

docs: $(PAGES)/.ready  ## the pages of docs/ and the Python reference, into site/; fails on a warning
	@NO_MKDOCS_2_WARNING=1 $(PAGES)/bin/mkdocs build --strict --quiet

wheel: $(READY)  ## the package as it is published, installed into an empty environment, every command tried there
	@$(BIN)/python .ci/wheel.py

serve: $(READY)  ## the console and the API on http://127.0.0.1:8000 (DATABASE_URL, or a database of this folder with the examples)
	@if [ -n "$$DATABASE_URL" ]; then $(BIN)/ateneo serve; else $(BIN)/python examples/serve.py; fi

bench: $(TOOLS)  ## the benchmarks, each in one run with what it is compared to
	@$(BIN)/python -m benchmarks

lock: $(READY)  ## the lock files anew from pyproject.toml
	@$(PIP) uv
	@$(BIN)/$(COMPILE) --extra embedded --group build -o requirements.lock pyproject.toml
	@$(BIN)/$(COMPILE) --all-extras --group dev --constraint requirements.lock -o requirements-dev.lock pyproject.toml
	@$(BIN)/$(COMPILE) --upgrade --resolution lowest-direct --all-extras --group test -o requirements-minimum.lock pyproject.toml
	@$(BIN)/$(COMPILE) --group pyproject.toml:docs -o requirements-docs.lock
	@$(BIN)/$(COMPILE) --group pyproject.toml:oldest -o requirements-oldest.lock

clean:  ## removes what was installed, and the embedded database of this folder
	rm -rf $(VENV) $(LEAST) $(OLDEST) $(PAGES) site .ateneo
