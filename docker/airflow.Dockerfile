# The images of Airflow's services.
#
#     docker build --file docker/airflow.Dockerfile --target airflow --tag turnout-airflow:0.1.0 .
#     docker build --file docker/airflow.Dockerfile --tag turnout-airflow-components:0.1.0 .
#
# `airflow` is for steps that run in containers of their own, with Docker or Kubernetes. `worker`, the default, has the
# components' environment beside Airflow's, and runs steps as processes: [turnout] python is set to it.
ARG BASE=python:3.11-slim-bookworm
ARG COMPONENTS=turnout-python-components:0.1.0

FROM ${BASE} AS build
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check uv==0.13.9 cyclonedx-bom==7.5.0
ENV PATH=/opt/build/bin:${PATH}
WORKDIR /source
COPY pyproject.toml README.md ./
COPY requirements/airflow.txt requirements/
# PostgreSQL's drivers are pinned there too; the extra `standalone` would bring a whole server.
RUN uv venv --python python3 /opt/airflow \
    && uv pip install --python /opt/airflow --compile-bytecode --constraint requirements/airflow.txt \
        --requirement pyproject.toml --extra airflow --extra s3 asyncpg psycopg2-binary
COPY LICENSE ./
COPY turnout turnout
RUN uv pip install --python /opt/airflow --compile-bytecode --no-deps .
RUN cyclonedx-py environment --output-reproducible --output-format JSON --output-file /opt/airflow/sbom.cdx.json \
    /opt/airflow/bin/python

FROM ${BASE} AS airflow
RUN useradd --uid 10001 --gid 0 --create-home turnout \
    && install --directory --owner 10001 --mode 0770 /home/turnout/airflow /home/turnout/airflow/logs /home/turnout/dags
COPY --from=build /opt/airflow /opt/airflow
ENV PATH=/opt/airflow/bin:${PATH} PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/home/turnout/airflow AIRFLOW__CORE__DAGS_FOLDER=/home/turnout/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Turnout: Airflow" \
      org.opencontainers.image.description="Airflow 3 with Turnout's provider" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      turnout.sbom="/opt/airflow/sbom.cdx.json"
USER 10001:0
WORKDIR /home/turnout
# Of the API server. Other services say their own in the compose file.
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m CMD ["python3", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/api/v2/monitor/health', timeout=8)"]
ENTRYPOINT ["airflow"]
CMD ["api-server"]

FROM ${COMPONENTS} AS components

FROM airflow AS worker
USER 0
ARG PACKAGES="libgomp1 openjdk-17-jre-headless"
# hadolint ignore=SC2086
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ${PACKAGES} \
    && rm -rf /var/lib/apt/lists/*
COPY --from=components /opt/turnout /opt/turnout
COPY --from=components /opt/project /opt/project
ENV AIRFLOW__TURNOUT__PYTHON=/opt/turnout/bin/python PYTHONPATH=/opt/project
LABEL org.opencontainers.image.title="Turnout: Airflow with the components' environment" \
      turnout.sbom="/opt/airflow/sbom.cdx.json /opt/turnout/sbom.cdx.json"
USER 10001:0
