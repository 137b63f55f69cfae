# make run       sets everything up and starts the daemon (the built-in mock where there is no key)
# make test      every test                  make check   formatting, lints, types, and every test
# make dashboard builds the page of the admin port (needs npm and Node.js 20.19 or newer; run and test do it where they are there)
# make quick     the tests that start no process and open no socket, in a minute or two
# make agents    Claude Code, Codex, Cline, opencode, Continue, aider and llm at work (AGENTS="codex llm" for some of them)
# make coverage  how much of each package the tests reach, processes included; fails below 95 %
# make faults    kills and disconnects by the hundred (half an hour)
# make bench     the table of docs/performance.md (ARGS="--growth", "--others", "--translation", "--questions" or "--profile" for the rest of it)
# make examples  writes what commands print now into README and docs, and the pictures of top and the dashboard
# make catalogue writes the lists of models in proxy/data again, from the packages that requirements/ names
# make lock      refreshes requirements/     make clean   removes what make made

PYTHON ?= python3
RUN := .venv
SUITABLE = @$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Tollkeeper needs Python 3.11 or newer, and %s is Python %s. Try: make $(MAKECMDGOALS) PYTHON=python3.12" % (sys.executable, sys.version.split()[0]))'
DEV := .venv-dev
CLIENTS := .venv-clients .venv-clients-openai3
AGENTS ?= claude-code codex cline opencode continue aider llm
PIP := -m pip --disable-pip-version-check install
LOCK := pip-compile -q --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options --strip-extras
KEYS := $(OPENROUTER_API_KEY)$(OPEN_ROUTER_API_KEY)$(OPENAI_API_KEY)$(ANTHROPIC_API_KEY)
CONFIG_HOME := $(or $(XDG_CONFIG_HOME),$(HOME)/.config)
CONFIGS := $(TOLLKEEPER_CONFIG)$(wildcard $(CONFIG_HOME)/tollkeeper/config.yaml /etc/tollkeeper/config.yaml)
MOCK := $(if $(strip $(KEYS)$(CONFIGS)$(ARGS)),,--mock)

# most tests wait for a process most of the time, so there are more workers than cores; each goes on where its module lies
WORKERS ?= 4
TESTS := -m pytest -n $(WORKERS) --dist worksteal
# what Python compiled once, it need not compile in every worker and every daemon
unexport PYTHONDONTWRITEBYTECODE

CATALOGUE := .catalogue

PAGE := proxy/data/dashboard/index.html
PAGE_SOURCES := $(shell find dashboard/src -type f) dashboard/index.html dashboard/vite.config.ts dashboard/tsconfig.json
# without npm and a Node.js that Vite takes there is no page, and everything else as ever
MAYBE_PAGE := $(shell command -v npm >/dev/null && node -e '[a, b] = process.versions.node.split(".").map(Number); process.exit(a * 100 + b < 2019 ? 1 : 0)' && echo $(PAGE))

# four at once, as one waits for the network while another unpacks; what each prints stays together where make can do that
AT_ONCE = @$(MAKE) --no-print-directory -j4 $(addprefix --,$(filter output-sync,$(.FEATURES)))
# the provider of identity that logins are tested against comes by npm as well
READY := $(DEV)/.ready $(CLIENTS:%=%/.ready) $(MAYBE_PAGE) $(if $(MAYBE_PAGE),.agents/oidc-provider/.ready)

.PHONY: catalogue dashboard examples run ready test quick agents coverage check lint types collect bench faults lock clean

run: $(RUN)/.ready
	@$(if $(MAYBE_PAGE),npm_config_fetch_retries=0 $(MAKE) --no-print-directory $(MAYBE_PAGE) || echo "The dashboard is not built for what is told above. The daemon runs without it; make dashboard tries again." >&2)
	@$(RUN)/bin/tollkeeper serve $(MOCK) $(ARGS)

ready: $(READY)

test:
	$(SUITABLE)
	$(AT_ONCE) ready
	$(DEV)/bin/python $(TESTS) $(ARGS)

check:
	$(SUITABLE)
	$(AT_ONCE) lint types collect ready $(ALSO)
	$(DEV)/bin/python $(TESTS) $(ARGS)

quick: $(DEV)/.ready
	$(DEV)/bin/python $(TESTS) -m "not process" $(ARGS)

coverage: $(READY)
	$(DEV)/bin/coverage erase
	$(DEV)/bin/coverage run -m pytest -n 2 --timeout 600 $(ARGS)
	$(DEV)/bin/coverage combine -q
	$(DEV)/bin/coverage json -q -o .coverage.json
	$(DEV)/bin/python tools/coverage_table.py .coverage.json

agents: $(DEV)/.ready $(AGENTS:%=.agents/%/.ready)
	$(DEV)/bin/python -m pytest -rs -n 0 tests/agents $(ARGS)

