"""What a person reads of the report: one row a peer, then the goals, then what is missing or was disturbed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

COLUMNS: Mapping[str, str] = {
    "requests/s\nper core": "rps_per_core",
    "paced chunks/s\nper core": "chunks_per_s_per_core",
    "chunk delay\np50 us": "chunk_delay_p50_us",
    "p99 us": "chunk_delay_p99_us",
    "busy chunks/s\nper core": "busy_chunks_per_s_per_core",
    "added\np50 us": "added_p50_us",
    "added\np99 us": "added_p99_us",
    "200 KB: MB/s": "large_mb_per_s",
    "MB/s\nper core": "large_mb_per_s_per_core",
    "MiB": "rss_mib",
}
WIDTH = 160  # the table needs that much; a narrower terminal wraps it
OF_NGINX = ("rps_per_core", "chunks_per_s_per_core", "busy_chunks_per_s_per_core", "large_mb_per_s_per_core")


def render(report: Mapping[str, Any]) -> RenderableType:
    """The whole report for the terminal."""
    machine = report["machine"]
    head = f"{machine['cpu']}, {machine['cores']} cores, {machine['os']}, kernel {machine['kernel']}, {report['date']}"
    return Group(Text(head, style="dim"), _peers(report["peers"]), _goals(report["goals"]), *_notes(report))


def _peers(peers: Mapping[str, Any]) -> Table:
    table = Table(title="one gateway core each; in brackets: of nginx")
    table.add_column("peer", no_wrap=True)
    for title in COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for name, row in peers.items():
        style = "bold" if name == "fairlead" else None
        table.add_row(name, *(_cell(row, key) for key in COLUMNS.values()), style=style)
    return table


def _cell(row: Mapping[str, Any], key: str) -> str:
    if key not in row:
        return "-"
    share = row.get("of_nginx", {}).get(key) if key in OF_NGINX else None
    return f"{row[key]:,.0f}" + (f" ({share:.2f})" if share is not None else "")


def _goals(goals: list[Mapping[str, Any]]) -> Table:
    table = Table(title="goals of fairlead")
    for title in ("goal", "limit", "measured", "met"):
        table.add_column(title)
    for goal in goals:
        measured = "-" if goal["measured"] is None else f"{goal['measured']:g}"
        table.add_row(
            goal["goal"], goal["limit"], measured, {True: "yes", False: "NO", None: "not measured"}[goal["met"]]
        )
    return table


def _notes(report: Mapping[str, Any]) -> Iterator[Text]:
    """What a reader must know to judge the figures."""
    for name, reason in report["missing"].items():
        yield Text(f"missing: {name}: {reason}", style="yellow")
    for name, row in report["peers"].items():
        if "kept_up" in row and "added_p50_us" not in row:
            share = f"{row['kept_up']:.0%} of the offered rate answered"
            yield Text(f"saturated: {name}: {share}, so its added latency means nothing", style="yellow")
        if row["disturbed_runs"]:
            yield Text(f"disturbed: {name}: {row['disturbed_runs']} of {row['runs']} runs", style="yellow")
        if row["failures"]:
            yield Text(f"failures: {name}: {row['failures']} requests or streams ({row['first_error']})", style="red")
