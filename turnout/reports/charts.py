"""Charts of the libraries that people draw with, as SVG: matplotlib, and Vega-Lite."""

from __future__ import annotations

import base64
import importlib.util
import io
from collections.abc import Mapping
from typing import Any

from turnout.errors import ComponentError
from turnout.reports.figures import Image

_LARGEST = 400_000
"""Characters of a drawing of matplotlib; a larger one has so many marks that a picture of dots is smaller."""

_VEGA_LITE: dict[str, Any] = {
    "background": "transparent",
    "view": {"stroke": "transparent"},
    "axis": {"gridColor": "#88888840", "domainColor": "#888888", "tickColor": "#888888"},
}
"""Colours that are seen on a white and on a dark page, where the chart says none."""


def chart(figure: Any) -> str:
    """A chart as SVG.

    Args:
        figure: of matplotlib, a figure or axes; of Vega-Lite, a specification or an Altair chart; or SVG as text.

    Raises:
        ComponentError: it is none of these, or what draws it is not installed.
    """
    if isinstance(figure, str) and figure.lstrip().startswith(("<svg", "<?xml")):
        return Image(figure[max(0, figure.find("<svg")) :])
    if isinstance(figure, Mapping):
        return _vega_lite(figure)
    if hasattr(figure, "to_dict") and hasattr(figure, "mark_point"):
        return _vega_lite(figure.to_dict())
    for drawn in (figure, getattr(figure, "figure", None)):  # axes and seaborn's grids have a figure
        if hasattr(drawn, "savefig"):
            return _matplotlib(drawn)
    hint = "give a figure of matplotlib, a specification of Vega-Lite, an Altair chart, or SVG"
    raise ComponentError(f"not a chart: {type(figure).__name__}", where="report.figure", hint=hint)


def _matplotlib(figure: Any) -> str:
    from turnout.reports.plots import svg

    drawn = svg(figure)
    if len(drawn) <= _LARGEST:
        return drawn
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", dpi=144, facecolor="white")
    content = base64.b64encode(buffer.getvalue()).decode()
    width, height = figure.get_size_inches() * 72
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{width:.0f}pt" '
        f'height="{height:.0f}pt" viewBox="0 0 {width:.0f} {height:.0f}"><image width="{width:.0f}" '
        f'height="{height:.0f}" xlink:href="data:image/png;base64,{content}"/></svg>'
    )


def _vega_lite(specification: Mapping[str, Any]) -> str:
    if importlib.util.find_spec("vl_convert") is None:
        what = "a chart of Vega-Lite is drawn by vl-convert-python, which is not installed"
        raise ComponentError(what, where="report.figure", hint="pip install 'turnout[charts]', or draw with matplotlib")
    import vl_convert

    config = {**_VEGA_LITE, **specification.get("config", {})}
    try:
        return str(vl_convert.vegalite_to_svg({**specification, "config": config}))
    except ValueError as error:
        why = next((line for line in str(error).splitlines() if line.strip()), "")
        hint = "see https://vega.github.io/vega-lite/docs/ for what a specification may have"
        raise ComponentError(f"not a chart of Vega-Lite: {why}", where="report.figure", hint=hint) from error
