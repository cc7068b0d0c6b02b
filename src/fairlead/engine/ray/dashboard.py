"""Ray's dashboard over HTTP: its nodes, what Serve runs, and Serve's deployment. No Ray is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import httpx

from fairlead.errors import EXIT_FAILED, UserError

TIMEOUT_S = 30.0
APPLICATIONS = "/api/serve/applications/"


class Dashboard:
    """A client, closed at the end of its block.

    Every call raises httpx.HTTPError where the cluster does not answer, UserError where it refuses us.
    """

    def __init__(self, url: str, token: str) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False)
        self.url = url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def nodes(self) -> list[Mapping[str, Any]]:
        """The nodes that live, as the dashboard's summary has them."""
        page = self._answer("GET", "/nodes?view=summary").json()
        nodes: list[Mapping[str, Any]] = page["data"]["summary"]
        return [node for node in nodes if node.get("raylet", {}).get("state") == "ALIVE"]

    def serve(self) -> Mapping[str, Any]:
        """What Serve runs: `applications` by name, and `proxies`."""
        page: Mapping[str, Any] = self._answer("GET", APPLICATIONS).json()
        return page

    def deploy(self, config: Mapping[str, Any]) -> None:
        """Make the cluster serve this and nothing else; what differs from before is replaced step by step."""
        self._answer("PUT", APPLICATIONS, json=config)

    def remove(self) -> None:
        """Serve nothing any more."""
        self._answer("DELETE", APPLICATIONS)

    def metrics(self, node: Mapping[str, Any]) -> str:
        """A node's metrics, Ray's and those of all that runs on it."""
        raylet = node["raylet"]
        url = f"http://{raylet['nodeManagerAddress']}:{raylet['metricsExportPort']}/metrics"
        return self._http.get(url).raise_for_status().text

    def _answer(self, method: str, path: str, json: Mapping[str, Any] | None = None) -> httpx.Response:
        answer = self._http.request(method, path, json=json)
        if answer.status_code in (401, 403):
            hint = "ray.token_env names the variable with the cluster's token"
            raise UserError(f"{self.url} refuses the token", hint=hint, exit_code=EXIT_FAILED)
        if answer.status_code >= 400:
            raise UserError(f"{self.url} answers {answer.status_code}: {answer.text[:2000]}", exit_code=EXIT_FAILED)
        return answer
