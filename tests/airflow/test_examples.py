"""What the examples compile to is what Airflow takes."""

from __future__ import annotations

from conftest import PROJECT


def test_the_compiled_examples_are_dags() -> None:
    from airflow.dag_processing.dagbag import DagBag

    compiled = PROJECT / "examples" / "compiled"
    bag = DagBag(str(compiled), bundle_name="dags-folder")
    assert not bag.import_errors
    assert {dag_id.replace("-", "_") for dag_id in bag.dags} == {path.stem for path in compiled.glob("*.py")}
