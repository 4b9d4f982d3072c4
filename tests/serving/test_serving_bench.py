"""What a load came to: rates and quantiles from what h2load has written, and the knee."""

from __future__ import annotations

import numpy as np

from turnout.serving.bench import Measured, knee, measured, written


def test_rates_count_good_answers_and_errors_are_told() -> None:
    table = np.array([[1e6 * second, 200.0, 2000.0] for second in range(10)] + [[5e6, 503.0, 10.0], [6e6, -1.0, 0.0]])
    found = measured(table, 4, 0.0)
    assert (found.loop, found.requests, found.errors) == ("closed", 12, 2)
    assert abs(found.rate - 10 / 9.002) < 1e-9
    assert found.latencies_ms == (2.0, 2.0, 2.0, 2.0)
    assert measured(np.array([[0.0, -1.0, 5.0]]), 1, 2.0).latencies_ms == ()


def test_an_answer_that_began_before_the_measuring_is_no_error() -> None:
    found = measured(written("1000\t0\t15183\n2000\t200\t2000\n3000\t-1\t9\n"), 4, 0.0)
    assert (found.requests, found.errors) == (2, 1)
    assert len(written("")) == 0


def loop(asked: float, rate: float, p99: float, errors: int = 0) -> Measured:
    return Measured("open", 1, asked, rate, 100, errors, (p99, p99, p99, p99))


def test_the_knee_is_the_last_rate_that_is_kept_up_with() -> None:
    quick = [loop(100, 100, 2.0), loop(200, 199, 3.0)]
    assert knee([*quick, loop(300, 250, 4.0)]) == quick[1]
    assert knee([*quick, loop(300, 300, 11.0)]) == quick[1]
    assert knee([*quick, loop(300, 300, 4.0, errors=1)]) == quick[1]
    assert knee([loop(400, 400, 4.0), loop(300, 200, 4.0), *quick]) == quick[1]
    assert knee([loop(100, 50, 2.0)]) is None
    assert knee([Measured("closed", 1, 0.0, 9.0, 9, 0, (1.0,) * 4)]) is None
