"""KServe: one runtime, an InferenceService for each model; the same engine as plain vLLM, and never two braces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fairlead.render import names
from fairlead.render.build import Build, Object
from fairlead.render.engines import kserve
from fairlead.render.engines.vllm import vllm
from fairlead.render.targets import flows, rendered

from ..plans import SERVICE, built, spec
from .oracle import judged, named, objects, parts, walk

LLAMA = "chat-llama-8b"
QWEN = names.engine(spec(), "Qwen2.5-0.5B")
GATEWAY = ("ServiceAccount/chat-gateway", "ConfigMap/chat-gateway-config", "Secret/chat-gateway-secrets")


def asleep() -> Build:
    """The small model may go down to no replica at all."""
    source = "    source: hf://Qwen/Qwen2.5-0.5B-Instruct@main\n"
    build = built(SERVICE.replace(source, source + "    autoscaling: {min: 0, max: 4}\n"), "kserve")
    [first, small] = build.plan.placements
    return replace(build, plan=replace(build.plan, placements=(first, replace(small, minimum=0))))


def guarded() -> Build:
    """With the gateway before each model."""
    return built(SERVICE + "  kserve: {transformer: true}\n", "kserve")


def predictor(build: Build | None = None, name: str = LLAMA) -> Object:
    """Of one model."""
    made = parts(kserve.kserve, build or built(target="kserve"))
    return dict(named(made, "InferenceService", name)["spec"]["predictor"])


def test_the_judges_find_nothing(tmp_path: Path) -> None:
    builds = {"standard": built(target="kserve"), "knative": asleep(), "guarded": guarded()}
    judged({name: parts(kserve.kserve, build) for name, build in builds.items()}, tmp_path, *GATEWAY)


def test_the_engine_is_the_one_that_plain_vllm_runs() -> None:
    made = parts(kserve.kserve, built(target="kserve"))
    [container] = objects(made, "ClusterServingRuntime")[0]["spec"]["containers"]
    model = predictor()["model"]
    told = {*container["args"], *model["args"]}
    plain = named(parts(vllm), "Deployment", LLAMA)["spec"]["template"]["spec"]["containers"][0]
    assert told == {*plain["args"], plain["command"][-1]}
    assert model["resources"] == plain["resources"]
    assert (container["image"], container["env"]) == (plain["image"], plain["env"])


def test_service_runtime_and_model_are_called_alike() -> None:
    made = parts(kserve.kserve, built(target="kserve"))
    [runtime] = objects(made, "ClusterServingRuntime")
    formats = {each["name"] for each in runtime["spec"]["supportedModelFormats"]}
    for service in objects(made, "InferenceService"):
        model = service["spec"]["predictor"]["model"]
        assert model["runtime"] == runtime["metadata"]["name"]
        assert model["modelFormat"]["name"] in formats
        assert kserve.upstream(built().spec, "llama-8b").service == f"{LLAMA}-predictor"


def test_no_text_of_a_runtime_is_a_template() -> None:
    for made in (parts(kserve.kserve, built(target="kserve")), parts(kserve.kserve, asleep())):
        texts = [value for item in made.documents for value in walk(item.object) if isinstance(value, str)]
        assert not [text for text in texts if "{{" in text]


def test_the_mode_is_said_and_fits_the_fields() -> None:
    standard = named(parts(kserve.kserve, built(target="kserve")), "InferenceService", LLAMA)
    assert standard["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    assert standard["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "external"
    sleeping = named(parts(kserve.kserve, asleep()), "InferenceService", QWEN)
    assert sleeping["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Knative"
    assert "deploymentStrategy" not in sleeping["spec"]["predictor"]
    assert sleeping["spec"]["predictor"]["minReplicas"] == 0


def test_a_model_that_sleeps_is_fetched_by_kserve_in_its_revision() -> None:
    build = asleep()
    assert predictor(build, QWEN)["model"]["storageUri"] == "hf://Qwen/Qwen2.5-0.5B-Instruct:main"
    assert predictor(build, QWEN)["model"]["args"][0] == "/mnt/models"
    [account] = objects(parts(kserve.kserve, build), "ServiceAccount")
    assert account["secrets"] == [{"name": "chat-hub-token"}]


def test_a_model_that_sleeps_has_no_second_autoscaler() -> None:
    made = [each.object for each in rendered(asleep()).manifests]
    scaled = [each["metadata"]["name"] for each in made if each["kind"] == "ScaledObject"]
    assert scaled == [f"{LLAMA}-predictor"]
    assert {"wake", "activator", "awake"} <= {flow.name for flow in flows(asleep())}
    assert "wake" not in {flow.name for flow in flows(built(target="kserve"))}


def test_the_transformer_is_the_gateway_with_the_same_policy() -> None:
    build = guarded()
    made = rendered(build)
    service: dict[str, Any] = next(each.object for each in made.manifests if each.title == f"InferenceService/{LLAMA}")
    deployment = next(each.object for each in made.manifests if each.title == "Deployment/chat-gateway")
    pod, mine = deployment["spec"]["template"]["spec"], service["spec"]["transformer"]
    assert mine["volumes"] == pod["volumes"]
    [gateway], [container] = pod["containers"], mine["containers"]
    assert {**container, "name": gateway["name"]} == gateway
    assert "transformer" not in named(parts(kserve.kserve, built(target="kserve")), "InferenceService", LLAMA)["spec"]
