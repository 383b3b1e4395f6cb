# Each target works on a fresh machine with Python 3.10 or newer and make (and Go, where a sidecar is to be built):
# what it needs is installed into .venv, which is made anew when pyproject.toml changes.

VENV := .venv
VENV_PROTO := .venv-proto
VENV_DOCS := .venv-docs
READY := $(VENV)/.ready
READY_PROTO := $(VENV_PROTO)/.ready
READY_DOCS := $(VENV_DOCS)/.ready

# The newest Python that really runs and can make environments; a version manager's shim may exist and fail.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3.10 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1 && { command -v $$python; break; }; \
	done)
# Go's installer leaves it to the user to put this folder on PATH.
GO ?= $(shell command -v go 2>/dev/null || { test -x /usr/local/go/bin/go && echo /usr/local/go/bin/go; })

# The sidecar modules name the versions; nothing repeats them.
durabletask_version = $(shell sed -n 's|.*github.com/dapr/durabletask-go v\([0-9.]*\).*|\1|p' tools/$(1)/go.mod)
SIDECAR := .bin/durabletask-go-$(call durabletask_version,sidecar)
SIDECAR_OLDER := .bin/durabletask-go-$(call durabletask_version,sidecar-older)
DAPRD_VERSION := $(shell sed -n 's|.*github.com/dapr/dapr v\([0-9.]*\).*|\1|p' tools/daprd/go.mod)
DAPRD := .bin/daprd-$(DAPRD_VERSION)/daprd
# With DAPR_SIDECAR_DIR the sidecars are there already, and none is built.
NEEDED_SIDECARS := $(if $(DAPR_SIDECAR_DIR),,$(SIDECAR) $(SIDECAR_OLDER))
NEEDED_DAPRD := $(if $(DAPR_SIDECAR_DIR),,$(DAPRD))

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-e2e test-install test-dependents test-modes test-daprd test-kills fuzz docs lint format gen-proto sidecar daprd bench tox interpreters test-browser screenshots

help:
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{ printf "%-20s %s\n", $$1, $$2 }'

demo: $(READY) $(if $(filter daprd,$(DEMO_SIDECAR)),$(NEEDED_DAPRD))  ## an order turn by turn, a long workflow, a killed worker: on the emulator, or DEMO_SIDECAR=daprd
	$(VENV)/bin/python -m examples.demo

test: lint docs test-unit test-e2e  ## what CI asks of a change: lint, docs, test-unit and test-e2e

test-unit: $(READY) $(READY_PROTO)  ## the tests that need no sidecar
	$(VENV)/bin/pytest -n auto tests/unit $(PYTEST_ARGS)

# Without a sidecar the tests are skipped with a banner; DAPR_E2E=require makes that a failure. So a failed build ends nothing here.
test-e2e: $(READY)  ## the tests against real sidecars, which are built first where Go is there
	@test -n "$$DAPR_SIDECAR_DIR" || $(MAKE) --no-print-directory sidecar \
		|| echo 'make: a sidecar could not be built (see above); the tests go on with those that are there' >&2
	$(VENV)/bin/pytest tests/e2e $(PYTEST_ARGS)

test-daprd: $(READY) $(NEEDED_DAPRD)  ## the e2e tests against a production daprd, which is built first (needs Go)
	DAPR_TEST_SIDECAR=daprd $(VENV)/bin/pytest tests/e2e -k daprd $(PYTEST_ARGS)

# What workers keep between turns must not show. The first mode, delta-sticky, is that of test-e2e.
MODES ?= delta-replay full-sticky full-replay evict verify
test-modes: $(READY)  ## the e2e tests in each other mode: delta-replay, full-sticky, full-replay, evict, verify (MODES)
	@for mode in $(MODES); do \
		echo "== $$mode"; DAPR_TEST_MODE=$$mode $(MAKE) --no-print-directory test-e2e || exit; done

FUZZ_EXAMPLES ?= 50000
fuzz: $(READY)  ## the property tests of sticky execution with 50,000 random cases each (FUZZ_EXAMPLES)
	DAPR_TEST_EXAMPLES=$(FUZZ_EXAMPLES) $(VENV)/bin/pytest tests/unit/worker/test_sticky_model.py tests/unit/coroutines/test_replays_elsewhere.py $(PYTEST_ARGS)

KILLS ?= 200
test-kills: $(READY)  ## kill -9 of the sidecar and of a worker under load, 200 times each (KILLS); on daprd with DAPR_TEST_SIDECAR=daprd
	DAPR_TEST_KILLS=$(KILLS) $(VENV)/bin/pytest -s tests/e2e/test_kills.py $(PYTEST_ARGS)

