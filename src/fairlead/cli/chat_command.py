"""`chat`: talk to a model in the terminal, through the gateway like everybody else."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

from fairlead.errors import EXIT_FAILED, UserError
from fairlead.ops.client import own_key, running, trusted
from fairlead.ops.layout import Layout

TIMEOUT_S = 600.0
Message = dict[str, str]


def chat(
    model: Annotated[str, typer.Argument(help="A public model name; the first one when left out.")] = "",
    message: Annotated[str, typer.Option("--message", "-m", help="Ask this one thing and end.")] = "",
    system: Annotated[str, typer.Option(help="A system prompt.")] = "",
    key: Annotated[str, typer.Option(envvar="FAIRLEAD_API_KEY", help="An API key; on a laptop `up` made one.")] = "",
    file: Annotated[Path, typer.Option("--file", "-f", help="The service's file.")] = Path("fairlead.yaml"),
    certificate: Annotated[
        Path | None,
        typer.Option(help="PEM file with a certificate and its key, where the gateway asks callers for one."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With -m: print the answer as the API gives it.")] = False,
) -> None:
    """Chat; the answer streams. An empty line or Ctrl-D ends it.

    Example: fairlead chat demo -m "What is TTFT?"
    """
    layout = Layout.beside(file)
    run = running(layout)
    headers = {"Authorization": f"Bearer {own_key(layout, key)}"}
    verify = trusted(layout, certificate)
    with httpx.Client(base_url=run.url, headers=headers, timeout=TIMEOUT_S, trust_env=False, verify=verify) as client:
        name = model or first_model(client)
        history: list[Message] = [{"role": "system", "content": system}] if system else []
        if message and as_json:
            typer.echo(json.dumps(whole(client, name, [*history, said(message)])))
        elif message:
            speak(client, name, [*history, said(message)])
        else:
            converse(client, name, history)


def converse(client: httpx.Client, model: str, history: list[Message]) -> None:
    """Question and answer until the user has enough."""
    console = Console(stderr=True, highlight=False)
    console.print(f"{model} is listening; an empty line ends it.")
    while True:
        try:
            asked = console.input("[bold]> [/bold]").strip() if sys.stdin.isatty() else input().strip()
        except (EOFError, KeyboardInterrupt):
            return
        if not asked:
            return
        history.append(said(asked))
        history.append({"role": "assistant", "content": speak(client, model, history)})


def speak(client: httpx.Client, model: str, messages: list[Message]) -> str:
    """Print the answer as it comes; returns all of it."""
    parts: list[str] = []
    for part in stream(client, model, messages):
        parts.append(part)
        sys.stdout.write(part)
        sys.stdout.flush()
    sys.stdout.write("\n")
    return "".join(parts)


def stream(client: httpx.Client, model: str, messages: list[Message]) -> Iterator[str]:
    """The pieces of a streamed answer. Raises UserError."""
    try:
        with client.stream("POST", "/v1/chat/completions", json={**request(model, messages), "stream": True}) as answer:
            if answer.status_code != 200:
                answer.read()
                checked(answer)
            for line in answer.iter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                event = json.loads(line[6:])
                if "error" in event:
                    raise UserError(event["error"]["message"], exit_code=EXIT_FAILED)
                for choice in event["choices"]:
                    yield choice["delta"].get("content") or ""
    except httpx.HTTPError as error:
        raise UserError(f"the gateway broke off: {error}", exit_code=EXIT_FAILED) from error


def whole(client: httpx.Client, model: str, messages: list[Message]) -> Any:
    """The answer as the API gives it. Raises UserError."""
    try:
        return checked(client.post("/v1/chat/completions", json=request(model, messages)))
    except httpx.HTTPError as error:
        raise UserError(f"the gateway broke off: {error}", exit_code=EXIT_FAILED) from error


def first_model(client: httpx.Client) -> str:
    """The first model that the key may use. Raises UserError."""
    try:
        models = checked(client.get("/v1/models"))["data"]
    except httpx.HTTPError as error:
        raise UserError(f"the gateway does not answer: {error}", exit_code=EXIT_FAILED) from error
    if not models:
        raise UserError("this key may use no model", exit_code=EXIT_FAILED)
    return str(models[0]["id"])


def checked(answer: httpx.Response) -> Any:
    """The JSON of a good answer. Raises UserError with the gateway's own words otherwise."""
    if answer.status_code == 200:
        return answer.json()
    told = answer.json()["error"]["message"]
    raise UserError(f"{answer.status_code}: {told}", exit_code=EXIT_FAILED)


def request(model: str, messages: list[Message]) -> dict[str, Any]:
    """A request's body."""
    return {"model": model, "messages": messages}


def said(text: str) -> Message:
    """A user's message."""
    return {"role": "user", "content": text}
