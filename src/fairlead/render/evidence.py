"""What stands behind each rendered file: executed, simulated, schema-checked or asserted, and which test shows it.

`executed`: run by the program that it is for. `simulated`: run by a stand-in for that program, or a model of it.
`schema-checked`: by its vendor's schema, or by a linter of its language. `asserted`: by nothing but our word.
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
    """For files whose path matches `paths`: the kind, its name, how it came about, and the test that repeats it."""

    name: str
    paths: str
    kind: Kind
    how: str
    test: str


def evidence(paths: Iterable[str]) -> str:
    """EVIDENCE.md: a table of every file with all that stands behind it, and one of what each of these is."""
    listed = sorted(paths)
    used = {each for path in listed for each in behind(path)}
    files = "".join(
        f"| {path} | {', '.join(f'{each.kind}: {each.name}' for each in behind(path))} |\n" for path in listed
    )
    claims = "".join(claim(each) for each in (*EVIDENCE, NONE) if each in used)
    return (
        f"# What stands behind each file\n\n{__doc__.partition(chr(10))[2].strip()}\n\n"
        f"| file | evidence |\n|---|---|\n{files}\n"
        f"| evidence | how | repeated by |\n|---|---|---|\n{claims}\n{OWN_CLUSTER}"
    )


def behind(path: str) -> Iterator[Evidence]:
    """All that stands behind a file; what no test looks at is asserted."""
    found = [each for each in EVIDENCE if re.fullmatch(each.paths, path)]
    yield from found or [NONE]


def claim(each: Evidence) -> str:
    """Its line of the second table."""
    return f"| {each.kind}: {each.name} | {each.how} | {each.test} |\n"


OWN_CLUSTER = (
    "What the definitions of your own cluster say of custom kinds: `fairlead schemas pull --from-cluster`, and then\n"
    "`fairlead render --check` with the same file; its last line names what was not checked.\n"
)
NONE = Evidence("no judge", "", "asserted", "nothing here knows files of its kind", "-")
_EXAMPLES = "tests/render/test_examples_rendered.py"
_CHART = "tests/render/test_chart.py"
_MONITORING = "tests/render/monitoring/test_monitoring.py"
_PIPELINES = "tests/render/test_pipelines.py"
_TERRAFORM = "tests/render/test_terraform.py"

EVIDENCE = (
    Evidence(
        "schemas",
        r"(manifests/(?!kustomization|patches/)|\.\./base/(?!kustomization)).*\.yaml",
        "schema-checked",
        "custom kinds by their CRDs with CEL, core kinds by the API's strict schema, references by rules "
        "written from Kubernetes' documentation; no API server, webhook or operator saw them",
        _EXAMPLES,
    ),
    Evidence(
        "kustomize", r"(manifests|\.\./base)/kustomization\.yaml", "executed", "kubectl kustomize built it", _EXAMPLES
    ),
    Evidence(
        "overlays",
        r"(manifests/patches|\.\./base)/.*",
        "executed",
        "kubectl kustomize makes of base and overlay, object for object, what is rendered without them",
        "tests/render/test_overlays.py",
    ),
    Evidence(
        "gateway.json",
        r"(manifests|\.\./base)/gateway\.yaml",
        "executed",
        "its `gateway.json`, with other addresses, ran the real gateway, which answered for two engines; "
        "the other objects of the file had no part in it",
        "tests/render/test_live.py",
    ),
    Evidence(
        "placement",
        r"(manifests|\.\./base)/(engine-.*|gateway|rayservice|inference-gateway|clock|jobs|rayjobs)\.yaml|NODES\.md",
        "simulated",
        "by a model of the scheduler, every pod fits the nodes of the plan's pools; no preferences, spreading, quotas",
        _EXAMPLES,
    ),
    Evidence(
        "reach",
        r"(manifests|\.\./base)/network\.yaml|NETWORK\.md",
        "simulated",
        "by a model of policies, each connection that is needed is let through, and no other; no packet was sent",
        _EXAMPLES,
    ),
    Evidence(
        "serveConfigV2",
        r"(manifests|\.\./base)/rayservice\.yaml",
        "schema-checked",
        "by Ray's own models, with unknown keys refused; Ray did not serve it",
        "tests/render/engines/test_kuberay.py",
    ),
    Evidence(
        "batch",
        r"(manifests|\.\./base)/jobs\.yaml",
        "executed",
        "the container's words, with other addresses, answered rows of an object store by a gateway; no kubelet ran it",
        "tests/batch/test_rendered_job.py",
    ),
    Evidence(
        "batch on Ray",
        r"(manifests|\.\./base)/rayjobs\.yaml",
        "schema-checked",
        "the command took its line, the code that deploys its file, and Ray's own models what is in it; no Ray ran it",
        "tests/render/engines/test_ray_jobs.py",
    ),
    Evidence(
        "promtool",
        r"monitoring/.*\.(rules|test)\.yaml",
        "executed",
        "by promtool on made-up series: each alert fires and resolves",
        _MONITORING,
    ),
    Evidence(
        "amtool",
        r"monitoring/alertmanager\.yaml",
        "executed",
        "amtool read it, and said to whom each severity goes; nothing was sent",
        _MONITORING,
    ),
    Evidence(
        "queries",
        r"monitoring/dashboards/(service|engines)\.json",
        "executed",
        "the queries alone: those that a laptop can feed returned data on a Prometheus that scraped it",
        "tests/render/monitoring/test_panels_live.py",
    ),
    Evidence(
        "no Grafana",
        r"monitoring/dashboards/.*\.json",
        "asserted",
        "made with Grafana's own library, and every metric is in our table of signals; no Grafana drew it",
        _MONITORING,
    ),
    Evidence(
        "terraform",
        r"terraform/.*\.(tf|tfvars\.json)",
        "schema-checked",
        "the real terraform validated and planned it with derived schemas of the providers, of GKE's cluster without "
        "what stands in its blocks, and with placeholders for what a cloud says; no provider or cloud was asked",
        _TERRAFORM,
    ),
    Evidence(
        "backend", r"terraform/backend\.json", "asserted", "it names the bucket that terraform/state makes", _TERRAFORM
    ),
    Evidence(
        "scripts",
        r"delivery/scripts/.*\.sh",
        "simulated",
        "a shell ran them against stand-ins for kubectl and for a service that answers, does not, does not come up",
        "tests/render/test_deploy_script.py",
    ),
    Evidence("shellcheck", r"delivery/scripts/.*\.sh", "schema-checked", "shellcheck", _PIPELINES),
    Evidence(
        "workflows",
        r"delivery/\.github/workflows/.*",
        "schema-checked",
        "GitHub's schema, actionlint and zizmor; no runner ran them",
        _PIPELINES,
    ),
    Evidence(
        "pipeline",
        r"delivery/Jenkinsfile",
        "schema-checked",
        "parsed and linted as Groovy; no Jenkins ran it",
        _PIPELINES,
    ),
    Evidence(
        "hadolint",
        r"delivery/images/.*Dockerfile",
        "schema-checked",
        "hadolint; built nowhere, as there was no container engine",
        _PIPELINES,
    ),
    Evidence(
        "build context",
        r"delivery/images/.*\.dockerignore",
        "asserted",
        "it leaves in what the Dockerfile copies",
        _PIPELINES,
    ),
    Evidence("stage", r"delivery/stage\.env", "asserted", "its values are those of the manifests", _PIPELINES),
    Evidence(
        "templates",
        r"chart/(templates/(?!0-namespace).*|values\.yaml)",
        "simulated",
        "evaluated by a page of our own, with these values, they are the manifests; there was no helm",
        _CHART,
    ),
    Evidence(
        "values' schema",
        r"chart/values(\.schema\.json|\.yaml)",
        "schema-checked",
        "the schema, read by a JSON Schema library, takes these values and no other keys",
        _CHART,
    ),
    Evidence(
        "no helm",
        r"chart/(Chart\.yaml|templates/0-namespace\.yaml)",
        "asserted",
        "there was no helm to read it",
        _CHART,
    ),
    Evidence(
        "application", r"argocd/.*", "asserted", "it names the folder of the manifests; no Argo CD read it", _CHART
    ),
    Evidence(
        "origins",
        r"PROVENANCE\.md",
        "asserted",
        "each renderer notes what it made an object of; that the part has this line is tested",
        "tests/render/test_rendering.py",
    ),
)
