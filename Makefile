# Everything is set up in .venv by whichever target needs it first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test check format bench soak parts clean

demo: $(READY)
	@$(BIN)/faasctl build >/dev/null
	@$(BIN)/faasctl demo

# Two files at a time: most tests wait for servers. In their order: the many small ones come last.
test: $(READY)
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy actions/eventflow triggers/faasfeeds cli/faasctl tests

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	@$(BIN)/python -m tests.bench

soak: $(READY)
	@$(BIN)/python -m tests.soak

parts: $(READY)
	@$(BIN)/python -m tests.parts

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "faasctl needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "no venv: install your system's python3-venv"; exit 1; }
	@echo "installing into $(VENV) (once, about half a minute)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[platform,dev]'
	@touch $@

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis bench.json
