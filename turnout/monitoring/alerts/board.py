"""What the dashboards for Grafana share: their parts, and how they are written down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Board:
    """A dashboard for Grafana; the data source is chosen by who looks at it.

    Args:
        uid: by which Grafana knows it when it is imported again.
        refresh: how often it is drawn anew.
        since: from when on, as Grafana says it (`now-30d`).
    """

    def __init__(self, title: str, uid: str, refresh: str, since: str):
        from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
        from grafana_foundation_sdk.models import dashboard as models

        self._builders, self._models = dashboard, models
        self._prometheus, self._stat, self._timeseries = prometheus, stat, timeseries
        self._source = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
        self._board = dashboard.Dashboard(title).uid(uid).tags(["turnout"])
        self._board.refresh(refresh).time(since, "now").editable()
        chosen = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
        self._board.with_variable(chosen)

    def row(self, title: str) -> None:
        """Begin a row of panels."""
        self._board.with_row(self._builders.Row(title))

    def states(self, title: str, queries: Sequence[tuple[str, str]]) -> None:
        """Add states across the whole width: 0 is no and green, 1 is yes and red.

        Args:
            queries: expressions of PromQL, and what each is called.
        """
        models = self._models
        panel = self._stat.Panel().title(title).datasource(self._source).height(6).span(24)
        words = {
            "0": models.ValueMappingResult(text="no", color="green"),
            "1": models.ValueMappingResult(text="yes", color="red"),
        }
        panel.mappings([models.ValueMap(options=words)]).thresholds(self._steps((None, "green"), (1, "red")))
        self._add(panel, queries)

    def value(self, title: str, queries: Sequence[tuple[str, str]], unit: str, bad_below: float) -> None:
        """Add numbers of now, red below a bound."""
        panel = self._stat.Panel().title(title).datasource(self._source).height(8).span(12).unit(unit)
        self._add(panel.thresholds(self._steps((None, "red"), (bad_below, "green"))), queries)

    def series(
        self,
        title: str,
        queries: Sequence[tuple[str, str]],
        unit: str = "short",
        line: float | None = None,
        text: str = "",
    ) -> None:
        """Add lines over time, of half the width.

        Args:
            line: from which on values are red.
            text: what there is to know about it.
        """
        panel = self._timeseries.Panel().title(title).datasource(self._source).height(8).span(12).unit(unit)
        if line is not None:
            panel.thresholds(self._steps((None, "green"), (line, "red")))
        self._add(panel.description(text) if text else panel, queries)

    def text(self) -> str:
        """The dashboard as JSON."""
        from grafana_foundation_sdk.cog.encoder import JSONEncoder

        return JSONEncoder(sort_keys=True, indent=2).encode(self._board.build()) + "\n"

    def _add(self, panel: Any, queries: Sequence[tuple[str, str]]) -> None:
        for expression, legend in queries:
            query = self._prometheus.Dataquery().expr(expression).legend_format(legend).datasource(self._source)
            panel.with_target(query)
        self._board.with_panel(panel)

    def _steps(self, *pairs: tuple[float | None, str]) -> Any:
        models = self._models
        thresholds = [models.Threshold(value=value, color=color) for value, color in pairs]
        return self._builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(thresholds)
