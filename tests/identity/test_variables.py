"""`${VAR}` in the file: the value reaches who needs it, and no output, log, error or file ever shows it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from fairlead.variables import VariableError, all_resolved, masked, names_in, resolved
from gateway.harness import question
from gateway.upstream import upstream

from .issuer import AUDIENCE, ISSUER, Issuer, token
from .service import ports, up, written

ENVIRON = {"A": "alpha", "B_2": "${A}", "EMPTY": ""}
RESOLVED = {
    "plain": "plain",
    "${A}": "alpha",
    "x-${A}-${A}-y": "x-alpha-alpha-y",
    "${B_2}": "${A}",  # a value is not looked into again
    "${EMPTY}": "",
    "$A": "$A",
    "$${A}": "${A}",
    "$$${A}": "$${A}",
    "{A}": "{A}",
    "$": "$",
}


@pytest.mark.parametrize(("text", "value"), RESOLVED.items())
def test_resolved(text: str, value: str) -> None:
    assert resolved(text, ENVIRON) == value


@pytest.mark.parametrize("text", ["${", "${}", "${A", "${A-b}", "${1A}", "${A }", "${A${B_2}}", "${Ä}"])
def test_what_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(VariableError) as refusal:
        resolved(text, ENVIRON)
    assert refusal.value.name == ""
    with pytest.raises(VariableError):
        names_in(text)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(VariableError, match="MISSING is not set") as refusal:
        resolved("${A}${MISSING}", ENVIRON)
    assert refusal.value.name == "MISSING"


def test_plain_values_are_resolved_however_deep() -> None:
    given = {"${A}": [{"k": "${A}"}, 1, None, True, ("${A}",)]}
    assert all_resolved(given, ENVIRON) == {"${A}": [{"k": "alpha"}, 1, None, True, ["alpha"]]}


def test_values_are_taken_out_of_a_text_the_longest_first() -> None:
    environ = {"HOST": "db.internal", "URL": "https://db.internal/x", "SHORT": "db"}
    told = "cannot reach https://db.internal/x: db.internal has no db"
    assert masked(told, environ, environ) == "cannot reach ${URL}: ${HOST} has no db"


FILE = """
models:
  far:
    engine: remote
    urls: ["${ENGINE_URL}"]
    model: ${ENGINE_MODEL}
access:
  jwt:
    issuer: ${TEST_ISSUER}
    audience: ${TEST_AUDIENCE}
    jwks_url: ${TEST_JWKS}
  roles: {user: {models: [far]}}
"""


def test_a_missing_variable_is_told_with_its_line(tmp_path: Path) -> None:
    service = written(tmp_path, FILE, ENGINE_MODEL="m", TEST_AUDIENCE="a", TEST_JWKS="https://a.test/b")
    for command in (("check",), ("up",), ("prove",)):
        done = service.run(*command)
        assert done.returncode == 2, done.stdout + done.stderr
        told = " ".join(done.stderr.split())
        assert "fairlead.yaml:6:12 models.far.urls[0]: the environment variable ENGINE_URL is not set" in told
        assert "fairlead.yaml:10:13 access.jwt.issuer: the environment variable TEST_ISSUER is not set" in told
        assert "hint: export TEST_ISSUER=..." in told
        assert "2 problems" in told


WRONG = {
    "TEST_JWKS": "http://far-away-and-plain.test/keys",
    "ENGINE_URL": "ftp://somewhere-secret/",
    "TEST_ISSUER": "",
}


def test_a_value_that_its_field_does_not_take_is_refused_unseen(tmp_path: Path) -> None:
    good = {"ENGINE_URL": "http://127.0.0.1:9", "ENGINE_MODEL": "m", "TEST_ISSUER": "i", "TEST_AUDIENCE": "a"}
    good["TEST_JWKS"] = "https://issuer.test/keys"
    service = written(tmp_path, FILE, **good)
    assert service.run("check").returncode == 0
    for name, value in WRONG.items():
        done = service.run("check", "--json", **{name: value})
        assert done.returncode == 2, name
        (problem,) = json.loads(done.stdout)["problems"]
        assert problem["message"] == f"${{{name}}} holds what this field does not take"
        assert problem["where"].startswith("fairlead.yaml:")
        assert not value or value not in done.stdout + done.stderr


def test_the_values_work_and_are_nowhere_to_be_seen(tmp_path: Path, issuer: Issuer) -> None:
    with upstream() as engine:
        secrets = {
            "ENGINE_URL": engine.url.replace("127.0.0.1", "localhost") + "/v1",
            "ENGINE_MODEL": "the-model-over-there",
            "TEST_ISSUER": ISSUER,
            "TEST_AUDIENCE": AUDIENCE + "-of-this-test",
            "TEST_JWKS": issuer.url,
        }
        service = written(tmp_path, FILE + f"gateway: {{{ports()}}}\n", **secrets)
        shown = [service.run(*words) for words in (("check",), ("check", "--json"), ("diff", "-e", "laptop"))]
        with up(service) as told:
            bearer = {"Authorization": f"Bearer {token(aud=secrets['TEST_AUDIENCE'])}"}
            with httpx.Client(base_url=told["url"], headers=bearer, timeout=20.0, verify=False) as client:
                answer = client.post("/v1/chat/completions", json=question(model="far"))
                wrong = client.get("/v1/models", headers={"Authorization": f"Bearer {token(aud='else')}"})
            assert (answer.status_code, wrong.status_code) == (200, 401)
            assert engine.record.seen[-1].json["model"] == "the-model-over-there"
            shown += [service.run(*words) for words in (("status",), ("status", "--json"), ("logs",))]
            metrics = httpx.get(f"{told['admin_url']}/metrics", verify=False).text
            assert '"${ENGINE_URL}"' in metrics
            engine.vanish()  # an engine that is gone is told in the log, by the name it has in the file
            files = [path for path in service.state.rglob("*") if path.is_file()]
            texts = [path.read_text(errors="replace") for path in files]
    assert (service.state / "gateway.json").read_text().count("${") == len(secrets)
    texts += [done.stdout + done.stderr for done in shown] + [metrics, json.dumps(told), wrong.text]
    texts.append((service.state / "logs" / "gateway.log").read_text())
    leaks = [(name, text[:200]) for name, value in secrets.items() for text in texts if value in text]
    assert leaks == []


def test_an_error_of_a_tool_does_not_repeat_a_value(tmp_path: Path) -> None:
    file = f"""
    models: {{local: {{source: "${{WEIGHTS}}"}}}}
    gateway: {{{ports()}}}
    """
    service = written(tmp_path, file, WEIGHTS="./folder-that-nobody-may-know")
    done = service.run("up", "--detach")
    assert done.returncode != 0
    assert "folder-that-nobody-may-know" not in done.stdout + done.stderr
    assert "${WEIGHTS}" in done.stderr
