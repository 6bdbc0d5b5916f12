# One verb a target. `make help` lists them. Everything lives in .venv and .state; nothing is installed elsewhere.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
STAMP := $(VENV)/.installed
NODE_TESTS := tests/integration/node
LOCK := $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

export HF_HUB_OFFLINE ?= 1

.PHONY: help setup up down status test test-unit test-explore test-observability test-cluster test-cluster-full cluster-up cluster-down lint format lock lock-check bench-gateway bench-routing bench-autoscaling docs render record-metrics clean

help: ## What there is.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: $(STAMP) ## Installs everything, locked and with compiled bytecode, into .venv.

$(STAMP): requirements/dev.txt requirements/uv.txt pyproject.toml $(wildcard $(NODE_TESTS)/package-lock.json)
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	  || { echo "make setup: Python 3.11 or 3.12 is needed (set PYTHON=/path/to/python3.11)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(UV) || $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(UV) pip sync -q --compile-bytecode --require-hashes --python $(BIN)/python requirements/dev.txt requirements/uv.txt
	$(UV) pip install -q --no-deps --no-build-isolation --python $(BIN)/python -e .
	@if command -v npm >/dev/null && test -f $(NODE_TESTS)/package-lock.json; then \
	  cd $(NODE_TESTS) && npm ci --silent --no-audit --no-fund; fi
	@touch $@

up: setup ## Starts engines, gateway, Prometheus and autoscaler (MODELS=a,b starts fewer; FLEET=file another fleet).
	@$(BIN)/parlance up $(if $(MODELS),--models $(MODELS)) $(if $(FLEET),--fleet $(FLEET))

down: ## Ends everything that `make up` started.
	@test ! -x $(BIN)/parlance || $(BIN)/parlance down

status: ## What runs.
	@$(BIN)/parlance status

# What starts no engine runs on all cores, file by file; the rest needs them for itself. 5: nothing was selected.
APART := tests/unit tests/chart tests/integration/gateway
test: setup ## Everything that needs no GPU.
	@$(BIN)/python -m pytest -n auto --dist loadfile $(APART) $(PYTEST) || test $$? -eq 5
	@$(BIN)/python -m pytest -m "not gpu and not cluster_full" $(APART:%=--ignore=%) $(PYTEST) || test $$? -eq 5

test-unit: setup ## Two minutes on two cores: no network, no Ray, no vLLM.
	@$(BIN)/python -m pytest -n auto --dist loadfile -m unit tests/unit $(PYTEST)

test-explore: setup ## Properties of the units with 1,000 new examples each, which `make test` does not look for (half an hour).
	@$(BIN)/python -m pytest -n auto --dist loadfile -m unit tests/unit --hypothesis-profile explore $(PYTEST)

test-observability: setup ## The whole stack under a real Prometheus: every panel, rule and number (minutes).
	@$(BIN)/python -m pytest tests/integration/observability $(PYTEST)

cluster-up: ## A throw-away Kubernetes with KubeRay and simulated GPUs, from the kit beside the checkout; else: what to install.
	@tests/cluster/kit.sh up

cluster-down: ## Ends it.
	@tests/cluster/kit.sh down

test-cluster: setup ## Chart and autoscaler on a real Kubernetes: PARLANCE_TEST_KUBECONFIG's, the one that runs, or one for these tests.
	@tests/cluster/kit.sh run $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder tests/cluster $(PYTEST)

test-cluster-full: setup ## The CPU demo in pods from this checkout's images, and a real Ray under KubeRay (half an hour, alone; 25 GB of disk).
	@KIT_STEPS=ray PARLANCE_TEST_KUBERAY=1 tests/cluster/kit.sh run \
	  $(BIN)/python -m pytest tests/cluster_full tests/cluster/test_kubernetes_kuberay.py $(PYTEST)

lint: setup ## Format, lint, types, layers, lock drift.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory lock-check

format: setup ## Formats the code and mends what can be mended.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

define LOCK_ALL
	$(LOCK) pyproject.toml --extra traces -o $(1)/gateway.txt
	$(LOCK) pyproject.toml --extra cpu --override requirements/overrides-cpu.txt -o $(1)/cpu.txt
	$(LOCK) pyproject.toml --extra cpu --extra dev --extra report --extra traces --override requirements/overrides-cpu.txt --override requirements/overrides-dev.txt -o $(1)/dev.txt
	$(LOCK) pyproject.toml --extra gpu -o $(1)/gpu.txt
	$(LOCK) requirements/uv.in -o $(1)/uv.txt
endef

lock: $(UV) ## Pins all dependencies anew, with hashes.
	$(call LOCK_ALL,requirements)

$(UV):
	@$(MAKE) --no-print-directory setup

lock-check: ## Whether the locks still say what pyproject.toml asks for (keeps the pinned versions).
	@rm -rf .state/lock && mkdir -p .state/lock && cp requirements/*.txt .state/lock/
	$(call LOCK_ALL,.state/lock)
	@for f in gateway cpu dev gpu uv; do diff -q requirements/$$f.txt .state/lock/$$f.txt >/dev/null \
	  || { echo "requirements/$$f.txt is out of date: run make lock"; exit 1; }; done; rm -rf .state/lock

docs: setup ## Writes the generated pages anew (schemas and references of the fleet and of the chart's values, sizing, report of quality).
	$(BIN)/parlance fleet schema > docs/fleet.schema.json
	$(BIN)/parlance fleet reference --into docs/fleet.md
	$(BIN)/parlance chart render
	$(BIN)/parlance plan --values deploy/helm/parlance/values.yaml --into docs/install.md
	$(BIN)/parlance plan --values deploy/helm/parlance/values-8xH100.yaml --into docs/install.md
	$(BIN)/parlance metrics list --markdown > docs/metrics.md.new && mv docs/metrics.md.new docs/metrics.md
	$(BIN)/parlance dashboards reference > docs/dashboards.md.new && mv docs/dashboards.md.new docs/dashboards.md
	$(BIN)/parlance quality report --fleet serve/fleet/examples/8xh100.yaml --markdown --picture docs/quality.png \
	  > docs/quality.md.new && mv docs/quality.md.new docs/quality.md

render: setup ## Writes rules, dashboards and the table of alerts anew, for the default objectives.
	$(BIN)/parlance metrics render

record-metrics: setup ## Writes down what Ray, vLLM and HAProxy export, from the running stack.
	$(BIN)/parlance metrics record

bench-gateway: setup ## CPU a request and a chunk beside HAProxy, in one run.
	$(BIN)/python bench/gateway/measure.py

bench-routing: setup ## Microseconds a decision.
	$(BIN)/python bench/routing/decide.py

bench-autoscaling: setup ## Other autoscalers' rules tuned in hindsight on two days of traffic, beside ours as shipped (minutes).
	$(BIN)/python bench/autoscaling/hindsight.py $(BENCH)

clean: down cluster-down ## Removes what was built and installed here.
	rm -rf $(VENV) .state $(NODE_TESTS)/node_modules
