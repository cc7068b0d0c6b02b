"""KServe's LLMInferenceService: the same engine, found by its own labels, behind the pool and picker of llm-d."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fairlead.ops.rendering import render_file
from fairlead.render import names, pods
from fairlead.render.build import Build, Object
from fairlead.render.checks.registry import problems
from fairlead.render.engines import kserve
from fairlead.render.engines.llm_inference_service import KIND
from fairlead.render.engines.refusals import engine_refusals
from fairlead.render.engines.vllm import vllm
from fairlead.render.schedule_pods import schedule
from fairlead.render.targets import rendered
from fairlead.render.workloads import workloads

from ..oracles import judge
from ..planned import file, planned
from ..planned import written as made_folder
from ..plans import SERVICE, built
from .oracle import judged, named, objects, parts

LLAMA = "chat-llama-8b"
TEXT = SERVICE + "  kserve: {kind: LLMInferenceService}\n"
APART = TEXT + "  disaggregate: {llama-8b: {prefill: 2}}\n"
BUILDS = {"together": built(TEXT, "kserve"), "apart": built(APART, "kserve")}


def service(build: Build) -> Object:
    """llama-8b's."""
    return dict(named(parts(kserve.kserve, build), "LLMInferenceService", LLAMA)["spec"])


def test_the_judges_find_nothing(tmp_path: Path) -> None:
    judged({name: parts(kserve.kserve, build) for name, build in BUILDS.items()}, tmp_path)


@pytest.mark.parametrize("name", BUILDS)
def test_our_own_checks_find_nothing_but_too_little_room(name: str) -> None:
    """The plan made by hand has no room for all that this service may become."""
    told = [problem.message for problem in problems(BUILDS[name], rendered(BUILDS[name]))]
    assert [message for message in told if not message.endswith("[pending]")] == []


def test_its_engine_is_the_one_that_plain_vllm_runs() -> None:
    [mine] = service(BUILDS["together"])["template"]["containers"]
    [plain] = named(parts(vllm), "Deployment", LLAMA)["spec"]["template"]["spec"]["containers"]
    assert {key for key in plain if mine[key] != plain[key]} == {
        "name", "lifecycle", "startupProbe", "livenessProbe", "readinessProbe"
    }  # fmt: skip
    assert mine["lifecycle"] == {"preStop": {"exec": {"command": ["/bin/sleep", "5"]}}}


def test_it_points_at_what_is_rendered_beside_it() -> None:
    made = parts(kserve.kserve, BUILDS["together"])
    router = service(BUILDS["together"])["router"]
    [gateway], [route] = router["gateway"]["refs"], router["route"]["http"]["refs"]
    [rule] = named(made, "HTTPRoute", route["name"])["spec"]["rules"]
    assert named(made, "Gateway", gateway["name"])["metadata"]["namespace"] == gateway["namespace"]
    pool = router["scheduler"]["pool"]["ref"]["name"]
    assert rule["backendRefs"][0]["name"] == pool
    assert named(made, "InferencePool", pool)["spec"]["selector"]["matchLabels"].items() <= laid_over(LLAMA).items()
    assert not objects(made, "ClusterServingRuntime")


def laid_over(name: str) -> Mapping[str, str]:
    """Labels of a service's pods as KServe makes them: its own, then those of the service."""
    files = rendered(BUILDS["together"])
    [found] = [each for each in workloads(files.documents) if each.document.title == f"LLMInferenceService/{name}"]
    return found.labels


def test_labels_that_are_kserves_stay_kserves() -> None:
    """KServe's Service finds pods by them: what is given to it must not say them otherwise."""
    given = service(BUILDS["together"])["labels"]
    assert not given.keys() & {"app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/part-of"}
    assert pods.component_of(laid_over(LLAMA)) == names.ENGINE


def test_everything_that_looks_for_engines_finds_them() -> None:
    """Policies and monitors; and none of them by labels that the pods lack."""
    files = rendered(built(TEXT + "monitoring: {}\n", "kserve"))
    labels = laid_over(LLAMA)
    for title, field in (
        ("PodMonitor/chat-engines", "selector"),
        ("NetworkPolicy/chat-scrape-engines-ingress", "podSelector"),
    ):
        [item] = [each.object for each in files.documents if each.title == title]
        assert item["spec"][field]["matchLabels"].items() <= labels.items()


def test_keda_scales_the_deployment_that_kserve_makes() -> None:
    files = rendered(BUILDS["together"])
    [scaled] = [each.object for each in files.documents if each.title == f"ScaledObject/{LLAMA}-kserve"]
    assert scaled["spec"]["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": f"{LLAMA}-kserve",
    }
    assert "replicas" not in service(BUILDS["together"])
    [found] = [each for each in workloads(files.documents) if each.title.startswith(f"LLMInferenceService/{LLAMA}")]
    assert (found.minimum, found.maximum) == (1, 4)


def test_the_gateway_asks_the_pool_and_names_objectives() -> None:
    model = BUILDS["together"].gateway["models"]["llama-8b"]
    assert model["upstreams"] == ["http://chat-inference-istio.chat.svc.cluster.local:80/llama-8b"]
    assert model["objectives"] == {"interactive": f"{LLAMA}-interactive", "batch": f"{LLAMA}-batch"}


def test_prefill_apart_has_pods_of_its_own_and_decode_its_sidecar_by_the_presets_name() -> None:
    """By another name there would be two of them at one port."""
    spec = service(BUILDS["apart"])
    [decode], [reader] = spec["template"]["containers"], spec["prefill"]["template"]["containers"]
    sidecar = spec["template"]["initContainers"][-1]
    assert (sidecar["name"], sidecar["command"]) == ("llm-d-routing-sidecar", ["/app/pd-sidecar"])
    assert {"--port=8000", "--model-server-port=8200"} <= {*sidecar["args"]}
    assert "--port=8200" in decode["args"]
    assert "--port=8000" in reader["args"]
    assert spec["prefill"]["replicas"] == 2
    assert {decode["name"], reader["name"]} == {"main"}


def test_what_it_cannot_do_is_refused() -> None:
    build = built(TEXT.replace("kind: LLM", "transformer: true, kind: LLM"), "kserve")
    assert [finding.message for finding in engine_refusals(build)] == ["an LLMInferenceService has no transformer"]


def test_the_70b_as_an_example_has_it(tmp_path: Path) -> None:
    """Whole, with all that stands around it: no check of ours has anything against it, nor have the judges."""
    text = file("large").read_text().replace("\ndeploy:\n", "\ndeploy:\n  kserve: {kind: LLMInferenceService}\n")
    (tmp_path / "fairlead.yaml").write_text(text)
    made = render_file(tmp_path / "fairlead.yaml", None, "kserve", lambda spec: planned("large"))
    folder = made_folder(made, tmp_path / "made") / "manifests"
    assert {each.object["kind"] for each in made.files.manifests} >= {KIND, "InferencePool", "InferenceObjective"}
    judge("crds", folder)
    judge(
        "core", folder, "--external", "Deployment/large-llama-70b-kserve"
    )  # KServe's, of which the judge knows nothing
    judge("kustomize", folder)
    placed = schedule(workloads(made.files.manifests), made.build.plan.pools, fullest=True)
    assert not placed.pending
