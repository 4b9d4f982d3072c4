"""The Airflow provider: the operators of compiled DAG files.

A compiled file imports `Step` and `When` from here. They import Airflow and Turnout's core; never kfp,
and never a component's libraries.
"""

from turnout.airflow.operators import Step, When

__all__ = ["Step", "When"]
