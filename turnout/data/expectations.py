"""Great Expectations: a table held against a suite of expectations."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from upath import UPath

from turnout.errors import ComponentError

_FORM = 'a suite is {"name": ..., "expectations": [{"type": ..., "kwargs": {...}}]}'


@dataclass(frozen=True)
class Outcome:
    """What came of one expectation.

    Attributes:
        column: that it is about; several with commas between, empty for the whole table.
        wanted: its further arguments, as `name=value`.
        unexpected: how many rows fail it.
        observed: examples of values that fail it; for a statistic, its value; or what made it fail to run.
        complaint: why it failed; empty when it passed.
    """

    name: str
    column: str
    wanted: str
    unexpected: int
    observed: str
    complaint: str

    @property
    def passed(self) -> bool:
        return not self.complaint

    def __str__(self) -> str:
        return f"{self.name}({', '.join(filter(None, [self.column, self.wanted]))}): {self.complaint}"


def read_suite(place: str) -> dict[str, Any]:
    """A suite of expectations in JSON.

    Args:
        place: path or URI of the file.

    Raises:
        ComponentError: there is none, or it is not JSON.
    """
    try:
        suite: dict[str, Any] = json.loads(UPath(place).read_text())
    except FileNotFoundError:
        hint = "give the path or URI of its JSON file; leave suite empty to check nothing"
        raise ComponentError("no such expectation suite", where=place, hint=hint) from None
    except ValueError as error:
        raise ComponentError(f"the expectation suite is not JSON: {error}", where=place, hint=_FORM) from None
    return suite


def check(table: pd.DataFrame, suite: Mapping[str, Any], where: str) -> list[Outcome]:
    """Hold a table against a suite; the outcomes in the suite's order.

    Args:
        where: the suite is from, for errors.

    Raises:
        ComponentError: it is no suite of expectations.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    with _leaving_out("pyspark", "azure", "boto3", "botocore", "google.cloud"):
        import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    try:
        expectations = gx.ExpectationSuite(name=suite["name"], expectations=suite["expectations"])
        context.suites.add(expectations)
    except Exception as error:  # pydantic's and Great Expectations' own
        raise ComponentError(f"not an expectation suite: {error}", where=where, hint=_FORM) from error
    asset = context.data_sources.add_pandas("data").add_dataframe_asset("data")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table})
    results = batch.validate(expectations, result_format="SUMMARY").results
    return [_outcome(result, len(table)) for result in results]


@contextlib.contextmanager
def _leaving_out(*modules: str) -> Iterator[None]:
    """Make it as if these were not installed, where they are not loaded yet.

    Great Expectations loads the clients of whatever store or engine it finds, a quarter of the time of its import. A
    table of pandas needs none.
    """
    absent = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: the import system's own "not there"
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


def _outcome(result: Any, rows: int) -> Outcome:
    """What Great Expectations says of one expectation, in our words."""
    kwargs = {key: value for key, value in result.expectation_config.kwargs.items() if key != "batch_id"}
    column = kwargs.pop("column", "") or ", ".join(map(str, kwargs.pop("column_list", [])))
    details = result.result or {}
    raised = next((item.get("exception_message") for item in _exceptions(result.exception_info)), "")
    unexpected = int(details.get("unexpected_count") or 0)
    examples = ", ".join(map(repr, dict.fromkeys(details.get("partial_unexpected_list") or [])))[:120]
    observed = raised or ("" if "unexpected_count" in details else str(details.get("observed_value", "")))
    complaint = f"{unexpected:,} of {rows:,} rows, such as {examples}" if examples else observed or "not met"
    return Outcome(
        name=result.expectation_config.type,
        column=column,
        wanted=", ".join(f"{key}={_plain(value)}" for key, value in kwargs.items()),
        unexpected=unexpected,
        observed=examples or observed,
        complaint="" if result.success else complaint,
    )


def _plain(value: Any) -> Any:
    """A number without a point that says nothing: Great Expectations makes floats of whole numbers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _exceptions(info: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Great Expectations gives one exception record, or one for each metric."""
    records = [info] if "raised_exception" in info else [item for item in info.values() if isinstance(item, dict)]
    return [record for record in records if record.get("raised_exception")]
