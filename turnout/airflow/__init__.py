"""The Airflow provider: the operators of compiled DAG files.

A compiled file imports what it uses from here. The operators import Airflow and Turnout's core; never kfp,
and never a component's libraries.
"""

from turnout.airflow.operators import End, OneOf, Step, When

__all__ = ["End", "OneOf", "Step", "When"]
