# Everything a developer or CI does here. `make help` lists it.
#
# PY=3.13          only this Python version (default: every supported one that is found)
# PROFILE=debug    build the extension without optimisation (default: release)
# PYTHON=...       the interpreter that runs the tools themselves (any CPython >= 3.11)

PYTHON ?= python3
PY ?=
PROFILE ?= release
SELECT = $(if $(PY),--py $(PY))

.PHONY: help build setup interpreters

help: ## say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

build: ## build the extension into .venv/3.X and python/aioxide
	@$(PYTHON) tools/env.py build $(SELECT) --profile $(PROFILE)

setup: ## make the virtual environments only
	@$(PYTHON) tools/env.py setup $(SELECT)

interpreters: ## list the interpreters that were found
	@$(PYTHON) tools/env.py list
