"""`init`, `check`, `diff`, `schema`: what a file says, before anything runs; nothing here touches a service."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fairlead.errors import UserError
from fairlead.spec.diff import Difference, differences
from fairlead.spec.load import check as check_file
from fairlead.spec.load import load
from fairlead.spec.schema import json_schema
from fairlead.spec.types import RemoteModel, Spec

File = Annotated[Path, typer.Argument(help="The file to read.", show_default=True)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def init(
    path: Annotated[Path, typer.Argument(help="The file to write, or a folder for it.")] = Path("fairlead.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a commented fairlead.yaml to start from.

    Example: fairlead init
    """
    target = path / "fairlead.yaml" if path.is_dir() else path
    try:
        with target.open("w" if force else "x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError:
        raise UserError("there is a file already", where=str(target), hint="--force overwrites it") from None
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=str(target)) from None
    typer.echo(f"wrote {target}; next: fairlead up")


def template() -> str:
    """The file that `init` writes."""
    return resources.files("fairlead.spec").joinpath("template.yaml").read_text(encoding="utf-8")


def check(
    file: File = Path("fairlead.yaml"),
    environment: Annotated[
        str | None, typer.Option("-e", "--environment", help="Check for this environment only; else for all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a file: every problem with its line and a hint, exit code 2; else what it declares.

    Example: fairlead check fairlead.yaml -e production
    """
    try:
        spec = check_file(file, environment, environ=os.environ)
    except UserError as error:
        if not as_json:
            raise
        typer.echo(json.dumps({"ok": False, "problems": [problem.as_json() for problem in error.problems]}, indent=2))
        raise typer.Exit(error.exit_code) from None
    if as_json:
        typer.echo(json.dumps({"ok": True, "problems": [], "spec": spec.model_dump(mode="json")}, indent=2))
        return
    console = Console()
    console.print(f"[bold]{spec.name}[/bold] ({spec.environment}): no problems")
    for table in (_models(spec), _routes(spec), _roles(spec)):
        if table.row_count:
            console.print(table)


def diff(
    file: File = Path("fairlead.yaml"),
    environments: Annotated[
        list[str] | None, typer.Option("-e", "--environment", help="Give it twice; once compares with the plain file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show in which fields two environments differ, defaults included.

    Example: fairlead diff fairlead.yaml -e staging -e production
    """
    named = environments or []
    if len(named) not in (1, 2):
        raise UserError("diff compares two environments", hint="fairlead diff fairlead.yaml -e staging -e production")
    left, right = named if len(named) == 2 else (None, named[0])
    found = differences(load(file, left), load(file, right))
    labels = (left or "plain file", right)
    if as_json:
        fields = [{"field": item.path, "left": item.left, "right": item.right} for item in found]
        typer.echo(json.dumps({"left": labels[0], "right": labels[1], "differences": fields}, indent=2))
        return
    Console().print(_differences(found, labels) if found else f"{labels[0]} and {labels[1]} do not differ")


def schema() -> None:
    """Print the JSON Schema of fairlead.yaml, for editors.

    Example: fairlead schema > fairlead.schema.json
    """
    typer.echo(json.dumps(json_schema(), indent=2))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=index == 0)
    return table


def _models(spec: Spec) -> Table:
    table = _table("model", "engine", "replicas", "source", "operations")
    for name, model in spec.models.items():
        places = list(model.urls) if isinstance(model, RemoteModel) else [model.source]
        replicas = len(places) if isinstance(model, RemoteModel) else model.replicas
        table.add_row(name, model.engine, str(replicas), ", ".join(places), ", ".join(model.operations))
    return table


def _routes(spec: Spec) -> Table:
    table = _table("route", "model", "timeout")
    dumped = spec.model_dump(mode="json")
    for name, route in dumped["routes"].items():
        table.add_row(name, route["model"], route["timeout"] or dumped["gateway"]["timeout"])
    return table


def _roles(spec: Spec) -> Table:
    table = _table("role", "may use", "operations")
    for name, role in spec.access.roles.items():
        table.add_row(name, ", ".join(role.models), ", ".join(role.operations))
    return table


def _differences(found: list[Difference], labels: tuple[str, str]) -> Table:
    table = _table("field", *labels)
    for item in found:
        table.add_row(item.path, *("-" if side is None else side for side in (item.left, item.right)))
    return table
