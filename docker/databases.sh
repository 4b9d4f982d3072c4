#!/bin/sh
# Run once by PostgreSQL's image: a user and a database for Airflow, and one for MLflow.
set -eu
for name in airflow mlflow; do
    password=$(printenv "$(echo "${name}" | tr '[:lower:]' '[:upper:]')_DATABASE_PASSWORD")
    psql --quiet --set ON_ERROR_STOP=1 --set name="${name}" --set password="${password}" --username postgres <<'SQL'
CREATE USER :"name" PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
done
