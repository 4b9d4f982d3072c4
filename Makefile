# Everything a new clone needs: python3 with venv. Each target does the set-up that it needs itself. `make help`.
PYTHON ?= python3
COMPONENTS := .venv
AIRFLOW := .venv-airflow
FRAMEWORKS := .venv-frameworks
LOWEST := .venv-lowest
# The Python of `make test-python`.
WITH ?= 3.13
OTHER := .venv-python-$(notdir $(WITH))
# What shows whether an environment holds together: authoring, compiling, and components of each extra.
EXTRAS := dvc features monitor validate
SELECTED := tests/authoring tests/spec tests/plan tests/recall tests/components tests/data
NETWORKS ?= jax tensorflow
PORT ?= 8080
COMMA := ,
SPACE := $(subst ,, )
UV := $(COMPONENTS)/bin/uv
BIN := $(abspath $(COMPONENTS))/bin
AIRFLOW_BIN := $(abspath $(AIRFLOW))/bin
# In UTC, as the schedules are.
YESTERDAY := $(shell $(PYTHON) -c "import datetime as d; print(d.datetime.now(d.UTC).date() - d.timedelta(days=1))")
MONITORED := pipelines/batch_inference.py pipelines/drift_check.py
# Half of a test's time is waiting: for servers, for Spark, for the end of processes.
PYTEST := python -m pytest --durations 40 --durations-min 10 --numprocesses 2 --dist loadscope --no-loadscope-reorder
QUICK := not slow and not containers and not nightly
SYNC := pip install --quiet
LOCK := $(UV) pip compile --quiet --no-emit-index-url --no-emit-find-links
export UV_NO_CONFIG := 1
# Where it is set, each process compiles all that it imports anew: a third of the time of a training.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(BIN):$(PATH)

.PHONY: demo help ready data test test-quick test-components test-airflow test-nightly test-containers test-frameworks test-lowest test-python licences audit fresh lint airflow compile docs lock clean

demo: $(COMPONENTS)/.ready data  ## train on the flights, promote and deploy if better than the champion
	turnout run pipelines/training.py

help:  ## list the targets
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

ready: $(COMPONENTS)/.ready $(AIRFLOW)/.ready data  ## both environments and the data; with -j at once

data: $(COMPONENTS)/.ready data/flights/flights.parquet data/replay/.until-$(YESTERDAY)  ## the example's tables, up to yesterday

data/flights/flights.parquet: data/prepare_flights.py | $(COMPONENTS)/.ready
	python data/prepare_flights.py data/flights
	dvc add --quiet data/flights
	dvc push --quiet

# One file says until when; another day has another file.
data/replay/.until-$(YESTERDAY): data/replay_flights.py data/flights/flights.parquet | $(COMPONENTS)/.ready
	python data/replay_flights.py data/replay $(YESTERDAY)
	rm -f data/replay/.until-*
	touch $@

# All at once, the two environments' set-up too; each part's output in one piece when it has ended.
test:  ## lint, strict types and the tests, at once; what CI runs
	$(MAKE) --jobs=5 --keep-going --output-sync=target lint fresh test-components test-airflow

test-quick: $(COMPONENTS)/.ready data  ## the components' tests without those that take long
	$(PYTEST) tests --ignore tests/airflow -m "$(QUICK)"

fresh: $(COMPONENTS)/.ready  ## whether dags/ and monitoring/ are what the pipelines compile to
	turnout compile --check
	turnout monitoring export $(MONITORED) --check

test-components: $(COMPONENTS)/.ready data  ## the tests of all but Airflow
	$(PYTEST) tests --ignore tests/airflow

test-airflow: $(AIRFLOW)/.ready $(COMPONENTS)/.ready data  ## the tests in a real Airflow
	$(AIRFLOW_BIN)/$(PYTEST) tests/airflow

test-nightly: $(AIRFLOW)/.ready $(COMPONENTS)/.ready data  ## longer variants of what `make test` proves: whole tables, more kills, further tracks
	failed=0; \
	$(PYTEST) tests --ignore tests/airflow -m nightly || failed=1; \
	$(AIRFLOW_BIN)/$(PYTEST) tests/airflow -m nightly || failed=1; \
	exit $$failed

test-containers: $(AIRFLOW)/.ready $(COMPONENTS)/.ready  ## images, and steps in real containers; needs root, podman, runc, debootstrap, docker-registry
	$(AIRFLOW_BIN)/python -m pytest -s tests/airflow/test_containers.py -m containers
	python -m pytest -s tests/images/test_compose.py -m containers

test-lowest: $(LOWEST)/.ready data  ## authoring and components with the lowest versions that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest $(SELECTED) -m "$(QUICK)"

test-python: $(OTHER)/.ready data  ## the same with another Python, at the newest versions: make test-python WITH=3.12
	$(OTHER)/bin/python -m pytest $(SELECTED) -m "$(QUICK)"

licences: $(COMPONENTS)/.ready $(AIRFLOW)/.ready  ## the licences of all packages, and below them those with GPL in their names
	for place in $(COMPONENTS) $(AIRFLOW); do \
		$(UV) tool run pip-licenses --python $$place/bin/python --from mixed --order license > $$place/licences.txt || exit 1; \
		cat $$place/licences.txt; \
		echo "GPL in $$place:"; grep -iE "GPL|General Public" $$place/licences.txt || echo none; \
	done

