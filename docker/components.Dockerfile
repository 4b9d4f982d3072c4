# The image that components run in: `turnout exec`, the launcher and the catalogue with its libraries.
#
#     docker build --file docker/components.Dockerfile --tag turnout-python-components:0.1.0 .
#
# BASE is any Debian or Ubuntu with Python 3.11 to 3.13 and its venv. EXTRAS are Turnout's: "train spark s3".
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check uv==0.13.9 cyclonedx-bom==7.5.0
ENV PATH=/opt/build/bin:${PATH}
WORKDIR /source
ARG EXTRAS=all
# The libraries before Turnout's code: a change of that leaves their layer as it is.
COPY pyproject.toml README.md ./
COPY requirements/components.txt requirements/
# With pip, for the images of teams that are made on this one.
RUN uv venv --seed --python python3 /opt/turnout \
    && for extra in ${EXTRAS}; do set -- "$@" --extra "${extra}"; done \
    && uv pip install --python /opt/turnout --compile-bytecode --constraint requirements/components.txt \
        --requirement pyproject.toml "$@"
# What MLflow's server keeps its runs and models with, where the image serves it. The same driver as Airflow's.
RUN uv pip install --python /opt/turnout --compile-bytecode --constraint requirements/components.txt \
        boto3 psycopg2-binary==2.9.13
COPY LICENSE ./
COPY turnout turnout
RUN uv pip install --python /opt/turnout --compile-bytecode --no-deps .
RUN cyclonedx-py environment --output-reproducible --output-format JSON --output-file /opt/turnout/sbom.cdx.json \
    /opt/turnout/bin/python

FROM ${BASE}
# OpenMP is LightGBM's, Java is Spark's.
ARG PACKAGES="libgomp1 openjdk-17-jre-headless"
# hadolint ignore=SC2086
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ${PACKAGES} \
    && rm -rf /var/lib/apt/lists/*
# KFP's launcher makes directories of its own in three of them. A team's code is in /opt/project.
RUN useradd --uid 10001 --gid 0 --create-home turnout \
    && install --directory --mode 1777 /gcs /s3 /minio \
    && install --directory /opt/project
COPY --from=build /opt/turnout /opt/turnout
ENV PATH=/opt/turnout/bin:${PATH} PYTHONUNBUFFERED=1
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Turnout: components" \
      org.opencontainers.image.description="Runs the steps of pipelines: turnout exec MODULE:FUNCTION" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      turnout.sbom="/opt/turnout/sbom.cdx.json"
USER 10001:0
WORKDIR /home/turnout
# A container of a step ends with the step. This is for those who start the image as a service.
HEALTHCHECK --interval=5m --timeout=30s CMD ["turnout", "--version"]
ENTRYPOINT ["turnout"]
CMD ["--help"]
