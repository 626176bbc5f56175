# Every target sets up .venv by itself, from the lock file, with uv or else with Python 3.11 and pip.
PYTHON := .venv/bin/python
READY := .venv/installed
export PYTHONUNBUFFERED := 1
export MPLBACKEND := Agg

.DEFAULT_GOAL := help
.PHONY: help demo test test-full serve notebooks book bench soak registry fuzz contract lint format lock check-lock image clean

help: ## Show this help.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(READY): requirements.txt pyproject.toml
	@echo "Setting up .venv from requirements.txt: a few minutes, once."
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python 3.11 .venv && \
		uv pip install --quiet --python $(PYTHON) --require-hashes -r requirements.txt && \
		uv pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable . ; \
	elif command -v python3.11 >/dev/null 2>&1; then \
		python3.11 -m venv .venv && \
		$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt && \
		$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . ; \
	else \
		echo "Expected uv or python3.11 on the PATH, found neither. Install one of them."; exit 2; \
	fi
	@touch $@

demo: $(READY) ## The whole way in small: train, sign, store, serve, predict; then an attack that is refused.
	@.venv/bin/diabetes-risk-model demo

serve: $(READY) ## The demo's service, left running until Ctrl-C.
	@.venv/bin/diabetes-risk-model demo --keep-serving

test: $(READY) ## All tests but the full training (PROCESSES at a time, 2 by default).
	$(PYTHON) -m pytest -m "not full" --numprocesses $(or $(PROCESSES),2) --dist worksteal

test-full: $(READY) ## The full training on the real survey (DIABETES_DATA), minutes.
	$(PYTHON) -m pytest -m full

bench: $(READY) ## Time signing, verification and the service against their baselines and peers.
	$(PYTHON) -m benchmarks.verification
	$(PYTHON) -m benchmarks.resigning
	$(PYTHON) -m benchmarks.serving
	$(PYTHON) -m benchmarks.peers
	$(PYTHON) -m benchmarks.workers
	$(PYTHON) -m benchmarks.polling
	$(PYTHON) -m benchmarks.scoring
	$(PYTHON) -m benchmarks.training_on_dask

soak: $(READY) ## Good and bad load on the service, every answer checked (MINUTES, 10 by default).
	$(PYTHON) -m benchmarks.soak --minutes $(or $(MINUTES),10)

registry: $(READY) ## MLflow and an S3 server on this machine, until Ctrl-C (FOLDER, build/registry; PORT, 5000).
	$(PYTHON) -m diabetes_risk_model.promotion.local_registry $(or $(FOLDER),build/registry) --port $(or $(PORT),5000)

fuzz: $(READY) ## Fuzz all that reads bytes of strangers (SECONDS for each harness, 20 by default).
	$(PYTHON) -m tests.fuzz --seconds $(or $(SECONDS),20)

contract: $(READY) ## Write service_contract.yaml.
	$(PYTHON) -m diabetes_risk_model.service.contract

lint: $(READY) ## Style, types, and the contract's drift.
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(PYTHON) -m diabetes_risk_model.service.contract --check

format: $(READY) ## Put the code into its one form.
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

IN := .
COMPILE := .venv/bin/uv pip compile --quiet --no-header --generate-hashes --python-version 3.11
LOCKS := requirements.txt service_requirements.txt initializer_requirements.txt promotion_requirements.txt registry_requirements.txt batch_requirements.txt \
	deployment/beside_a_server/requirements.txt

lock: $(READY) ## Write the lock files: everything, what each image needs, and what is needed beside a model server.
	@mkdir -p $(IN)/deployment/beside_a_server
	$(COMPILE) pyproject.toml --all-extras --output-file $(IN)/requirements.txt
	$(COMPILE) pyproject.toml --extra service --constraint requirements.txt --output-file $(IN)/service_requirements.txt
	$(COMPILE) pyproject.toml --extra clouds --constraint requirements.txt --output-file $(IN)/initializer_requirements.txt
	$(COMPILE) pyproject.toml --extra promotion --constraint requirements.txt --output-file $(IN)/promotion_requirements.txt
	$(COMPILE) pyproject.toml --extra registry --constraint requirements.txt --output-file $(IN)/registry_requirements.txt
	$(COMPILE) pyproject.toml --extra batch --extra clouds --constraint requirements.txt --output-file $(IN)/batch_requirements.txt
	$(COMPILE) deployment/beside_a_server/requirements.in --output-file $(IN)/deployment/beside_a_server/requirements.txt

check-lock: $(READY) ## Check that the lock files are those of pyproject.toml.
	@mkdir -p build/lock/deployment/beside_a_server && for file in $(LOCKS); do cp $$file build/lock/$$file; done
	@$(MAKE) --no-print-directory lock IN=build/lock
	@for file in $(LOCKS); do \
		grep -v '^ *#' $$file > build/lock/ours; grep -v '^ *#' build/lock/$$file | diff build/lock/ours - || exit 1; done
	@echo "The lock files are up to date."

notebooks: $(READY) ## Open the tutorial in JupyterLab.
	.venv/bin/jupyter lab notebooks/01_the_problem.ipynb

FORMAT := $(if $(filter podman buildah,$(BUILDER)),--format docker)

book: $(READY) ## Build the tutorial, the README and the documents as a site in build/book.
	$(PYTHON) -m sphinx -q -W --keep-going -c docs/book -d build/book_doctrees . build/book
	@echo "Open build/book/index.html"

image: ## Build the container images with docker (or BUILDER=podman).
	$(or $(BUILDER),docker) build $(FORMAT) --target service --tag diabetes-risk-model:0.1.0 .
	$(or $(BUILDER),docker) build $(FORMAT) --target initializer --tag signed-parameters-initializer:0.1.0 .
	$(or $(BUILDER),docker) build $(FORMAT) --target batch --tag diabetes-risk-model-batch:0.1.0 .
	$(or $(BUILDER),docker) build $(FORMAT) --target promotion --tag diabetes-risk-model-promotion:0.1.0 .
	$(or $(BUILDER),docker) build $(FORMAT) --target registry --tag diabetes-risk-model-registry:0.1.0 .

clean: ## Remove what was built, but not .venv.
	rm -rf build
