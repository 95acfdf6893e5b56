# Thin recipes; each is a line or two that also works by hand (see README.md).
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint nightly clean

demo: $(VENV)/.installed
	$(BIN)/gesso demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy core plugins bridges
	$(BIN)/lint-imports
	$(BIN)/vermin --no-tips --quiet --violations --target=3.9- --backport typing core/gesso/errors.py core/gesso/wire core/gesso/client bridges/gesso_bridges/panel bridges/gesso_bridges/krita

nightly: $(VENV)/.installed-dev
	$(BIN)/python tools/nightly.py

clean:
	rm -rf build dist $(VENV)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Gesso needs Python 3.11 or newer: install it, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "installing Gesso and what it needs into $(VENV); PyTorch is large, this takes minutes"
	$(BIN)/python -m pip install --quiet .
	@touch $@

# Editable, so that the tests run what lies in this folder.
$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "installing Gesso, what it needs and the developers' tools into $(VENV); this takes minutes"
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps k-diffusion torchsde torchdiffeq trampoline  # oracles of the sampler tests
	@touch $@ $(VENV)/.installed
