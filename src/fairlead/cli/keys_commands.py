"""`keys`: API keys, made here, shown once, and ended here."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.arguments import duration
from fairlead.cli.show import console, table
from fairlead.errors import UserError
from fairlead.ops import runfile
from fairlead.ops.layout import Layout
from fairlead.ops.place import place_for
from fairlead.spec.load import load
from fairlead.spec.types import Spec
from fairlead.store.contract import Keys
from fairlead.store.keys import Key
from fairlead.store.stores import open_keys

app = typer.Typer(help="API keys: create, list, rotate, revoke.", no_args_is_help=True)
File = Annotated[Path, typer.Option("--file", "-f", help="The service's file.")]
Environment = Annotated[
    str | None,
    typer.Option(
        "-e", "--environment", help="The environment whose rules hold; that of the running service by default."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_FILE = Path("fairlead.yaml")


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Whom its use is booked to.")],
    role: Annotated[str, typer.Option(help="A role of the file's access.roles.")],
    note: Annotated[str, typer.Option(help="A reminder for people.")] = "",
    expires_in: Annotated[str, typer.Option(help="For example 7d; at most access.keys.max_age, the default.")] = "",
    environment: Environment = None,
    file: File = DEFAULT_FILE,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once; only its hash is kept.

    Example: fairlead keys create --tenant search --role user --expires-in 30d
    """
    spec = rules(file, environment)
    if role not in spec.access.roles:
        raise UserError(f"no role {role!r} in {file}", hint=f"there are: {', '.join(sorted(spec.access.roles))}")
    max_age = spec.access.keys.max_age
    age = duration("--expires-in", expires_in) if expires_in else max_age
    if age > max_age:
        raise UserError(f"--expires-in {expires_in} is longer than access.keys.max_age", where=str(file))
    with opened(file, environment) as keys:
        secret, key = keys.create(tenant=tenant, role=role, note=note, max_age_s=age)
    show_secret(secret, key, as_json=as_json)


@app.command("list")
def list_keys(file: File = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """List every key, without its secret.

    Example: fairlead keys list --json
    """
    with opened(file) as keys:
        found = keys.all()
    now = time.time()
    if as_json:
        typer.echo(json.dumps([row(key, now) for key in found]))
        return
    columns = ("id", "tenant", "role", "state", "created", "expires", "note")
    shown = table(columns)
    for key in found:
        fields = row(key, now)
        shown.add_row(*(fields[column] or "" for column in columns))
    console().print(shown)


@app.command()
def rotate(
    key_id: Annotated[str, typer.Argument(help="The id, as `list` shows it.")],
    environment: Environment = None,
    file: File = DEFAULT_FILE,
    as_json: AsJson = False,
) -> None:
    """Make a successor; the old key works on for access.keys.rotation_overlap.

    Example: fairlead keys rotate 3f2a9c01d4e5
    """
    limits = rules(file, environment).access.keys
    with opened(file, environment) as keys:
        secret, key = keys.rotate(key_id, overlap_s=limits.rotation_overlap, max_age_s=limits.max_age)
    show_secret(secret, key, as_json=as_json)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id, as `list` shows it.")],
    file: File = DEFAULT_FILE,
    as_json: AsJson = False,
) -> None:
    """End a key; a running gateway refuses it within a second.

    Example: fairlead keys revoke 3f2a9c01d4e5
    """
    with opened(file) as keys:
        keys.revoke(key_id)
    typer.echo(json.dumps({"revoked": key_id}) if as_json else f"{key_id} is revoked")


def rules(file: Path, environment: str | None) -> Spec:
    """The spec whose access rules hold: of the environment named, or of the one that runs."""
    layout = Layout.beside(file)
    if environment is None and runfile.is_running(layout) and (run := runfile.read(layout)) is not None:
        environment = run.overlay
    return load(file, environment)


@contextmanager
def opened(file: Path, environment: str | None = None) -> Iterator[Keys]:
    """The keys of the service that `file` declares, in its folder or in its database."""
    layout = Layout.beside(file)
    place = place_for(rules(file, environment), layout, os.environ)
    layout.make()
    with closing(open_keys(place)) as keys:
        yield keys


def row(key: Key, now: float) -> dict[str, str | None]:
    """A key as it is shown: never its hash."""
    return {
        "id": key.id,
        "tenant": key.tenant,
        "role": key.role,
        "state": key.state(now),
        "created": moment(key.created_at),
        "expires": moment(key.expires_at),
        "note": key.note,
        "replaces": key.replaces,
    }


def moment(at: float | None) -> str | None:
    """A time in UTC, to the second."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def show_secret(secret: str, key: Key, *, as_json: bool) -> None:
    """The one time that the secret is seen."""
    if as_json:
        typer.echo(json.dumps({"key": secret, **row(key, time.time())}))
        return
    typer.echo(secret)
    console(stderr=True).print(
        f"id {key.id}, tenant {key.tenant}, role {key.role}, expires {moment(key.expires_at)}. It is not shown again."
    )
