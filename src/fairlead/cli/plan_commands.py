"""`plan`: how much of what."""

from __future__ import annotations

import typer

from fairlead.cli import simulate_command

app = typer.Typer(help="Size a service: how many replicas, and when.", no_args_is_help=True)
app.command()(simulate_command.simulate)
