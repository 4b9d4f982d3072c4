# The image that components run in: `turnout exec`, the launcher and the catalogue with its libraries.
#
#     docker build --file docker/components.Dockerfile --tag turnout-python-components:0.1.0 .
#
# BASE is any Debian or Ubuntu with Python 3.11 to 3.13 and its venv. EXTRAS are Turnout's, without brackets.
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
    && options=$(echo "${EXTRAS}" | sed 's/[^,][^,]*/--extra &/g; s/,/ /g') \
    && uv pip install --python /opt/turnout --compile-bytecode --constraint requirements/components.txt \
        --requirement pyproject.toml ${options}
COPY LICENSE ./
COPY turnout turnout
RUN uv pip install --python /opt/turnout --compile-bytecode --no-deps .
RUN cyclonedx-py environment --output-reproducible --output-format JSON --output-file /opt/turnout/sbom.cdx.json \
    /opt/turnout/bin/python

FROM ${BASE}
# OpenMP is LightGBM's, Java is Spark's.
ARG PACKAGES="libgomp1 openjdk-17-jre-headless"
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ${PACKAGES} \
    && rm -rf /var/lib/apt/lists/*
# KFP's launcher makes directories of its own under the last ones.
RUN useradd --uid 10001 --gid 0 --create-home turnout \
    && install --directory --mode 1777 /gcs /s3 /minio
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
