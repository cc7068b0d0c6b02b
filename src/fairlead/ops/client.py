"""Talk to a service that runs: its admin pages, and its gateway with the laptop's key."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx
import msgspec

from fairlead.engine.ray.view import View
from fairlead.errors import EXIT_FAILED, UserError
from fairlead.ops import runfile
from fairlead.ops.layout import Layout
from fairlead.ops.ray import KEEPER
from fairlead.ops.runfile import Run

TIMEOUT_S = 5.0
RAY_TIMEOUT_S = 30.0  # what waits is in the nodes' metrics, a megabyte each


def running(layout: Layout) -> Run:
    """The service that runs. Raises UserError when none does."""
    run = runfile.read(layout)
    if run is None or not runfile.is_running(layout):
        raise UserError(
            "the service does not run", where=str(layout.file), hint="`fairlead up` starts it", exit_code=EXIT_FAILED
        )
    return run


def admin_page(run: Run, path: str) -> dict[str, Any]:
    """A JSON page of the admin listener. Raises UserError when it does not answer."""
    try:
        with httpx.Client(trust_env=False, timeout=TIMEOUT_S) as client:
            page: dict[str, Any] = client.get(f"{run.admin_url}{path}").json()
            return page
    except (httpx.HTTPError, ValueError) as error:
        raise UserError(
            f"the gateway's admin page does not answer: {error}",
            where=run.admin_url,
            hint="`fairlead logs gateway`",
            exit_code=EXIT_FAILED,
        ) from error


def ray_page(run: Run) -> View | None:
    """The Ray cluster of a service; None where it has none, or where nobody can say."""
    url = next((service.url for service in run.services if service.name == KEEPER), None)
    if url is None:
        return None
    try:
        with httpx.Client(trust_env=False, timeout=RAY_TIMEOUT_S) as client:
            return msgspec.json.decode(client.get(f"{url}/status").raise_for_status().content, type=View)
    except (httpx.HTTPError, msgspec.MsgspecError):
        return None


def trusted(layout: Layout, certificate: Path | None = None) -> ssl.SSLContext:
    """Whose certificates count: this machine's authorities, and the service's own where it has one.

    `certificate` is what the gateway is shown where it asks for one. Raises UserError when it cannot be used.
    """
    context = ssl.create_default_context()
    if layout.authority.exists():
        context.load_verify_locations(layout.authority)
    if certificate is not None:
        try:
            context.load_cert_chain(certificate)
        except OSError as error:  # ssl.SSLError is one
            reason = error.strerror or "no certificate with its key"
            raise UserError(f"the certificate cannot be used: {reason}", where=str(certificate)) from error
    return context


def own_key(layout: Layout, given: str | None) -> str:
    """The key to call with: the one given, or the laptop's own. Raises UserError when there is none."""
    if given:
        return given
    try:
        return layout.laptop_key.read_text().strip()
    except FileNotFoundError:
        raise UserError(
            "no API key was given",
            hint="set FAIRLEAD_API_KEY or make one: fairlead keys create --tenant me --role user",
        ) from None
