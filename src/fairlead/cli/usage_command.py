"""`usage`: what was used, by whom, from the ledger."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fairlead.cli.arguments import duration
from fairlead.cli.keys_commands import rules
from fairlead.cli.show import console, table
from fairlead.errors import UserError
from fairlead.ops.chargeback import EXPORTS, money
from fairlead.ops.layout import Layout
from fairlead.ops.place import place_for
from fairlead.render.consumption import currency
from fairlead.store.contract import GROUPS, Total
from fairlead.store.stores import open_ledger

COUNTS = ("requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens")


def usage(
    by: Annotated[str, typer.Option(help=f"One of {', '.join(GROUPS)}.")] = "tenant",
    since: Annotated[str, typer.Option(help="How far back, for example 24h or 30d; all when left out.")] = "",
    file: Annotated[Path, typer.Option("--file", "-f", help="The service's file.")] = Path("fairlead.yaml"),
    cost: Annotated[bool, typer.Option("--cost", help="Show what it cost, by the prices of its time.")] = False,
    export: Annotated[str, typer.Option(help=f"Print the chargeback instead: {', '.join(EXPORTS)}.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Sum up the usage ledger. Everything answered so far is in it, also while the service runs.

    Example: fairlead usage --by model --since 24h --cost
    """
    if by not in GROUPS:
        raise UserError(f"--by {by} is unknown", hint=f"one of {', '.join(GROUPS)}")
    if export and export not in EXPORTS:
        raise UserError(f"--export {export} is unknown", hint=f"one of {', '.join(EXPORTS)}")
    layout = Layout.beside(file)
    spec = rules(file, None)
    place = place_for(spec, layout, os.environ)
    if not place.url and not layout.state.is_dir():
        raise UserError("nothing has run here yet", where=str(layout.state), hint="`fairlead up` starts the service")
    start = time.time() - duration("--since", since) if since else 0.0
    with closing(open_ledger(place)) as ledger:
        ledger.ship()
        if export:
            typer.echo(EXPORTS[export](ledger.charge_lines(start), currency(spec)), nl=False)
            return
        totals = ledger.totals(by, start)
    if as_json:
        typer.echo(json.dumps([named(by, total) for total in totals]))
        return
    console().print(shown(by, totals, (currency(spec) or "cost") if cost else ""))


def named(by: str, total: Total) -> dict[str, object]:
    """A row of the JSON output."""
    fields = asdict(total)
    return {by: fields.pop("group"), **fields}


def shown(by: str, totals: list[Total], money_column: str) -> Table:
    """The rows and their sum; `money_column` "" shows no money."""
    columns = (by, *(name.replace("_", " ") for name in COUNTS), "ttft ms", "duration ms")
    columns += (money_column,) if money_column else ()
    made = table(columns, numbers=columns[1:])
    for total in totals:
        counts = [f"{getattr(total, name):,}" for name in COUNTS]
        ttft = "" if total.ttft_ms is None else f"{total.ttft_ms:,.1f}"
        paid = (money(total.cost_nano),) if money_column else ()
        made.add_row(total.group, *counts, ttft, f"{total.duration_ms:,.1f}", *paid)
    sums = [sum(getattr(total, name) for total in totals) for name in COUNTS]
    made.add_section()
    all_paid = ("", "", money(sum(total.cost_nano for total in totals))) if money_column else ()
    made.add_row("all", *(f"{amount:,}" for amount in sums), *all_paid)
    return made
