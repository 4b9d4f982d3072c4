"""Check a dataset against a Great Expectations suite."""

from turnout import HTML, Dataset, Input, Output, component


@component
def validate(data: Input[Dataset], report: Output[HTML], suite: str = ""):
    """Check a dataset against a suite of expectations, and stop the run when it fails.

    The report is written either way; the error names each expectation that failed, how many rows
    fail it, and examples.

    Args:
        data: the table to check.
        report: what was expected and what was found, as a page.
        suite: path or URI of a Great Expectations suite in JSON (`{"name": ..., "expectations": [{"type":
            ..., "kwargs": {...}}]}`); empty to check nothing.
    """
    import json
    import logging
    import os
    from pathlib import Path

    import pandas as pd
    from upath import UPath

    from turnout import ComponentError
    from turnout.reports.page import Section, page

    table = pd.read_parquet(data.path)
    if not suite:
        Path(report.path).write_text(page("Validation", [], verdict="No suite was given: nothing was checked"))
        print("no suite was given: nothing was checked")
        return
    try:
        definition = json.loads(UPath(suite).read_text())
    except FileNotFoundError:
        raise ComponentError("no such expectation suite", where=suite) from None
    except json.JSONDecodeError as error:
        raise ComponentError(f"the expectation suite is not JSON: {error}", where=suite) from None

    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    try:
        expectations = gx.ExpectationSuite(name=definition["name"], expectations=definition["expectations"])
        context.suites.add(expectations)
    except Exception as error:  # pydantic's and Great Expectations' own
        raise ComponentError(f"not an expectation suite: {error}", where=suite) from error
    asset = context.data_sources.add_pandas("data").add_dataframe_asset("data")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table})
    results = batch.validate(expectations, result_format="SUMMARY").results

    rows, failures = [], []
    for result in results:
        kwargs = {key: value for key, value in result.expectation_config.kwargs.items() if key != "batch_id"}
        column = kwargs.pop("column", "") or ", ".join(map(str, kwargs.pop("column_list", [])))
        name = result.expectation_config.type
        found = result.result or {}
        raised = next((item.get("exception_message") for item in _exceptions(result.exception_info)), "")
        count = int(found.get("unexpected_count") or 0)
        examples = ", ".join(map(repr, dict.fromkeys(found.get("partial_unexpected_list") or [])))[:120]
        observed = raised or ("" if "unexpected_count" in found else str(found.get("observed_value", "")))
        wanted = ", ".join(f"{key}={value}" for key, value in kwargs.items())
        rows.append(["passed" if result.success else "FAILED", column, name, wanted, count, examples or observed])
        if not result.success:
            what = f"{count:,} of {len(table):,} rows, such as {examples}" if examples else observed or "not met"
            failures.append(f"{name}({', '.join(filter(None, [column, wanted]))}): {what}")
    rows.sort(key=lambda row: row[0])
    columns = ["result", "column", "expectation", "wanted", "rows that fail", "found"]
    verdict = (
        f"{len(failures)} of {len(rows)} expectations failed" if failures else f"All {len(rows)} expectations hold"
    )
    section = Section(f"Suite {definition['name']}", f"{len(table):,} rows, {table.shape[1]} columns", columns, rows,
                      frozenset(range(len(failures))))  # fmt: skip
    Path(report.path).write_text(page("Validation", [section], verdict=verdict, good=not failures, reasons=failures))
    if failures:
        raise ComponentError(f"{verdict}:\n  " + "\n  ".join(failures), where=suite)
    print(verdict)


def _exceptions(info: dict) -> list[dict]:
    """Great Expectations gives one exception record, or one for each metric."""
    records = [info] if "raised_exception" in info else [item for item in info.values() if isinstance(item, dict)]
    return [record for record in records if record.get("raised_exception")]
