# Every command does all of its own set-up. What is built is cached outside the tree, under $(CACHE).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CACHE := $(or $(SLUICE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sluice)
UV_VERSION := 0.13.9
UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
PYTHON := .venv/bin/python
READY := .venv/.ready
SOURCES := operator serving tests

.PHONY: help setup demo demo-store test test-integrations check bench cluster cluster-down images sbom fmt generate lock lock-check

help: ## show the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(UV):
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed as python3"; exit 1; }
	@echo "installing uv $(UV_VERSION) into the cache"
	@python3 -m venv $(CACHE)/uv-$(UV_VERSION) && $(CACHE)/uv-$(UV_VERSION)/bin/pip install -q uv==$(UV_VERSION)

$(READY): tests/requirements.lock pyproject.toml | $(UV)
	@echo "installing the locked Python packages into .venv"
	@$(UV) venv -q --allow-existing --python python3 .venv
	@$(UV) pip sync -q --python $(PYTHON) --require-hashes tests/requirements.lock
	@$(UV) pip install -q --python $(PYTHON) --no-deps -e .
	@touch $@

setup: $(READY) ## install the locked Python packages into .venv

demo: $(READY) ## the main job on a real cluster: canary, rollback, refusal, operator killed; checks its own claims
	@$(PYTHON) -m demo

demo-store: $(READY) ## what will store 42 earn: warehouse, features, training, registry, access, canary, a store that goes away
	@$(PYTHON) -m demo_store

test: $(READY) cluster images ## unit, runtime, router, control plane, chart, architecture and e2e tests
	@mkdir -p build
	@$(PYTHON) -m pytest -q -p no:cacheprovider -n 2 --ignore=tests/integrations --junitxml=build/test.xml

check: $(READY) ## ruff, mypy, import contracts, generated files fresh
	@$(PYTHON) -m ruff check $(SOURCES)
	@$(PYTHON) -m ruff format --check $(SOURCES)
	@$(PYTHON) -m mypy $(SOURCES)
	@.venv/bin/lint-imports
	@$(PYTHON) -m sluice_operator.api.crd --check

test-integrations: $(READY) ## heavy outside parts, each in its own cached environment: PyTorch, Keras, boosted trees, ...
	@$(PYTHON) -m pytest -q -p no:cacheprovider tests/integrations

bench: $(READY) cluster images ## measure the operator; tables and build/bench/*.json
	@$(PYTHON) -m bench

cluster: $(READY) ## a real single-node Kubernetes on this machine; kubeconfig in .cluster/kubeconfig
	@$(PYTHON) -m localcluster up $(if $(CI),--takeover)

images: cluster ## build the images and load them into the local cluster
	@$(PYTHON) -m localcluster images

cluster-down: $(READY) ## stop the local cluster and leave nothing behind
	@$(PYTHON) -m localcluster down

sbom: $(READY) ## what is in each image, as CycloneDX: build/sbom/*.json
	@$(PYTHON) -m supply

fmt: $(READY) ## format the code
	@$(PYTHON) -m ruff check --fix $(SOURCES)
	@$(PYTHON) -m ruff format $(SOURCES)

generate: $(READY) ## refresh the CRD, its copy in the chart, the rendered manifests and the protocol's messages
	@$(PYTHON) -m sluice_operator.api.crd --write
	@$(PYTHON) -m chart.render --write
	@$(PYTHON) -m chart.argocd
	@$(PYTHON) -m grpc_tools.protoc -I serving --python_out=serving --pyi_out=serving \
		serving/sluice_runtime/protocol/pb/open_inference.proto

lock-check: $(READY) ## every locked dependency of the images has a wheel for amd64 and for arm64
	@$(PYTHON) -m supply.locks

LOCK := pip compile -q --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11
lock: $(UV) ## resolve the dependencies again
	@$(UV) $(LOCK) pyproject.toml --extra operator -o operator/requirements.lock
	@$(UV) $(LOCK) pyproject.toml --extra serving --extra store --extra authorizer --extra tracing -o serving/requirements.lock
	@$(UV) $(LOCK) pyproject.toml --extra serving --extra store --extra authorizer --extra tracing --extra gpu --no-emit-package onnxruntime \
		-c serving/requirements.lock -o serving/requirements-gpu.lock
	@$(UV) $(LOCK) pyproject.toml --extra serving --extra store --extra features --extra train \
		-c serving/requirements.lock -o serving/requirements-tools.lock
	@$(UV) $(LOCK) pyproject.toml --extra operator --extra serving --extra store --extra authorizer --extra features --extra train --extra tracing --extra package --extra control --extra dev \
		-c operator/requirements.lock -c serving/requirements.lock -o tests/requirements.lock
