"""The report of a validation: failed expectations first, with how many rows, and examples."""

from __future__ import annotations

import pandas as pd

from turnout.data.expectations import check
from turnout.data.validation_report import validation_report
from turnout.reports.cells import Mark

SUITE = {
    "name": "orders",
    "expectations": [
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "amount", "min_value": 0}},
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "shop"}},
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}},
    ],
}


def test_failed_expectations_come_first_with_rows_and_examples() -> None:
    table = pd.DataFrame({"amount": [1.0, 2.0, 3.0, 4.0], "shop": ["a", None, "b", "c"]})
    report = validation_report(check(table, SUITE, "suite"), SUITE, *table.shape)
    assert (report.verdict, report.good) == ("1 of 3 expectations failed", False)
    assert report.about == "Suite orders, held against 4 rows of 2 columns"
    failed, passed = report.sections
    assert (failed.heading, passed.heading) == ("Failed", "Passed")
    assert failed.rows == [["shop", "to not be null", Mark("failed", "bad"), "", "1 (25.0%)", "such as None"]]
    assert [row[:4] for row in passed.rows] == [
        ["amount", "to be between", Mark("passed", "good"), "min_value=0"],
        ["the table", "row count to be between", Mark("passed", "good"), "min_value=1"],
    ]
