# Everything a developer or CI does here; `make help` lists it.
#
#   PY=3.13          only this Python version (default: every supported one that is found)
#   PROFILE=debug    the extension without optimisation (default: release)
#   ONLY=python,docs only these parts of `make test` (`make test ONLY=help` names them)
#   ROWS=tcp_1k_*    only these rows of `make bench`; BENCH adds its other options
#   PYTHON=...       the interpreter that runs the tools themselves (CPython 3.9 or newer)

PY ?=
PROFILE ?= release
ONLY ?=
ROWS ?=
BENCH ?=
PYTHON ?= python3

SELECT = $(if $(PY),--py $(PY))
# One environment: that of PY, or of the newest version found. Set up and built by asking for it.
READY = $(PYTHON) tools/env.py path $(SELECT) --profile $(PROFILE)

.PHONY: help build setup interpreters pythons run test bench lint fmt docs

help: ## say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14

build: ## build the extension for every version, into .venv/3.X and python/aioxide
	@$(PYTHON) tools/env.py build $(SELECT) --profile $(PROFILE)

setup: ## make the virtual environments only
	@$(PYTHON) tools/env.py setup $(SELECT)

interpreters: ## list the interpreters that were found
	@$(PYTHON) tools/env.py list

pythons: ## bring CPython 3.14 and 3.15 where the system has none (Linux with apt)
	@$(PYTHON) tools/forky.py

run: ## play the tour: asyncio's lessons on aioxide, each saying what it shows
	@python="$$($(READY))" && \
	{ "$$python" tools/mariadb.py --ensure || echo "no MariaDB: that step will say so"; } && \
	"$$python" examples/tour.py

test: ## test everything on every version; all parts run, the last line sums up
	@$(PYTHON) tools/mariadb.py --ensure
	@$(PYTHON) tools/redis_package.py --ensure
	@$(PYTHON) tools/debug.py --ensure
	@$(PYTHON) tools/verify.py $(SELECT) --profile $(PROFILE) $(if $(ONLY),--only $(ONLY))

bench: ## measure against asyncio, uvloop and rloop on one version
	@python="$$($(READY) --groups test,bench)" && \
	"$$python" benches/run.py --python "$$python" $(if $(ROWS),--rows '$(ROWS)') $(BENCH)

lint: ## what must be in order before a commit: format, clippy, ruff, types, tidy
	@$(PYTHON) tools/lint.py $(SELECT)

fmt: ## format Rust and Python
	@$(PYTHON) tools/lint.py $(SELECT) --fix

docs: ## build the Rust documentation and run the snippets of README and docs/
	@python="$$($(READY))" && \
	RUSTDOCFLAGS="-D warnings" PYO3_PYTHON="$$python" cargo doc --no-deps --workspace --exclude models --exclude xtask && \
	"$$python" tools/snippets.py
