"""The proofs pass on the product, and each fails when its enforcement is taken away: else it would be none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.errors import UserError
from fairlead.ops.prove.registry import DESCRIPTIVE, FIELDS, PROOFS
from fairlead.ops.prove.run import prove
from fairlead.spec.enforced import ENFORCED
from fairlead.spec.load import load
from prove.sabotage import SABOTAGES
from servers.place import program
from servers.postgres import DEBIAN
from servers.redis import redis_program

ROOT = Path(__file__).parent.parent.parent
LAPTOP = ROOT / "examples" / "laptop" / "fairlead.yaml"
ROLES = ROOT / "examples" / "roles" / "fairlead.yaml"
BATCH = ROOT / "examples" / "batch" / "fairlead.yaml"
LIMITS = ROOT / "examples" / "limits" / "fairlead.yaml"
REPLICAS = ROOT / "examples" / "replicas" / "fairlead.yaml"
EXAMPLE_FOR = {
    "shared-limits": REPLICAS,
    "fail-modes": REPLICAS,
    "jwt": ROLES,
    "tls": ROLES,
    "limits": LIMITS,
    "budgets": LIMITS,
    "fairness": LIMITS,
    "batches": BATCH,
    "shared-batches": REPLICAS,
}  # where another example than the first declares what is proved
# The engine keeps these itself; tests/engine/openvino takes the enforcement away there.
KEPT_BY_THE_ENGINE = {"overload", "context"}


def test_every_claim_of_the_example_holds(tmp_path: Path) -> None:
    report = tmp_path / "proof.md"
    command = [sys.executable, "-m", "fairlead.cli.main", "prove", str(LAPTOP), "--json", "--report", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    findings = json.loads(done.stdout)
    assert [finding for finding in findings if finding["verdict"] == "failed"] == []
    assert {finding["id"] for finding in findings if finding["verdict"] == "skipped"} <= set(EXAMPLE_FOR)
    assert done.returncode == 0
    assert [finding["id"] for finding in findings] == [proof.id for proof in PROOFS]
    assert all(finding["figure"] and finding["evidence"] == "executed" for finding in findings)
    assert " passed, 0 failed" in report.read_text()


def test_who_may_do_what_holds_where_tokens_and_tls_are_declared() -> None:
    findings = prove(load(ROLES), only=["authz", "jwt", "tls"])
    assert [finding for finding in findings if finding.verdict != "passed"] == []


def test_what_may_be_used_holds_where_it_is_declared() -> None:
    findings = prove(load(LIMITS), only=["limits", "budgets", "fairness", "idempotency"])
    assert [finding for finding in findings if finding.verdict != "passed"] == []


def test_batches_are_kept_where_they_are_declared() -> None:
    (finding,) = prove(load(BATCH), only=["batches"])
    assert finding.verdict == "passed", finding


def test_what_replicas_share_holds_on_real_databases() -> None:
    program("initdb", DEBIAN), redis_program()
    shared = ["shared-limits", "shared-batches", "fail-modes", "budgets"]
    findings = prove(load(REPLICAS), only=["authn", "durability", *shared])
    assert [finding for finding in findings if finding.verdict != "passed"] == []


def test_a_store_that_is_not_on_this_machine_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object) -> str:
        raise UserError("redis-server is not on this machine")

    monkeypatch.setattr("fairlead.ops.prove.servers.found", nowhere)
    findings = prove(load(REPLICAS), only=["authz", "shared-limits", "fail-modes"])
    assert [finding.verdict for finding in findings] == ["passed", "skipped", "skipped"]
    assert all("not on this machine" in finding.figure for finding in findings[1:])


@pytest.mark.parametrize("name", [name for name in SABOTAGES if name != "tls:callers"])
def test_a_proof_fails_without_its_enforcement(name: str) -> None:
    if EXAMPLE_FOR.get(name) == REPLICAS:
        program("initdb", DEBIAN), redis_program()
    argv = (sys.executable, str(Path(__file__).parent / "sabotage.py"), name)
    proof = name.partition(":")[0]
    (finding,) = prove(load(EXAMPLE_FOR.get(proof, LAPTOP)), only=[proof], gateway_argv=argv)
    assert finding.verdict == "failed", finding


def test_callers_certificates_and_tokens_of_the_usual_claims_are_proved_where_they_are_declared(tmp_path: Path) -> None:
    file = tmp_path / "fairlead.yaml"
    tls = "{certificate: a.crt, key: a.key, client_ca: callers.crt}"
    jwt = "{issuer: i, audience: a, jwks_url: https://issuer.test/keys, algorithms: [PS256, ES512, Ed25519]}"
    file.write_text(
        f"apiVersion: fairlead/v1\nname: mutual\nmodels: {{demo: {{source: demo:v1}}}}\ngateway: {{tls: {tls}}}\n"
        f"access: {{jwt: {jwt}}}\n"
    )
    tokens, finding = prove(load(file), only=["jwt", "tls"])
    assert (tokens.verdict, finding.verdict) == ("passed", "passed"), (tokens, finding)
    assert "4 of 4 others refused" in finding.figure
    argv = (sys.executable, str(Path(__file__).parent / "sabotage.py"), "tls:callers")
    (finding,) = prove(load(file), only=["tls"], gateway_argv=argv)
    assert finding.verdict == "failed", finding
    assert finding.detail == "let in: a caller without a certificate"


def test_every_proof_is_sabotaged_somewhere() -> None:
    assert {proof.id for proof in PROOFS} == {name.partition(":")[0] for name in SABOTAGES} | KEPT_BY_THE_ENGINE


def test_every_field_belongs_to_a_proof_or_is_descriptive() -> None:
    assert set(FIELDS) | DESCRIPTIVE == set(ENFORCED)
    known = {proof.id for proof in PROOFS}
    for field, place in FIELDS.items():
        if place.startswith("test:"):
            assert (ROOT / place.removeprefix("test:")).is_file(), field
        else:
            assert place in known, field
