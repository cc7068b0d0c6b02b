"""What a tenant sees of its own usage comes from the shared database, and waits for it when it is away."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import httpx

from fairlead.store.postgres_keys import PostgresKeys
from gateway.harness import Gateway, compiled
from gateway.upstream import Upstream, eventually
from servers.postgres import Postgres


def test_a_tenants_usage_is_read_from_postgresql_or_refused(
    own_postgres: Postgres, engine: Upstream, tmp_path: Path
) -> None:
    url = own_postgres.new_database()
    store = {"postgres": {"url_env": "THE_URL", "keys_stale_for_s": 600.0}, "redis": None}
    config = compiled(tmp_path / "state", {"m0": (engine,)}) | {"store": store}
    config["roles"]["auditor"] = {"models": ["m0"], "operations": ["chat", "admin:usage"]}
    with closing(PostgresKeys(url)) as keys:
        gateway = Gateway(config, tmp_path, environ={"THE_URL": url}, keys=keys)
        key = gateway.new_key(tenant="acme", role="auditor")
        try:
            gateway.start()
            assert eventually(lambda: gateway.chat(key=key).status_code == 200)

            def usage() -> httpx.Response:
                with gateway.client(key) as client:
                    return client.get("/admin/usage")

            assert eventually(lambda: [line["requests"] for line in usage().json()["usage"]] == [1], within_s=20.0)
            own_postgres.stop()
            refused = usage()
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "ledger_unavailable")
            assert gateway.chat(key=key).status_code == 200
            own_postgres.start()
            assert eventually(lambda: usage().status_code == 200, within_s=20.0)
        finally:
            gateway.stop()
    assert "Traceback" not in gateway.log_path.read_text()
