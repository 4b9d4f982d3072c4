"""KFP's ClassificationMetrics as tables and drawings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.reports.page import Section

_MOST_CLASSES, _MOST_POINTS = 50, 2_000


def classification_section(heading: str, metadata: Mapping[str, Any]) -> Section:
    """The confusion matrix and the ROC curve; nothing of what is not as KFP writes it."""
    try:
        matrix = metadata.get("confusionMatrix") or {}
        classes = [str(item["displayName"]) for item in matrix.get("annotationSpecs", ())][:_MOST_CLASSES]
        rows = [
            (name, *(int(count) for count in row["row"][:_MOST_CLASSES]))
            for name, row in zip(classes, matrix.get("rows", ()), strict=False)
        ]
        points = (metadata.get("confidenceMetrics") or ())[:_MOST_POINTS]
        curve = [(float(point["falsePositiveRate"]), float(point["recall"])) for point in points]
    except (AttributeError, KeyError, TypeError, ValueError):
        return Section(heading)
    figures = [(_roc(curve), "ROC curve: true positive rate against false positive rate.")] if curve else []
    return Section(heading, columns=("actual \\ predicted", *classes), rows=rows, figures=figures)


def _roc(curve: list[tuple[float, float]]) -> str:
    line = " ".join(f"{20 + 240 * x:.1f},{260 - 240 * y:.1f}" for x, y in curve)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 280 280" width="280" role="img" aria-label="ROC curve">'
        '<rect x="20" y="20" width="240" height="240" fill="none" stroke="#8888"/>'
        '<line x1="20" y1="260" x2="260" y2="20" stroke="#8888" stroke-dasharray="4 3"/>'
        f'<polyline points="{line}" fill="none" style="stroke: var(--blue, #1f6fb2)" stroke-width="2"/></svg>'
    )
