# PostgreSQL of Debian's packages, started as its public image is: a stand-in where that cannot be pulled.
ARG BASE
FROM ${BASE}
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/*
ENV PATH=/usr/lib/postgresql/15/bin:${PATH}
COPY postgres.sh /usr/local/bin/postgres.sh
USER postgres
ENTRYPOINT ["sh", "/usr/local/bin/postgres.sh"]