# Its program says nothing on standard output when it was not answered, and fails in both cases.
audit: $(UV)  ## whether known holes are in the packages of requirements/; needs the index of known holes
	for name in components airflow; do \
		found=$$(timeout 300 $(UV) tool run pip-audit --disable-pip --require-hashes --progress-spinner off \
			--format json -r requirements/$$name.txt 2>/dev/null); \
		if [ -z "$$found" ]; then \
			echo "requirements/$$name.txt: the index of known holes did not answer; nothing is known" >&2; exit 1; \
		fi; \
		echo "$$found" | $(PYTHON) -c "import json, sys; \
			holes = [(d['name'], d['version'], v['id'], *v['fix_versions']) for d in json.load(sys.stdin)['dependencies'] for v in d.get('vulns', ())]; \
			print('requirements/$$name.txt:', len(holes), 'known holes'); [print(*hole) for hole in holes]; sys.exit(bool(holes))" \
			|| exit 1; \
	done

# Each in a process of its own: Keras has one backend. PyTorch takes 7 GB: make test-frameworks NETWORKS=torch
test-frameworks: $(FRAMEWORKS)/.ready-$(subst $(SPACE),-,$(NETWORKS))  ## networks of TensorFlow and JAX, in an environment of their own
	for name in $(NETWORKS); do \
		$(FRAMEWORKS)/bin/python -m pytest tests/frameworks/test_$$name.py || exit 1; \
	done

lint: $(COMPONENTS)/.ready  ## ruff and strict types
	ruff check .
	ruff format --check .
	mypy

airflow: $(AIRFLOW)/.ready $(COMPONENTS)/.ready data  ## Airflow and MLflow for this machine alone; another port: make airflow PORT=8090
	turnout airflow --port $(PORT)

compile: $(COMPONENTS)/.ready  ## write dags/ and monitoring/ anew
	turnout compile
	turnout monitoring export $(MONITORED)

docs: $(COMPONENTS)/.ready  ## write docs/reference/ anew
	python docs/generate.py

lock: $(UV)  ## pin the requirements of both environments, with the hashes of their files
	$(LOCK) --generate-hashes --extra all --group components-test \
		pyproject.toml -o requirements/components.txt --custom-compile-command "make lock"
	$(LOCK) --generate-hashes --extra airflow --extra standalone --extra s3 --group airflow-test \
		pyproject.toml -o requirements/airflow.txt --custom-compile-command "make lock"

clean:  ## remove environments, runs and data
	rm -rf $(COMPONENTS) $(AIRFLOW) $(FRAMEWORKS) $(LOWEST) .venv-python-* .turnout .airflow mlflow.db mlruns data/flights data/replay

$(UV):
	$(PYTHON) -m venv $(COMPONENTS)
	$(COMPONENTS)/bin/python -m pip install --quiet --disable-pip-version-check uv

$(COMPONENTS)/.ready: requirements/components.txt requirements/data.in pyproject.toml | $(UV)
	$(UV) $(SYNC) --python $(COMPONENTS) -r requirements/components.txt
	$(UV) $(SYNC) --python $(COMPONENTS) --no-deps -r requirements/data.in -e .
	touch $@

$(AIRFLOW)/.ready: requirements/airflow.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(COMPONENTS)/bin/python $(AIRFLOW)
	$(UV) $(SYNC) --python $(AIRFLOW) -r requirements/airflow.txt
	$(UV) $(SYNC) --python $(AIRFLOW) --no-deps -e .
	touch $@

$(LOWEST)/.ready: requirements/data.in pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(COMPONENTS)/bin/python $(LOWEST)
	$(LOCK) --resolution lowest-direct $(addprefix --extra ,$(EXTRAS)) pyproject.toml -o $(LOWEST)/lowest.txt
	$(UV) $(SYNC) --python $(LOWEST) -r $(LOWEST)/lowest.txt hypothesis pytest pytest-xdist
	$(UV) $(SYNC) --python $(LOWEST) --no-deps -r requirements/data.in -e .
	touch $@

$(OTHER)/.ready: requirements/data.in pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(WITH) $(OTHER)
	$(UV) $(SYNC) --python $(OTHER) -e '.[$(subst $(SPACE),$(COMMA),$(EXTRAS))]' hypothesis pytest pytest-xdist
	$(UV) $(SYNC) --python $(OTHER) --no-deps -r requirements/data.in
	touch $@

# The components' packages at their pins, and the frameworks beside them.
$(FRAMEWORKS)/.ready-$(subst $(SPACE),-,$(NETWORKS)): requirements/components.txt requirements/data.in pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(COMPONENTS)/bin/python $(FRAMEWORKS)
	$(UV) $(SYNC) --python $(FRAMEWORKS) -r requirements/components.txt \
		-e '.[$(subst $(SPACE),$(COMMA),$(subst tensorflow,tensorflow-cpu,$(NETWORKS)))]'
	$(UV) $(SYNC) --python $(FRAMEWORKS) --no-deps -r requirements/data.in
	touch $@
