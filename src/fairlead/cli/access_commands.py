"""`access`: who may do what, and which line of the file says so."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from fairlead.cli.keys_commands import DEFAULT_FILE, AsJson, Environment, File
from fairlead.cli.show import console
from fairlead.errors import EXIT_FAILED, UserError
from fairlead.gateway.config import Jwt
from fairlead.gateway.jwt import Rejected, identify
from fairlead.gateway.keyset import NoKeySet, get, keys_of
from fairlead.ops import runfile
from fairlead.ops.credentials import Caller, caller_by_key
from fairlead.ops.layout import Layout
from fairlead.ops.place import place_for
from fairlead.render.gateway import jwt as jwt_rules
from fairlead.spec import overlay
from fairlead.spec.explain import Decision, decide
from fairlead.spec.load import read, resolve
from fairlead.spec.problems import Path as Rule
from fairlead.spec.problems import dotted, nearest
from fairlead.spec.types import GATEWAY_OPERATIONS, Spec
from fairlead.spec.variables import with_values

app = typer.Typer(help="Access: explain who may do what.", no_args_is_help=True)
OPERATIONS = ("chat", "completions", "embeddings", "responses", *GATEWAY_OPERATIONS)


@app.callback()
def group() -> None:
    """Access: explain who may do what."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `--json` prints. `status` is what the gateway would answer; `where` is `file:line:column`."""

    allowed: bool
    status: int
    operation: str
    model: str
    key: str
    tenant: str
    role: str
    reason: str
    rule: str
    where: str


@app.command()
def explain(
    key: Annotated[str, typer.Option(envvar="FAIRLEAD_API_KEY", help="An API key, or the id of one.")] = "",
    token: Annotated[str, typer.Option(help="A token of the issuer of access.jwt, checked with its key set.")] = "",
    role: Annotated[str, typer.Option(help="A role, whoever has it.")] = "",
    model: Annotated[str, typer.Option("--model", "-m", help="A public name: a model or a route.")] = "",
    operation: Annotated[str, typer.Option(help=f"One of {', '.join(OPERATIONS)}.")] = "chat",
    environment: Environment = None,
    file: File = DEFAULT_FILE,
    as_json: AsJson = False,
) -> None:
    """Say whether a request would be let in, and which rule of the file decides. Exit code 0 if it would, else 1.

    Limits and budgets are looked at later, request by request.

    Example: fairlead access explain --key 3f2a9c01d4e5 --model demo --operation chat
    """
    if operation not in OPERATIONS:
        raise UserError(f"--operation {operation} is unknown", hint=nearest(operation, OPERATIONS, otherwise="one of"))
    if not model and operation not in GATEWAY_OPERATIONS:
        raise UserError(f"{operation} is asked of a model", hint="--model NAME")
    if (token and role) or not (token or role or key):  # the key may come from the environment, the others do not
        raise UserError("whose access?", hint="one of --key, --token and --role")
    document = read(file)
    named = environment or overlay_of_running(file)
    spec = resolve(document, named, environ=os.environ if token else None)
    caller = by_token(spec, token) if token else Caller(role=role) if role else by_key(spec, file, key)
    decision = (
        Decision(caller.status, caller.refused, caller.rule)
        if caller.refused
        else decide(spec, caller.role, operation, model)
    )
    told = Explanation(
        allowed=decision.allowed,
        status=decision.status,
        operation=operation,
        model=model,
        key=caller.key,
        tenant=caller.tenant,
        role=caller.role,
        reason=decision.reason,
        rule=dotted(decision.rule),
        where=overlay.resolve(document, named)[0].where(decision.rule),
    )
    show(told, as_json=as_json)
    if not told.allowed:
        raise typer.Exit(EXIT_FAILED)


def overlay_of_running(file: Path) -> str | None:
    """The environment of the service that runs, as `keys` takes it too."""
    layout = Layout.beside(file)
    run = runfile.read(layout) if runfile.is_running(layout) else None
    return run.overlay if run is not None else None


def by_key(spec: Spec, file: Path, key: str) -> Caller:
    """The caller behind a key or its id."""
    layout = Layout.beside(file)
    if not layout.state.is_dir():
        raise UserError("nothing has run here yet, so there are no keys", where=str(layout.state), hint="use --role")
    return caller_by_key(place_for(spec, layout, os.environ), key, time.time())


def by_token(spec: Spec, token: str) -> Caller:
    """The caller behind a token, judged as the gateway does it, by the issuer's key set as it is now."""
    if spec.access.jwt is None:
        return Caller(refused="no tokens are taken: there is no access.jwt", rule=("access",))
    rules = msgspec.convert(jwt_rules(with_values(spec, os.environ).access.jwt), Jwt)
    path: Rule = ("access", "jwt")
    try:
        keys = keys_of(asyncio.run(get(rules.jwks_url)))
    except NoKeySet as error:
        return Caller(refused=f"the key set cannot be fetched: {error}", rule=(*path, "jwks_url"), status=503)
    try:
        found = identify(token.encode(), keys, rules, time.time())
    except Rejected as error:
        return Caller(refused=f"the token is not accepted: {error}", rule=(*path, error.rule) if error.rule else path)
    role = next((role for role in found.roles if role in spec.access.roles), "")
    refused = "" if role else "none of the token's roles is a role of the file"
    return Caller(found.key_id, found.tenant, role, refused, (*path, "role_claim"), 403)


def show(told: Explanation, *, as_json: bool) -> None:
    """The verdict, and the line of the file that it follows from."""
    if as_json:
        typer.echo(json.dumps(asdict(told)))
        return
    screen = console()
    verdict = "[green]allowed[/]" if told.allowed else f"[red]denied[/] ({told.status})"
    screen.print(f"{verdict}: {escape(told.reason)}")
    screen.print(f"  rule  {escape(told.rule)}  {escape(told.where)}")
    if told.key:
        screen.print(
            f"  key   {escape(told.key)}, tenant {escape(told.tenant or '-')}, role {escape(told.role or '-')}"
        )
