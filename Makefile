# The verbs of this repository. Variables go through: GENERATOR_HZ=1042 make up, make local HTTP_PORT=8090.
python := .run/venv/bin/python

.PHONY: up local test test-docker lint bench chaos tune lock secrets zip clean install-dev

up:                        # in Docker, if an engine answers and the images can be had; else without. Ctrl-C stops it all
	@if docker info >/dev/null 2>&1 && docker compose pull --quiet --ignore-buildable --policy missing; then \
	  exec docker compose up --build; \
	else \
	  echo "no Docker engine with the images: starting without Docker"; exec python3 -m local; \
	fi

local:                     # the system as local processes; Ctrl-C stops it
	@python3 -m local

test: install-dev          # every test, on real servers; make test ARGS='-k writer'
	$(python) -m pytest $(ARGS)

test-docker: install-dev   # the same system by docker compose; starts an engine where none answers
	sh tests/docker/run.sh $(ARGS)

lint: install-dev
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	.run/venv/bin/lint-imports
	$(python) -m tests.page_sources

bench: install-dev
	$(python) -m bench $(ARGS)

chaos: install-dev         # break the running system on purpose and count every tick; ARGS=--help
	@exec $(python) -m tests.chaos $(ARGS)

tune:                      # PostgreSQL's sizes for this machine, as lines for .env; make tune ARGS='--memory 8GB --cores 4'
	@python3 -m local.tune $(ARGS)

install-dev:
	@python3 -m local install --dev

compile := .run/venv/bin/uv pip compile -q --universal --python-version 3.11.0 --generate-hashes --no-header --no-emit-index-url

lock: install-dev          # remake the lock files from what is asked for
	$(compile) pyproject.toml -o requirements.txt
	$(compile) pyproject.toml --group dev -o requirements-dev.txt
	$(compile) --no-deps local/requirements-servers.in -o local/requirements-servers.txt
	$(compile) local/requirements-go.in -o local/requirements-go.txt
	$(compile) local/requirements-node.in -o local/requirements-node.txt
	$(subst 3.11.0,3.12.0,$(compile)) tests/requirements-vrl.in -o tests/requirements-vrl.txt

secrets:                   # random passwords for compose.production.yaml, those that are missing
	@mkdir -p -m 700 secrets
	@for name in $$(sed -nE 's/^  ([a-z_]*): [{]file: .*(password|_key)"[}]$$/\1/p' compose*production.yaml); do \
	  [ -s secrets/$$name ] || openssl rand -hex 24 | tr -d '\n' >secrets/$$name; \
	done; chmod 644 secrets/*; ls secrets   # readable by the containers' users; the folder is closed

zip:                       # the repository as it is committed
	git archive --format=zip --prefix=tick-pipeline/ -o tick-pipeline.zip HEAD

clean:                     # all that was installed or stored here, data too
	rm -rf .run web/vendor web/node_modules
