"""The service at hand on ports and a state folder of its own: real engines, real gateways, real files.

Models whose engine is not the embedded one are stood in for by the demo model under their names: what is proved is the
gateway and the file, not the model.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from fairlead.engine.restart import RestartPolicy
from fairlead.engine.supervisor import Supervisor
from fairlead.ops import runfile
from fairlead.ops.layout import Layout
from fairlead.ops.machine import free_ports
from fairlead.ops.prove.servers import Servers, open_servers
from fairlead.ops.up import until_ready
from fairlead.ops.workers import admin_url, engines, fetch_models, gateway_worker, public_url
from fairlead.render.gateway import gateway_config, gateway_text
from fairlead.spec.types import AnyModel, LocalModel, OpenVinoModel, Spec
from fairlead.store.contract import Keys, Ledger
from fairlead.store.stores import Place, open_keys, open_ledger

STAND_IN = "demo:v1"
MOST_REPLICAS = 2
GRACE_S = 3.0
EAGER = RestartPolicy(longest_wait_s=0.5)  # proofs kill gateways again and again
GATEWAY = (sys.executable, "-m", "fairlead.gateway")
UNLIMITED: dict[str, Any] = {"rate_limits": {}, "budgets": {}, "fairness": None, "batches": None}
LONG_PROMPT = "Write a long story about a ship"
SHORT_PROMPT = "What is TTFT?"


@dataclass
class Stage:
    """A running service. `urls[n]` and `admin[n]` are the gateways; more can be started beside them.

    `declared` is the file's spec with its variables' values, `spec` what is staged of it.
    """

    spec: Spec
    declared: Spec
    layout: Layout
    gateway_argv: tuple[str, ...]
    upstreams: Mapping[str, tuple[str, ...]]
    engines: Supervisor
    servers: Servers
    place: Place
    keys: Keys
    gateways: list[Supervisor] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    admin: list[str] = field(default_factory=list)

    def key(self, role: str, tenant: str = "prove", max_age_s: float = 3600.0) -> str:
        """A new API key."""
        return self.keys.create(tenant=tenant, role=role, max_age_s=max_age_s)[0]

    def role_for(self, model: str, operation: str = "chat") -> str | None:
        """A role that may use the model, or None."""
        for name, role in sorted(self.spec.access.roles.items()):
            if operation in role.operations and ("*" in role.models or model in role.models):
                return name
        return None

    def client(self, key: str | None, gateway: int = 0, timeout_s: float = 30.0) -> httpx.AsyncClient:
        """A client of a gateway."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.AsyncClient(
            base_url=self.urls[gateway],
            headers=headers,
            timeout=timeout_s,
            trust_env=False,
            limits=httpx.Limits(max_connections=None),  # a claim about overload needs all at once
        )

    def may_chat(self, role: str, model: str) -> bool:
        """Whether a role may chat with a model by its own name."""
        rights, offers = self.spec.access.roles.get(role), self.spec.models[model].operations
        return (
            rights is not None
            and "chat" in {*rights.operations} & {*offers}
            and not {"*", model}.isdisjoint(rights.models)
        )

    def config(self) -> dict[str, Any]:
        """The file, compiled, for the engines that run here."""
        return gateway_config(self.spec, state_dir=self.layout.state, upstreams=self.upstreams)

    async def add_gateway(self, **changes: object) -> int:
        """Start another gateway on the same state; `changes` replace fields of gateway.json. Returns its number.

        Limits, budgets and fairness are left out unless they are among the changes: each proof tries one thing.
        """
        ports = free_ports(2)
        gateway = self.spec.gateway.model_copy(update={"port": next(ports), "admin_port": next(ports)})
        spec = self.spec.model_copy(update={"gateway": gateway})
        config = gateway_config(spec, state_dir=self.layout.state, upstreams=self.upstreams) | UNLIMITED | changes
        path = self.layout.state / f"gateway-{len(self.gateways)}.json"
        runfile.replace(path, gateway_text(config).encode())
        worker = gateway_worker(spec, self.layout)
        log = self.layout.logs / f"gateway-{len(self.gateways)}.log"
        supervisor = Supervisor(EAGER)
        await supervisor.start(
            [replace(worker, argv=(*self.gateway_argv, str(path)), env=self.servers.environ, log=log)]
        )
        self.gateways.append(supervisor)
        self.urls.append(public_url(spec))
        self.admin.append(admin_url(spec))
        await until_ready(admin_url(spec))
        return len(self.urls) - 1

    async def end_gateway(self, number: int) -> None:
        """Stop a gateway that was added; its number stays taken."""
        await self.gateways[number].stop(grace_s=GRACE_S)

    def gateway_pid(self, number: int) -> int | None:
        """The process of a gateway, None while it is down."""
        return self.gateways[number].snapshot()[0].pid

    async def engine_running(self) -> float:
        """Requests that the engines work on now, by their own count."""
        return await self._engine_sum("vllm:num_requests_running", "vllm:num_requests_waiting")

    async def engine_tokens(self) -> float:
        """Tokens that the engines have generated so far, by their own count."""
        return await self._engine_sum("vllm:generation_tokens_total")

    async def _engine_sum(self, *metrics: str) -> float:
        total = 0.0
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            for url in (url for urls in self.upstreams.values() for url in urls):
                text = (await client.get(f"{url}/metrics")).text
                total += sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(metrics))
        return total

    def ledger(self) -> Ledger:
        """The ledger, with everything that was answered so far."""
        ledger = open_ledger(self.place)
        ledger.ship()
        return ledger


@asynccontextmanager
async def open_stage(spec: Spec, folder: Path, gateway_argv: tuple[str, ...] = GATEWAY) -> AsyncIterator[Stage]:
    """Start everything, and end everything however the block ends. Raises UserError when something does not start."""
    layout = Layout.beside(folder / "fairlead.yaml")
    layout.make()
    async with open_servers(spec) as servers:
        staged = servers.staged(staged_spec(spec))
        folders = await asyncio.to_thread(fetch_models, staged, layout, None)
        plan = engines(staged, layout, folders)
        place = Place(layout.state, servers.postgres.url if servers.postgres else "")
        keys = open_keys(place)
        stage = Stage(staged, spec, layout, gateway_argv, plan.upstreams, Supervisor(), servers, place, keys)
        try:
            await stage.engines.start(plan.workers)
            await stage.add_gateway()
            yield stage
        finally:
            for supervisor in (*stage.gateways, stage.engines):
                await supervisor.stop(grace_s=GRACE_S)
            keys.close()


def staged_spec(spec: Spec) -> Spec:
    """The spec with stand-ins for engines that cannot run here, and on loopback.

    Without TLS and tokens: their proofs bring certificates and an issuer of their own.
    """
    models = {name: stand_in(model) for name, model in spec.models.items()}
    gateway = spec.gateway.model_copy(update={"host": "127.0.0.1", "admin_host": "127.0.0.1", "tls": None})
    access = spec.access.model_copy(update={"jwt": None})
    return spec.model_copy(update={"models": models, "gateway": gateway, "access": access})


def stand_in(model: AnyModel) -> OpenVinoModel:
    """The embedded engine, with what the declared one says about replicas and limits."""
    if isinstance(model, OpenVinoModel):
        return model.model_copy(update={"replicas": min(model.replicas, MOST_REPLICAS)})
    replicas = model.replicas if isinstance(model, LocalModel) else len(model.urls)
    return OpenVinoModel(source=STAND_IN, replicas=min(replicas, MOST_REPLICAS))
