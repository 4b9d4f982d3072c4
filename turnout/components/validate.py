"""Check a dataset against a Great Expectations suite."""

from turnout import HTML, Dataset, Input, Output, component


@component
def validate(data: Input[Dataset], report: Output[HTML], suite: str = "") -> None:
    """Check a dataset against a suite of expectations, and stop the run when it fails.

    The report is written either way; the error names each expectation that failed, how many rows
    fail it, and examples.

    Args:
        data: the table to check.
        report: what was expected and what was found, as a page.
        suite: path or URI of a Great Expectations suite in JSON (`{"name": ..., "expectations": [{"type":
            ..., "kwargs": {...}}]}`); empty to check nothing.
    """
    import pandas as pd

    from turnout import ComponentError
    from turnout.data.expectations import check, read_suite
    from turnout.data.validation_report import validation_report
    from turnout.reports.report import Report

    if not suite:
        Report("Validation", verdict="No suite was given: nothing was checked").write(report)
        print("no suite was given: nothing was checked")
        return
    definition = read_suite(suite)
    table = pd.read_parquet(data.path)
    outcomes = check(table, definition, suite)
    told = validation_report(outcomes, definition, *table.shape)
    told.write(report)
    failures = told.reasons
    if failures:
        hint = "the report shows all; correct the data, or the suite where it asks too much"
        raise ComponentError(f"{told.verdict}:\n  " + "\n  ".join(failures), where=suite, hint=hint)
    print(told.verdict)
