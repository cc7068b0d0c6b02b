"""What replicas share: compiled without any secret, read by the gateway, and refused where it would share nothing."""

from __future__ import annotations

import msgspec
import pytest

from fairlead.errors import UserError
from fairlead.gateway.config import Config
from fairlead.ops.layout import Layout
from fairlead.ops.place import place_for
from fairlead.render.gateway import gateway_config, gateway_text
from fairlead.spec.load import load

from .conftest import Tell, Write

DEMO = "models: {demo: {source: demo:v1}}\n"
LIMIT = "limits: {all: {requests: 600/min}}\n"
REDIS = "store: {redis: {url_env: REDIS_URL, lease: 2s, when_gone: deny}}\n"
POSTGRES = "store: {postgres: {url_env: DATABASE_URL, keys_stale_for: 10m}}\n"

CONTRADICTIONS = {
    "a store of nothing": (DEMO + "store: {}", "store", "stores nothing"),
    "nothing to share": (DEMO + REDIS, "store.redis", "nothing to share"),
    "only running requests": (DEMO + "limits: {all: {concurrent: 3}}\n" + REDIS, "store.redis", "nothing to share"),
    "a limit that multiplies": (DEMO + LIMIT + "gateway: {replicas: 2}", "gateway.replicas", "the whole of limits.all"),
    "an admin port for callers": (
        DEMO + "gateway: {replicas: 3, port: 9002, admin_port: 9000}",
        "gateway.replicas",
        "9000 to 9002",
    ),
    "no port left": (DEMO + "gateway: {replicas: 3, admin_port: 65534}", "gateway.replicas", "65534 to 65536"),
    "a URL instead of a name": (
        DEMO + "store: {postgres: {url_env: 'postgresql://u:hunter2@h/d'}}",
        "store.postgres.url_env",
        "not the name of an environment variable",
    ),
}


@pytest.mark.parametrize(("text", "subject", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_told_at_its_field(write: Write, tell: Tell, text: str, subject: str, message: str) -> None:
    told = tell(text)
    assert [problem.subject for problem in told] == [subject]
    assert message in told[0].message
    assert "hunter2" not in told[0].text()


def test_the_gateway_reads_what_is_compiled(write: Write) -> None:
    text = DEMO + LIMIT + POSTGRES.rstrip("}\n") + "}, redis: {url_env: REDIS_URL, lease: 2s, when_gone: deny}}\n"
    spec = load(write(text + "gateway: {replicas: 2}"))
    config = gateway_config(spec, state_dir="/state", upstreams={"demo": ["http://127.0.0.1:1"]})
    read = msgspec.json.decode(gateway_text(config), type=Config)
    assert read.store.postgres is not None
    assert read.store.redis is not None
    assert (read.store.postgres.url_env, read.store.postgres.keys_stale_for_s) == ("DATABASE_URL", 600.0)
    assert (read.store.redis.url_env, read.store.redis.lease_s, read.store.redis.when_gone) == (
        "REDIS_URL",
        2.0,
        "deny",
    )
    assert read.replicas == 2


def test_the_url_comes_from_the_variable_and_is_never_shown(write: Write) -> None:
    path = write(DEMO + POSTGRES)
    spec, layout = load(path), Layout.beside(path)
    place = place_for(spec, layout, {"DATABASE_URL": "postgresql://u:hunter2@h/d"})
    assert place.url.endswith("@h/d")
    assert "hunter2" not in repr(place)
    with pytest.raises(UserError, match="DATABASE_URL"):
        place_for(spec, layout, {})
    assert place_for(load(write(DEMO)), layout, {}).url == ""