test-browser: $(READY)  ## the dashboard in a real browser (needs chromium)
	$(VENV)/bin/pytest tests/browser $(PYTEST_ARGS)

screenshots: $(READY)  ## make the pictures of the dashboard in docs/ anew (needs chromium)
	$(VENV)/bin/python -m tools.screenshots

test-install: $(READY)  ## each way to install the built wheel, in a fresh environment (needs a package index)
	$(VENV)/bin/python -m tools.install_ways

test-dependents: $(READY)  ## packages that are built on dapr.ext.workflow (dapr-agents, diagrid), on ours (needs a package index)
	$(VENV)/bin/python -m tools.dependents

docs: $(READY_DOCS)  ## the user's guide and the API reference, into build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(VENV_DOCS)/bin/mkdocs build --strict --quiet
	@echo 'The site is there: open build/site/index.html'

lint: $(READY)  ## ruff, mypy --strict, and pyright over the examples
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

format: $(READY)  ## let ruff put the code in shape
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

gen-proto: $(READY_PROTO)  ## make the stubs of proto/ anew
	$(VENV_PROTO)/bin/python tools/gen_proto.py

sidecar: $(SIDECAR) $(SIDECAR_OLDER)  ## build the Go sidecars of the e2e tests into .bin/ (needs Go)

daprd: $(DAPRD)  ## build a production daprd with its placement and scheduler services into .bin/ (needs Go)

bench: $(READY) $(NEEDED_SIDECARS)  ## measure replay and throughput beside dapr 1.19.0
	$(VENV)/bin/python -m benchmarks $(BENCH_ARGS)

tox: $(READY)  ## the unit tests on every Python that is found, and on the oldest and the newest dependencies
	$(VENV)/bin/tox run

interpreters:  ## tell which of the supported Pythons are here
	$(require_python)
	@$(PYTHON) tools/interpreters.py

define require_python
@test -n "$(PYTHON)" || { \
	echo 'make: no Python 3.10 or newer with venv and pip was found on PATH (on Debian: apt-get install python3-venv).' >&2; \
	echo 'make: name one with: make PYTHON=/path/to/python3' >&2; exit 1; }
endef

# The --group option came with pip 25.1.
define make_venv
$(require_python)
@echo "making $(1) with $$($(PYTHON) -c 'import sys; print(sys.executable, sys.version.split()[0])')"
@$(PYTHON) -m venv --clear $(1)
@$(1)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
@$(1)/bin/python -m pip install --quiet $(2)
@touch $@
endef

$(READY): pyproject.toml
	$(call make_venv,$(VENV),--editable . --group dev)

$(READY_PROTO): pyproject.toml
	$(call make_venv,$(VENV_PROTO),--group proto)

$(READY_DOCS): pyproject.toml
	$(call make_venv,$(VENV_DOCS),--group docs)

define require_go
@test -n "$(GO)" || { \
	echo 'make: Go is not here, and $@ is built with it: install Go 1.26 or newer,' >&2; \
	echo 'make: or point DAPR_SIDECAR_DIR at a folder that holds $(patsubst .bin/%,%,$@).' >&2; exit 1; }
endef

# -mod=readonly: what is built is what go.mod and go.sum say, or nothing.
define build_sidecar
$(require_go)
@mkdir -p $(@D)
cd $(<D) && CGO_ENABLED=0 GOWORK=off $(GO) build -mod=readonly -trimpath -buildvcs=false -o '$(CURDIR)/$@' github.com/dapr/durabletask-go
@touch $@
endef

$(SIDECAR): tools/sidecar/go.mod tools/sidecar/go.sum
	$(build_sidecar)

$(SIDECAR_OLDER): tools/sidecar-older/go.mod tools/sidecar-older/go.sum
	$(build_sidecar)

# All three in one folder. -s and -w leave out what only debuggers read.
$(DAPRD): tools/daprd/go.mod tools/daprd/go.sum tools/daprd/main.go
	$(require_go)
	@mkdir -p $(@D)
	cd $(<D) && CGO_ENABLED=0 GOWORK=off $(GO) build -mod=readonly -trimpath -buildvcs=false \
		-ldflags '-s -w -X github.com/dapr/dapr/pkg/buildinfo.version=$(DAPRD_VERSION)' \
		-o '$(CURDIR)/$(@D)/' . github.com/dapr/dapr/cmd/placement github.com/dapr/dapr/cmd/scheduler
	@touch $@