examples: $(DEV)/.ready $(MAYBE_PAGE)
	WRITE_EXAMPLES=1 $(DEV)/bin/python -m pytest -n 0 tests/examples $(ARGS)
	PYTHONPATH=.:tests $(DEV)/bin/python tests/dashboard/pictures.py

dashboard: $(PAGE)

$(PAGE): dashboard/node_modules/.ready $(PAGE_SOURCES)
	npm run build --prefix dashboard --silent

# its lock carries hashes, but not where a package was found
dashboard/node_modules/.ready: dashboard/package-lock.json dashboard/package.json
	@command -v npm >/dev/null || { echo "The dashboard is built with npm and Node.js 20.19 or newer; the daemon runs without it."; exit 1; }
	npm ci --prefix dashboard --no-audit --no-fund --loglevel error
	@touch $@

lint: $(DEV)/.ready
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/ruff check .

types: $(DEV)/.ready
	$(DEV)/bin/mypy

# the tests' assertions are rewritten once, which every worker would do for itself; what is wrong, the tests themselves say
collect: $(DEV)/.ready
	@$(DEV)/bin/python -m pytest --collect-only -qq >/dev/null || true

faults: $(DEV)/.ready
	FAULTS=200 $(DEV)/bin/python -m pytest -n 2 tests/money --timeout 1800 $(ARGS)

bench: $(DEV)/.ready
	$(DEV)/bin/python -m bench $(ARGS)

$(RUN)/.ready: requirements/base.txt requirements/build.txt pyproject.toml
	$(SUITABLE)
	@echo "Setting up $(RUN), once: about 35 packages, a minute or two."
	@$(PYTHON) -m venv $(RUN)
	$(RUN)/bin/python $(PIP) --require-hashes -r requirements/base.txt -r requirements/build.txt
	$(RUN)/bin/python $(PIP) --no-deps --no-build-isolation -e .
	@touch $@

# what is imported is compiled then, and of what tests and their clients are made of, most is not
$(DEV)/.ready: requirements/dev.txt pyproject.toml
	$(SUITABLE)
	@echo "Setting up $(DEV), once: about 80 packages, a few minutes."
	@$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python $(PIP) --no-compile --require-hashes -r requirements/dev.txt
	$(DEV)/bin/python $(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(CLIENTS:%=%/.ready): .venv-%/.ready: requirements/%.txt
	$(SUITABLE)
	@echo "Setting up $(@D), once: clients the tests drive, a few minutes."
	@$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) --no-compile --require-hashes -r $<
	@touch $@

# agents that come by npm; their locks carry hashes, but not where a package was found
.agents/%/.ready: requirements/agents/%/package-lock.json
	mkdir -p $(@D)
	cp requirements/agents/$*/package*.json $(@D)
	npm install --prefix $(@D) --no-audit --no-fund --loglevel error
	@touch $@

.agents/aider/.ready: requirements/aider.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) --no-compile --require-hashes -r requirements/aider.txt
	@touch $@

.agents/llm/.ready: .venv-clients/.ready
	@mkdir -p $(@D) && touch $@

# litellm is read, never imported: what it needs itself stays out
catalogue: $(DEV)/.ready $(CATALOGUE)/.ready
	PYTHONPATH=$(CATALOGUE) $(DEV)/bin/python -m tools.make_catalogue

$(CATALOGUE)/.ready: requirements/catalogue.txt
	$(PYTHON) $(PIP) --no-deps --no-compile --require-hashes --target $(CATALOGUE) -r requirements/catalogue.txt
	@touch $@

lock:
	$(LOCK) -o requirements/base.txt pyproject.toml
	$(LOCK) -o requirements/build.txt requirements/build.in
	$(LOCK) --allow-unsafe -c requirements/base.txt -o requirements/dev.txt pyproject.toml requirements/dev.in
	$(LOCK) --allow-unsafe -o requirements/clients.txt requirements/clients.in
	$(LOCK) --allow-unsafe -o requirements/clients-openai3.txt requirements/clients-openai3.in
	$(LOCK) -o $(CATALOGUE).txt requirements/catalogue.in && sed -n '/^litellm==/,/[^\\]$$/p' $(CATALOGUE).txt >requirements/catalogue.txt && rm $(CATALOGUE).txt
	$(LOCK) --allow-unsafe -o requirements/aider.txt requirements/aider.in
	for folder in requirements/agents/* dashboard; do (cd $$folder && npm install --package-lock-only --omit-lockfile-registry-resolved); done

clean:
	rm -rf proxy/data/dashboard dashboard/node_modules $(RUN) $(DEV) $(CLIENTS) $(CATALOGUE) .agents .coverage* .mypy_cache .ruff_cache .hypothesis
