# SPDX-License-Identifier: Apache-2.0
# Every target sets up what it needs first: see scripts/setup. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
JOBS ?= $(shell nproc)

# Flags of this make are not meant for the makefiles of the simulations.
unexport MAKEFLAGS MFLAGS MAKELEVEL

.PHONY: help setup sim test regress lint format cov bench study synth scalesim docs clean distclean

help: ## List the targets and options
	@echo "usage: make TARGET [OPTION=VALUE ...]"
	@echo
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)$$/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
	    printf '  %-10s %s\n' "$$target" "$$text"; done
	@echo
	@echo "  SIM=verilator|icarus   simulator (sim: verilator unless given; test: both unless given)"
	@echo "  DATA_W=128|256|512     sim: width of the data bus in bits (default 512 on verilator, 128 on icarus)"
	@echo "  SEED=number|random     seed of the random stimulus (default 1)"
	@echo "  WAVES=1                leave an FST trace in the folder of each simulation, build/cocotb/.../runs/..."
	@echo "  TENSORS=file           sim: push the tensors of this .safetensors file through the engine"
	@echo "  JOBS=number            parallel test processes (default: number of processors)"

setup: ## Install the tool chain into .venv (done by every other target too)
	@scripts/setup

sim: setup ## Run a neural network with every tensor in DRAM protected by the RTL
	@SIM=$(or $(SIM),verilator) $(PYTHON) -m tb.app.main

test: setup ## Verify everything that a change has to pass: model, RTL in both simulators, testplan, coverage
regress: setup cov ## Verify more, for the night: test and cov, every build and module, long random runs

regress: TIER := --nightly

# Each step runs whatever the one before it found; the summary is last.
test regress:
	@rm -rf build/tests build/cov/functional
	@status=0; \
	$(PYTHON) -m pytest -n $(JOBS) --dist worksteal $(TIER) --record build/tests/pytest.json tests || status=1; \
	$(PYTHON) -m scripts.check_testplan || status=1; \
	$(PYTHON) -m tb.env.coverage || status=1; \
	$(PYTHON) -m scripts.summary || status=1; \
	exit $$status

lint: setup ## Check style, types, RTL lint, countermeasure tags, benches, generated files
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m scripts.check_headers
	$(PYTHON) -m scripts.check_file_lists
	$(PYTHON) -m scripts.check_rtl
	$(PYTHON) -m scripts.check_sec_cm
	$(PYTHON) -m scripts.check_benches
	$(PYTHON) scripts/gen_regs.py --check
	$(PYTHON) scripts/gen_docs.py --check

format: setup ## Format the Python files
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

cov: setup ## Measure line, toggle and functional coverage: build/cov/index.html
	@rm -rf build/cov
	COV=1 SIM=verilator $(PYTHON) -m pytest -q -n $(JOBS) --dist worksteal tests/rtl
	$(PYTHON) -m scripts.cov

bench: setup ## Measure the speed of the model and the cycles of the engine
	@$(PYTHON) scripts/bench.py

study: setup ## Reproduce the paper's evaluation by modelling: build/study/report.html
	@$(PYTHON) -m tensortee study paper --output build/study

synth: setup ## Synthesize the engine with Yosys and print its size
	@$(PYTHON) -m scripts.synth

scalesim: setup ## Compare the systolic array of the study with SCALE-Sim, in an environment of its own
	@$(PYTHON) -m scripts.scalesim_check

docs: setup ## Regenerate the generated files and tables
	$(PYTHON) scripts/gen_regs.py
	$(PYTHON) scripts/gen_docs.py

clean: ## Delete everything that was built
	rm -rf build

distclean: clean ## Delete the tool chain too
	rm -rf .venv
