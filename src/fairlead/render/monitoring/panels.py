"""A panel is a title, a unit and queries; how Grafana draws it is decided in one place, by its own library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from fairlead.render.build import Object

WIDTH, HEIGHT = 8, 8  # of a panel, on Grafana's grid of 24 columns
DATASOURCE = "${datasource}"


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries`: legend -> PromQL; a legend may name labels as `{{model}}`. `unit` is Grafana's name of it."""

    title: str
    unit: str
    queries: dict[str, str]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard: rows of panels, by their title."""

    name: str
    title: str
    rows: dict[str, Sequence[Panel]]

    @property
    def panels(self) -> list[Panel]:
        """All of them."""
        return [panel for row in self.rows.values() for panel in row]


def dashboard(board: Board, service: str) -> Object:
    """The dashboard as Grafana imports it; the data source is chosen in it."""
    from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    made = (
        Dashboard(f"{service}: {board.title}")
        .uid(f"{service[:28]}-{board.name}")
        .tags(["fairlead", service])
        .refresh("30s")
        .time("now-3h", "now")
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for title, row in board.rows.items():
        made = made.with_row(Row(title))
        for panel in row:
            made = made.with_panel(_timeseries(panel))
    loaded: Object = json.loads(json.dumps(made.build(), cls=JSONEncoder, sort_keys=True))
    return loaded


def _timeseries(panel: Panel):  # type: ignore[no-untyped-def]
    from grafana_foundation_sdk.builders.prometheus import Dataquery
    from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
    from grafana_foundation_sdk.models.dashboard import DataSourceRef

    source = DataSourceRef(type_val="prometheus", uid=DATASOURCE)
    drawn = Timeseries().title(panel.title).unit(panel.unit).span(WIDTH).height(HEIGHT).min(0).datasource(source)
    if panel.about:
        drawn = drawn.description(panel.about)
    for legend, query in panel.queries.items():
        drawn = drawn.with_target(Dataquery().expr(query).legend_format(legend).datasource(source))
    return drawn
