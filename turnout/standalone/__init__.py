"""Airflow, MLflow and a database for one project, on this machine alone: what `turnout airflow` starts."""
