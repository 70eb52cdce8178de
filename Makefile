# `make` lists the targets. They run the set-up first if it is needed, which requires Python 3.11+
# and Java 17+. Targets for developers also install requirements-dev.lock; `make test-all` installs
# Chromium if it can.

SHELL      := /bin/bash
VENV       := .venv
BIN        := $(VENV)/bin
PEERS      := benchmarks/peers/.venv
JARS       := .cache/jars
CLASSES    := .cache/spark-classes.jsa
SPARK      := 3.5.9
OTHER      = .cache/spark-$(SPARK)
CONNECTOR  := org.mongodb.spark:mongo-spark-connector_2.13:10.5.0
# More processes than two cores, because tests also wait. In the order of the folders: unit tests,
# which are short, even out the end.
SIDE_BY_SIDE := --numprocesses 3 --dist loadfile --no-loadscope-reorder
PIP        := $(BIN)/python -m pip --disable-pip-version-check

# Spark's scripts and workers must use the interpreter that has the packages.
export PYSPARK_PYTHON := $(CURDIR)/$(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help setup demo check test test-all test-spark bench quality reproduce soak zip _java _browser
.DELETE_ON_ERROR:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Create .venv from requirements.lock and fetch jars

demo: $(VENV)/.ready | _java ## Run the whole pipeline on generated clips (DATA=dir: on your own videos)
	$(BIN)/trailergenre demo $(if $(DATA),--data "$(DATA)")

check: $(VENV)/.dev ## Check lint, formatting, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(VENV)/.dev ## Run the unit tests that are not marked slow, and those of the docs
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not slow and not soak" tests/docs tests/unit

test-all: $(VENV)/.dev $(CLASSES) | _java _browser ## Run all tests, and the examples in docstrings
	$(BIN)/pytest $(SIDE_BY_SIDE) --doctest-modules tests lib

# Its packages come before those of .venv, which are the same for each version of Spark. Java is
# not checked, for an old Spark runs on an old one.
test-spark: $(OTHER)/.ready ## Run the tests of Spark's versions with another one (SPARK=3.5.9)
	PYTHONPATH=$(CURDIR)/$(OTHER) $(BIN)/pytest tests/spark/test_versions.py

# Ray Data has its own environment, which only a full run and B12 need.
bench: $(if $(filter-out B12,$(GOAL)),,$(PEERS)/.ready)
bench: $(VENV)/.dev | _java ## Measure speed and memory (GOAL=B5: one goal; GOAL=quick: a short run; WEIGHTS=PATH)
	cd benchmarks && ../$(BIN)/python -m speed $(GOAL) $(if $(WEIGHTS),--weights '$(abspath $(WEIGHTS))')

quality: $(VENV)/.dev | _java ## Measure models on published data (PART=trailers: one part)
	cd benchmarks && ../$(BIN)/python -m quality $(PART)

reproduce: $(VENV)/.dev ## Train on Trailers12k's splits, beside its paper (DATA=dir, SUBSET=500: a quick look)
	PYTHONPATH=benchmarks $(BIN)/python -m reproduce "$(DATA)" $(if $(SUBSET),--subset $(SUBSET))

soak: $(VENV)/.dev | _java ## Run the long tests: kills, mutations, growth, docs (PART=fuzz-1: one part)
	$(BIN)/python tests/soak.py $(PART)

zip: $(VENV)/.ready ## Write dist/trailergenre.zip and dist/environment.tar.gz for spark-submit
	rm -rf build dist
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	mv dist/trailergenre-*.whl dist/trailergenre.zip
	rm -rf build
	$(BIN)/python conf/pack_environment.py dist/environment.tar.gz

$(PEERS)/.ready: benchmarks/peers/requirements.txt | $(VENV)/.locked
	$(BIN)/python -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes \
		--requirement $<
	@touch $@

$(OTHER)/.ready: tests/spark_versions/$(SPARK).lock | $(VENV)/.dev
	@echo "set-up: install Spark $(SPARK)"
	@rm -rf $(OTHER)
	@$(call quietly,$(PIP) install --target $(OTHER) --no-deps --no-build-isolation --require-hashes \
		--requirement $<)
	@touch $@

# --- set-up -------------------------------------------------------------------------------------
# A stamp for each step, so that editing pyproject.toml does not reinstall everything.

# Runs commands silently; prints their output if one fails.
quietly = mkdir -p .cache && ( $(1) ) >.cache/set-up.log 2>&1 \
	|| { code=$$?; cat .cache/set-up.log >&2; exit $$code; }

$(VENV)/.ready: $(VENV)/.locked pyproject.toml $(JARS)/.ready
	@$(call quietly,$(PIP) install --no-deps --no-build-isolation --editable .)
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.ready
	@echo "set-up: install the developers' packages"
	@$(call quietly,$(PIP) install --require-hashes --no-build-isolation --requirement $<)
	@touch $@

$(VENV)/.locked: requirements.lock | _java
	@python=$$($(find_python)) && echo "set-up: create .venv with $$python" \
		&& "$$python" -m venv --clear $(VENV)
	@awk '/^(pip|setuptools)==/, !/\\$$/' requirements.lock > $(VENV)/installers.lock
	@echo "set-up: install packages, about 1 GB"
	@$(call quietly,$(PIP) install --require-hashes --requirement $(VENV)/installers.lock \
		&& $(PIP) install --require-hashes --no-build-isolation --requirement requirements.lock)
	@touch $@

# Spark's resolver fetches the jars once; tests and demo then need no network.
$(JARS)/.ready: conf/mongo-connector.sha256 | $(VENV)/.locked
	@echo "set-up: fetch the MongoDB connector for Spark"
	@rm -rf .cache/ivy $(JARS) && mkdir -p $(JARS) && touch $(JARS)/nothing.py
	@$(call quietly,$(BIN)/spark-submit --properties-file conf/spark-local.conf \
		--conf spark.jars.ivy=$(CURDIR)/.cache/ivy --packages $(CONNECTOR) $(JARS)/nothing.py)
	@mv .cache/ivy/jars/*.jar $(JARS) && rm $(JARS)/nothing.py
	@$(call quietly,cd $(JARS) && $(sha256_check) $(CURDIR)/$<)
	@touch $@

sha256_check = $$(command -v sha256sum >/dev/null && echo sha256sum || echo shasum -a 256) --check

# A class archive for the tests' JVMs, which halves a job's start-up time.
$(CLASSES): tests/jvms.py tests/spark_classes.py $(VENV)/.locked | $(VENV)/.dev _java
	@echo "set-up: write a class archive for the tests' JVMs"
	@$(call quietly,$(BIN)/python tests/jvms.py)

# The first interpreter of version 3.11 to 3.13 that can create an environment with pip.
define find_python
for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		2>/dev/null && command -v "$$python" && exit; \
done; \
echo "error: Python 3.11 to 3.13 with venv is required. Found: $$(python3 --version 2>&1)." \
	"Install it (Debian: apt-get install python3-venv; Fedora: dnf install python3.13;" \
	"macOS: brew install python@3.13) or name one: make setup PYTHON=/path/to/python3.13" >&2; exit 2
endef

_java:
	@java=$${JAVA_HOME:+$$JAVA_HOME/bin/}java; \
	major=$$("$$java" -version 2>&1 | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p'); \
	[ "$${major:-0}" -ge 17 ] || { \
		echo "error: Java 17 or newer is required. Found: $${major:-none}." \
			"Install it (Debian: apt-get install default-jre-headless;" \
			"Fedora: dnf install java-headless; macOS: brew install --cask temurin)" \
			"or set JAVA_HOME." >&2; exit 2; }

# The tests of the reports use the system's browser.
_browser:
	@for browser in chromium google-chrome chromium-browser; do \
		command -v $$browser >/dev/null && exit; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "set-up: install chromium with apt-get"; export DEBIAN_FRONTEND=noninteractive; \
		( $(call quietly,apt-get update -qq && apt-get install -qq --no-install-recommends chromium) ) \
			&& exit; \
	fi; \
	echo "note: tests of the reports need Chromium; install it (Debian: apt-get install chromium;" \
		"Fedora: dnf install chromium). Nothing else needs it." >&2
