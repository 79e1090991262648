# Everything from a fresh clone: `make train` or `make test`. `make help` lists the rest.

PYTHON      ?= python3
PIP_OPTIONS ?=
# Options of the training run and of pytest: make train TRAIN="--seed 1", make test TESTS="tests/domains/python/test_gate.py -x"
TRAIN       ?=
TESTS       ?=
# By how much `make fuzz` multiplies the number of examples
FUZZ        ?= 10

VENV   := .venv
RUN    := $(VENV)/bin/python
READY  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help train test test-adapters fuzz lint format docs image docker clean

help:
	@echo "make train    train a teacher and a solver on the miniature in the sandbox (5 to 10 minutes on 2 cores)"
	@echo "make test     make lint, and the tests"
	@echo "make test-adapters   tests with libraries that the project does not depend on, which it installs apart"
	@echo "make fuzz     the property tests with fresh examples, FUZZ=10 times as many; make test draws the same ones always"
	@echo "make docs     build docs/ into docs/_build/html; a warning is an error"
	@echo "make docker   install and start Docker Engine, and bubblewrap (Debian and Ubuntu, as root)"
	@echo "make image    build the sandbox image"
	@echo "make lint     ruff, mypy, and the layers that imports keep to"
	@echo "make format   let ruff format the code"
	@echo "make clean    remove the virtual environment and the caches"
	@echo
	@echo "PYTHON=python3.12 chooses the interpreter (3.11 or later), PIP_OPTIONS=... is handed to pip."

# Without an engine the next tier is taken (bubblewrap, Landlock), and the run says which it was.
train: $(READY)
	@$(RUN) -m gasp_env.sandbox build || echo "Going on without Docker." >&2
	$(RUN) -m learners.reinforcepp $(TRAIN)

test: lint
	@$(RUN) -m gasp_env.sandbox build || { test -z "$$GASP_REQUIRE_DOCKER" && \
	  echo "Going on without it: the tests that need Docker are skipped." >&2; }
	$(RUN) -m pytest $(TESTS)

# Of packages that want other versions than ours, in an environment of its own that sees ours.
test-adapters: $(READY)
	test -d .venv-adapters || $(RUN) -m venv .venv-adapters
	ls -d "$$PWD"/$(VENV)/lib/python3*/site-packages > "$$(ls -d .venv-adapters/lib/python3*/site-packages)/gasp_env_adapters.pth"
	.venv-adapters/bin/python -m pip install --quiet $(PIP_OPTIONS) torchrl==0.14.1 tianshou==2.0.1 openenv==0.10.0 gem-llm==0.1.0
	test -d .venv-verifiers || $(RUN) -m venv .venv-verifiers
	ls -d "$$PWD"/$(VENV)/lib/python3*/site-packages > "$$(ls -d .venv-verifiers/lib/python3*/site-packages)/gasp_env_adapters.pth"
	.venv-verifiers/bin/python -m pip install --quiet $(PIP_OPTIONS) verifiers==0.4.0
	.venv-verifiers/bin/python -m pytest tests/adapters/test_verifiers.py $(TESTS)
	.venv-adapters/bin/python -m pytest tests/adapters/test_foreign.py tests/adapters/test_openenv.py tests/adapters/test_gem.py $(TESTS)

fuzz: $(READY)
	GASP_FUZZ=$(FUZZ) $(RUN) -m pytest -m hypothesis $(TESTS)

lint: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

format: $(READY)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

docs: $(READY)
	$(RUN) -m sphinx --quiet --fail-on-warning --keep-going --builder html docs docs/_build/html
	@echo "docs/_build/html/index.html"

image: $(READY)
	$(RUN) -m gasp_env.sandbox build

docker:
	sh sandbox_image/install_docker.sh

clean:
	rm -rf $(VENV) .venv-adapters .venv-verifiers docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The stamp is newer than what it was made from, so the second time costs nothing.
$(READY): pyproject.toml constraints.txt | $(VENV)/bin/pip
	@echo "Installing packages into $(VENV): a minute or two, the first time only."
	@$(RUN) -m pip install --quiet $(PIP_OPTIONS) --constraint constraints.txt --editable ".[dev]"
	@touch $@

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "gasp_env needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make train PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
