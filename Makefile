# Everything a new clone needs: python3 with venv. Each target does the set-up that it needs itself.
PYTHON ?= python3
COMPONENTS := .venv
AIRFLOW := .venv-airflow
UV := $(COMPONENTS)/bin/uv
BIN := $(abspath $(COMPONENTS))/bin
AIRFLOW_BIN := $(abspath $(AIRFLOW))/bin
MONITORED := pipelines/batch_inference.py pipelines/drift_check.py
SYNC := pip install --quiet --compile-bytecode
export UV_NO_CONFIG := 1
export PATH := $(BIN):$(PATH)

.PHONY: demo data test test-components test-airflow test-containers lint airflow compile docs lock clean

demo: $(COMPONENTS)/.ready data  ## train on the flights, promote and deploy if better than the champion
	turnout run pipelines/training.py

data: $(COMPONENTS)/.ready data/flights/flights.parquet  ## the example's tables, tracked by DVC

data/flights/flights.parquet: data/prepare_flights.py | $(COMPONENTS)/.ready
	python data/prepare_flights.py data/flights
	dvc add --quiet data/flights
	dvc push --quiet

test: test-components test-airflow  ## both environments; what CI runs

test-components: $(COMPONENTS)/.ready data
	turnout compile --check
	turnout monitoring export $(MONITORED) --check
	python -m pytest tests --ignore tests/airflow

test-airflow: $(AIRFLOW)/.ready $(COMPONENTS)/.ready data
	$(AIRFLOW_BIN)/python -m pytest tests/airflow

test-containers: $(AIRFLOW)/.ready $(COMPONENTS)/.ready  ## steps in real containers; needs root, podman, runc and debootstrap
	$(AIRFLOW_BIN)/python -m pytest tests/airflow/test_containers.py -m containers

lint: $(COMPONENTS)/.ready
	ruff check .
	ruff format --check .
	mypy

airflow: $(AIRFLOW)/.ready $(COMPONENTS)/.ready data  ## a standalone Airflow on this project, at port 8080
	AIRFLOW_HOME=$(CURDIR)/.airflow \
	AIRFLOW__CORE__DAGS_FOLDER=$(CURDIR)/dags \
	AIRFLOW__CORE__LOAD_EXAMPLES=False \
	AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=True \
	AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL=10 \
	AIRFLOW__TURNOUT__ROOT=$(CURDIR)/.turnout \
	AIRFLOW__TURNOUT__PYTHON=$(BIN)/python \
	AIRFLOW__TURNOUT__DIRECTORY=$(CURDIR) \
	PATH=$(AIRFLOW_BIN):$$PATH $(AIRFLOW_BIN)/airflow standalone

compile: $(COMPONENTS)/.ready
	turnout compile
	turnout monitoring export $(MONITORED)

docs: $(COMPONENTS)/.ready  ## write docs/reference/ anew
	python docs/generate.py

lock: $(UV)
	$(UV) pip compile --quiet --no-emit-index-url --no-emit-find-links --extra components --group components-test \
		pyproject.toml -o requirements/components.txt --custom-compile-command "make lock"
	$(UV) pip compile --quiet --no-emit-index-url --no-emit-find-links --extra airflow --group airflow-test \
		pyproject.toml -o requirements/airflow.txt --custom-compile-command "make lock"

clean:
	rm -rf $(COMPONENTS) $(AIRFLOW) .turnout .airflow mlflow.db mlruns data/flights

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
