"""What a model does with its columns before its estimator sees them: functions that are kept inside the model.

They are pickled by value (`turnout.models.files`), so that a model is loaded where Turnout is not installed. They use
pandas and numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def finite(numbers: pd.DataFrame) -> pd.DataFrame:
    """Numbers with nan for those that are infinite: no estimator learns from them, and most refuse them."""
    return numbers.where(np.isfinite(numbers.to_numpy(dtype="float64", na_value=np.nan)))


def calendar(times: pd.DataFrame, derive: Sequence[str], timezone: str) -> pd.DataFrame:
    """Calendar features of columns of times, as whole numbers; nan where a time is missing.

    Args:
        times: without a zone they are meant in UTC.
        derive: attributes of times in pandas, such as `month` (from 1), `weekday` (Monday is 0) or `hour`.
        timezone: IANA name of the zone in which they are counted.
    """
    columns = {}
    for name in times:
        local = pd.to_datetime(times[name], utc=True).dt.tz_convert(timezone)
        for feature in derive:
            columns[f"{name}_{feature}"] = getattr(local.dt, feature).astype("float64")
    return pd.DataFrame(columns, index=times.index)


def calendar_names(transformer: Any, names: Sequence[str]) -> list[str]:
    """What `calendar` calls its columns, as scikit-learn asks for it."""
    return [f"{name}_{feature}" for name in names for feature in transformer.kw_args["derive"]]
