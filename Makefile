# Everything a person needs, from a fresh clone with Python 3.11 or newer and make.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help install tools up down clean test test-pythons chaos kills thorough test-cluster lint format contracts docs lock bench image manifests

help:  ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

install: $(INSTALLED)  ## make .venv and install everything into it (others do it by themselves)

up: $(INSTALLED)  ## start the broker, the sandboxes and every service; Ctrl-C stops them
	@exec $(BIN)/jetmesh up

down: $(INSTALLED)  ## end a mesh that runs in another terminal
	@$(BIN)/jetmesh down

clean: $(INSTALLED)  ## forget everything that the mesh has stored
	@$(BIN)/jetmesh clean

# Most of the time tests wait. Those on three servers need the machine for themselves.
test: $(INSTALLED) tools  ## run every test; ARGS="tests/unit -k retry" chooses some
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder \
		--ignore=tests/cluster
	$(BIN)/python -m pytest tests/cluster
endif

test-pythons: $(INSTALLED)  ## the quick tests on every other Python that is supported and on this machine
	@.ci/pythons

test-cluster: $(INSTALLED) tools  ## try chart and manifests on a real cluster: KUBECONFIG's, else ../shared/cluster
	@PATH="$$PWD/.cache/bin:$$PATH" tests/deploy/cluster/keda >/dev/null
	@tests/deploy/cluster/run $(ARGS)

lint: $(INSTALLED)  ## ruff, mypy, import-linter, contracts that break readers, stale files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/jetmesh contracts --check
	$(BIN)/jetmesh contracts check
	$(BIN)/jetmesh deploy init --check

chaos: $(INSTALLED)  ## break a cluster of three under load; SEED=7 MINUTES=10 FAULTS=leader-killed,poison
	@$(BIN)/python -m tests.cluster.chaos

kills: $(INSTALLED)  ## kill replicas that remember, and the shop, for long; INPUTS=10000 KEYS=300 DEATHS=60
	@STATE_KILLS=$(or $(INPUTS),10000)x$(or $(KEYS),300)x$(or $(DEATHS),60) \
		$(BIN)/python -m pytest tests/integration/test_state_kills.py
	@SHOP_KILLS=4 $(BIN)/python -m pytest tests/shop/test_kills.py

thorough: $(INSTALLED) tools  ## try many times as many random examples as `make test`; TIMES=20
	@TIMES=$(or $(TIMES),20) $(BIN)/python -m pytest -m "hypothesis or thorough" --timeout=7200 --ignore=tests/cluster

format: $(INSTALLED)  ## put the code in its form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

contracts: $(INSTALLED)  ## write the AsyncAPI documents and the schemas below contracts/
	@$(BIN)/jetmesh contracts

docs: $(INSTALLED)  ## write the tables in docs/ that are taken from the code, and the site
	@$(BIN)/python docs/tables.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo 'The site is in site/index.html.'

image: $(INSTALLED)  ## build the image of every service with docker or podman; IMAGE=shop:1.0.0
	@$(BIN)/jetmesh deploy image $(IMAGE)

manifests: $(INSTALLED) tools  ## write image, chart, and the manifests rendered from it
	@$(BIN)/jetmesh deploy init
	@$(BIN)/jetmesh deploy manifests

lock: $(INSTALLED)  ## choose the newest versions that pyproject.toml allows, with their hashes
	@for list in runtime "dev --group pyproject.toml:dev"; do set -- $$list; $(BIN)/uv pip compile \
		--quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --all-extras pyproject.toml pkg/shop/pyproject.toml \
		--no-emit-package jetmesh --no-emit-package shop-contracts \
		--output-file requirements/$$1.txt $${2:+$$2 $$3}; done

bench: $(INSTALLED)  ## measure side by side with peers; ROUNDS=1 MESSAGES=30000 for a minute
	@$(BIN)/python benchmarks/run.py

# What needs them says so where they cannot be had; on CI that is an error here already.
tools: $(INSTALLED)
	@deploy/k8s/install-tools || [ -z "$$CI" ]

# The stamp comes last: an installation that was cut short is made again.
$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "jetmesh needs Python 3.11 or newer; say which: make PYTHON=python3.12" >&2; exit 1; }
	@echo 'Installing into .venv; this happens once.'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation -e .
	@touch $@
