"""What stands behind each rendered file: executed, simulated, schema-checked or asserted, and which test shows it.

`executed`: run by the program that it is for. `simulated`: by a model of ours of that program. `schema-checked`: by its
vendor's schema or linter. `asserted`: by nothing but our word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

FILE = "EVIDENCE.md"
Kind = Literal["executed", "simulated", "schema-checked", "asserted"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """For files whose path matches `paths`: the kind, how it came about, and the test that repeats it."""

    paths: str
    kind: Kind
    how: str
    test: str


def evidence(paths: Iterable[str]) -> str:
    """EVIDENCE.md: a table of every file with all that stands behind it."""
    head = "| file | evidence | how | repeated by |\n|---|---|---|---|\n"
    rows = (line for path in sorted(paths) for line in lines(path))
    return f"# What stands behind each file\n\n{__doc__.partition(chr(10))[2].strip()}\n\n{head}{''.join(rows)}"


def lines(path: str) -> Iterator[str]:
    """A line of the table for each kind of evidence of a file; what no test looks at is asserted."""
    found = [each for each in EVIDENCE if re.fullmatch(each.paths, path)]
    for each in found or [NONE]:
        yield f"| {path} | {each.kind} | {each.how} | {each.test} |\n"


NONE = Evidence("", "asserted", "no judge for files of its kind", "-")
_EXAMPLES = "tests/render/test_examples_rendered.py"
_MONITORING = "tests/render/monitoring/test_monitoring.py"
_PIPELINES = "tests/render/test_pipelines.py"
_TERRAFORM = "tests/render/test_terraform.py"

EVIDENCE = (
    Evidence(
        r"manifests/(?!kustomization).*\.yaml",
        "schema-checked",
        "custom kinds by their CRDs with CEL, core kinds by the API's strict schema; references over all objects",
        _EXAMPLES,
    ),
    Evidence(r"manifests/kustomization\.yaml", "executed", "kubectl kustomize", _EXAMPLES),
    Evidence(
        r"manifests/gateway\.yaml",
        "executed",
        "the real gateway started with its gateway.json before two engines, and answered",
        "tests/render/test_live.py",
    ),
    Evidence(
        r"manifests/(engine-.*|gateway|rayservice|inference-gateway)\.yaml",
        "simulated",
        "every pod placed on the nodes that Terraform makes",
        "tests/render/test_schedule_pods.py",
    ),
    Evidence(
        r"manifests/network\.yaml",
        "simulated",
        "each connection that is needed is let through, and no other",
        "tests/render/test_reach.py",
    ),
    Evidence(
        r"manifests/rayservice\.yaml",
        "schema-checked",
        "serveConfigV2 by Ray's own models, with unknown keys refused",
        "tests/render/engines/test_kuberay.py",
    ),
    Evidence(
        r"monitoring/.*\.(rules|test)\.yaml",
        "executed",
        "promtool: each alert fires on its series and resolves",
        _MONITORING,
    ),
    Evidence(r"monitoring/alertmanager\.yaml", "executed", "amtool check-config, and routes", _MONITORING),
    Evidence(
        r"monitoring/dashboards/.*\.json",
        "executed",
        "on a real Prometheus that scraped the laptop's service, every query that this can feed returned data",
        "tests/render/monitoring/test_panels_live.py",
    ),
    Evidence(
        r"terraform/.*\.(tf|tfvars\.json)",
        "executed",
        "terraform validate and plan with the providers' schemas; no cloud was asked",
        _TERRAFORM,
    ),
    Evidence(r"terraform/backend\.json", "asserted", "it names the bucket that terraform/state makes", _TERRAFORM),
    Evidence(
        r"delivery/scripts/.*\.sh",
        "executed",
        "run against a stand-in for kubectl and a service that answers, does not, or does not come up; shellcheck",
        "tests/render/test_deploy_script.py",
    ),
    Evidence(r"delivery/\.github/workflows/.*", "schema-checked", "GitHub's schema, actionlint and zizmor", _PIPELINES),
    Evidence(r"delivery/Jenkinsfile", "schema-checked", "parsed and linted as Groovy", _PIPELINES),
    Evidence(
        r"delivery/images/.*",
        "asserted",
        "hadolint finds nothing; built nowhere, as there was no container engine",
        _PIPELINES,
    ),
    Evidence(r"delivery/stage\.env", "asserted", "its values are those of the manifests", _PIPELINES),
    Evidence(
        r"chart/.*",
        "simulated",
        "its templates, evaluated by a page of our own, are the manifests; there was no helm",
        "tests/render/test_chart.py",
    ),
    Evidence(r"argocd/.*", "asserted", "it names the folder of the manifests", "tests/render/test_chart.py"),
    Evidence(
        r"(NODES|NETWORK|PROVENANCE)\.md",
        "executed",
        "worked out of the files beside it",
        "tests/render/test_rendering.py",
    ),
)
