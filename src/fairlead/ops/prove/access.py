"""Proofs about who may do what."""

from __future__ import annotations

import asyncio
import time

import httpx

from fairlead.ops.prove.outcome import Outcome
from fairlead.ops.prove.stage import SHORT_PROMPT, Stage
from fairlead.spec.explain import decide
from fairlead.spec.types import ADMIN_OPERATIONS, Spec
from fairlead.store.keys import id_of

PATHS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "responses": "/v1/responses",
}
REVOKED_WITHIN_S = 1.0


def body(operation: str, model: str) -> dict[str, object]:
    """A small request."""
    asked: dict[str, object] = {"model": model, "max_tokens": 1}
    if operation == "chat":
        return asked | {"messages": [{"role": "user", "content": SHORT_PROMPT}]}
    return asked | ({"prompt": SHORT_PROMPT} if operation == "completions" else {"input": SHORT_PROMPT})


async def authn(stage: Stage) -> Outcome:
    """Nobody is answered without a working key; a revoked one ends within a second."""
    model = sorted(stage.spec.models)[0]
    role = stage.role_for(model) or sorted(stage.spec.access.roles)[0]
    good = stage.key(role)
    expired = stage.key(role, max_age_s=-1.0)
    tried = {
        "no key": None,
        "another scheme": "Basic",
        "a word": "let-me-in",
        "the id alone": good[: good.rindex("-")],
        "a wrong secret": good[:-1] + ("a" if good[-1] != "a" else "b"),
        "an unknown id": good.replace(id_of(good), "0" * 12),
        "an expired key": expired,
    }
    await settled(stage, good, model)
    let_in = [name for name, key in tried.items() if await status(stage, key, model) != 401]
    seconds = await until_revoked(stage, good, model)
    holds = not let_in and seconds <= REVOKED_WITHIN_S
    figure = f"{len(tried) - len(let_in)} of {len(tried)} refused; revoked after {seconds:.2f} s"
    return Outcome(holds, figure, f"let in: {', '.join(let_in)}" if let_in else "")


async def status(stage: Stage, key: str | None, model: str, operation: str = "chat") -> int:
    """The answer's status."""
    async with stage.client(key) as client:
        return (await client.post(PATHS[operation], json=body(operation, model))).status_code


async def settled(stage: Stage, key: str, model: str) -> None:
    """Wait until the gateway has taken up a new key."""
    for _ in range(100):
        if await status(stage, key, model) not in {401, 503}:
            return
        await asyncio.sleep(0.02)


async def until_revoked(stage: Stage, key: str, model: str) -> float:
    """Seconds from the revocation of a key to its first refusal; infinite when it goes on working."""
    async with stage.client(key) as client:
        stage.keys.revoke(id_of(key))
        began = time.monotonic()
        while time.monotonic() - began < 3 * REVOKED_WITHIN_S:
            answer = await client.post(PATHS["chat"], json=body("chat", model))
            if answer.status_code == 401:
                return time.monotonic() - began
    return float("inf")


async def authz(stage: Stage) -> Outcome:
    """Every role x public name x operation is answered as the file says, and /v1/models shows no more.

    Admin operations are the gateway's own: no name belongs to them.
    """
    wrong: list[str] = []
    count = 0
    for role in sorted(stage.spec.access.roles):
        key = stage.key(role)
        await settled(stage, key, sorted(stage.spec.models)[0])
        async with stage.client(key) as client:
            for name in public_names(stage.spec):
                for operation, path in PATHS.items():
                    count += 1
                    answer = await client.post(path, json=body(operation, name))
                    refused = answer.status_code in {401, 403, 404} or code(answer) == "unsupported_operation"
                    if refused == may(stage.spec, role, name, operation):
                        wrong.append(f"{role} {operation} {name}: {answer.status_code}")
            for operation in ADMIN_OPERATIONS:
                count += 1
                answer = await client.get(f"/admin/{operation.removeprefix('admin:')}")
                if answer.status_code != (200 if may(stage.spec, role, "", operation) else 403):
                    wrong.append(f"{role} {operation}: {answer.status_code}")
            shown = [entry["id"] for entry in (await client.get("/v1/models")).json()["data"]]
            if shown != listed(stage.spec, role):
                wrong.append(f"{role} sees {shown}")
    return Outcome(not wrong, f"{count - len(wrong)} of {count} combinations as declared", "; ".join(wrong[:5]))


def code(answer: httpx.Response) -> str:
    """The error's code, or ""."""
    return str((answer.json().get("error") or {}).get("code", "")) if answer.status_code >= 400 else ""


def public_names(spec: Spec) -> list[str]:
    """Every model and route, and one that there is not."""
    return [*sorted({*spec.models, *spec.routes}), "no-such-model"]


def may(spec: Spec, role: str, name: str, operation: str) -> bool:
    """What the file says."""
    return decide(spec, role, operation, name).allowed


def listed(spec: Spec, role: str) -> list[str]:
    """The names that the role may use for something."""
    names = sorted({*spec.models, *spec.routes})
    return [name for name in names if any(may(spec, role, name, operation) for operation in PATHS)]
