"""llm-d: pool, picker, route and pods agree on names; prefill is apart from decode only when asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from fairlead.catalog.instances import instance
from fairlead.plan.service import Apart
from fairlead.render.build import Build, Object
from fairlead.render.engines import inference_gateway, llmd, picker
from fairlead.render.engines.site import sites
from fairlead.render.engines.vllm import vllm
from fairlead.render.targets import build as build_of
from fairlead.render.targets import flows, rendered

from ..plans import SERVICE, built
from .oracle import judged, named, objects, parts

LLAMA = "chat-llama-8b"
TARGET = "llm-d"


def apart() -> Build:
    """llama-8b's prompts are read by two pods of their own."""
    return built(SERVICE + "  disaggregate: {llama-8b: {prefill: 2, min_prompt: 256}}\n", TARGET)


def spread() -> Build:
    """llama-8b needs two nodes of four GPUs for one replica."""
    build = built(target=TARGET)
    pools = [
        replace(each, instance=instance("g6.12xlarge")) if each.name == "l4" else each for each in build.plan.pools
    ]
    [first, *others] = build.plan.placements
    wide = replace(first, deployment=replace(first.deployment, tp=4, pp=2))
    return replace(build, plan=replace(build.plan, pools=tuple(pools), placements=(wide, *others)))


BUILDS = {"together": built(target=TARGET), "apart": apart(), "several nodes": spread()}


def test_the_judges_find_nothing(tmp_path: Path) -> None:
    judged({name: parts(llmd.llmd, build) for name, build in BUILDS.items()}, tmp_path)


def config(build: Build) -> dict[str, Any]:
    """What llama-8b's picker reads."""
    text = named(parts(llmd.llmd, build), "ConfigMap", f"{LLAMA}-epp")["data"]["picker.yaml"]
    return dict(YAML(typ="safe", pure=True).load(text))


def labels(item: Object) -> dict[str, str]:
    """Of a workload's pods."""
    return dict(item["spec"]["template"]["metadata"]["labels"])


def test_the_pool_holds_the_engines_and_nothing_else() -> None:
    for build in (BUILDS["together"], BUILDS["apart"]):
        made = parts(llmd.llmd, build)
        wanted = named(made, "InferencePool", LLAMA)["spec"]["selector"]["matchLabels"].items()
        found = {each["metadata"]["name"] for each in objects(made, "Deployment") if wanted <= labels(each).items()}
        assert found == {LLAMA} | ({f"{LLAMA}-prefill"} if build is BUILDS["apart"] else set())


def test_route_pool_and_picker_are_called_alike() -> None:
    made = parts(llmd.llmd, BUILDS["together"])
    route = named(made, "HTTPRoute", LLAMA)["spec"]
    [rule] = route["rules"]
    assert rule["backendRefs"][0]["name"] == named(made, "InferencePool", LLAMA)["metadata"]["name"]
    assert route["parentRefs"] == [{"name": objects(made, "Gateway")[0]["metadata"]["name"]}]
    reference = named(made, "InferencePool", LLAMA)["spec"]["endpointPickerRef"]
    service = named(made, "Service", reference["name"])["spec"]
    assert reference["port"]["number"] in {each["port"] for each in service["ports"]}
    [container] = named(made, "Deployment", reference["name"])["spec"]["template"]["spec"]["containers"]
    assert f"--pool-name={LLAMA}" in container["args"]
    assert f"--grpc-port={reference['port']['number']}" in container["args"]
    assert "--config-file=/config/picker.yaml" in container["args"]


def test_the_gateway_calls_the_first_step_that_the_route_takes_off() -> None:
    found = inference_gateway.upstream(built(target=TARGET).spec, "llama-8b")
    [rule] = named(parts(llmd.llmd, BUILDS["together"]), "HTTPRoute", LLAMA)["spec"]["rules"]
    assert found.path == rule["matches"][0]["path"]["value"] == "/llama-8b"
    assert rule["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"] == "/"
    assert (found.service, found.port) == ("chat-inference-istio", 80)


def test_an_engine_is_the_one_that_plain_vllm_runs() -> None:
    mine = named(parts(llmd.llmd, BUILDS["together"]), "Deployment", LLAMA)["spec"]["template"]["spec"]
    assert mine == named(parts(vllm), "Deployment", LLAMA)["spec"]["template"]["spec"]


def test_together_every_plugin_is_used_and_every_used_one_is_there() -> None:
    for build in (BUILDS["together"], BUILDS["apart"]):
        read = config(build)
        known = {each.get("name", each["type"]) for each in read["plugins"]}
        used = {each["pluginRef"] for profile in read["schedulingProfiles"] for each in profile["plugins"]}
        handlers = {name for name in known if name.endswith(("-profile-handler", "-pd-decider"))}
        assert used | handlers == known


def test_the_gateway_names_the_objectives_of_the_pool() -> None:
    """What the compiled gateway.json says is there, with a priority; those who wait come after those who do not."""
    build = BUILDS["together"]
    made = parts(llmd.llmd, build)
    named_there = build.gateway["models"]["llama-8b"]["objectives"]
    objectives = {kind: named(made, "InferenceObjective", name)["spec"] for kind, name in named_there.items()}
    assert {each["poolRef"]["name"] for each in objectives.values()} == {LLAMA}
    assert objectives["batch"]["priority"] < 0 < objectives["interactive"]["priority"]
    assert "objectives" not in build.gateway["models"]["far"]
    assert "objectives" not in built(target="vllm").gateway["models"]["llama-8b"]


def test_the_picker_lets_requests_wait_as_long_as_the_gateway_does() -> None:
    read = config(BUILDS["together"])
    assert read["featureGates"] == ["flowControl"]
    assert read["flowControl"]["defaultRequestTTL"] == f"{int(BUILDS['together'].spec.gateway.timeout)}s"


def test_prefill_is_apart_only_where_the_file_says_so() -> None:
    assert [each["name"] for each in config(BUILDS["together"])["schedulingProfiles"]] == ["default"]
    read = config(BUILDS["apart"])
    assert [each["name"] for each in read["schedulingProfiles"]] == ["prefill", "decode"]
    [decider] = [each for each in read["plugins"] if each["type"] == "prefix-based-pd-decider"]
    assert decider["parameters"] == {"nonCachedTokens": 256}
    assert f"{LLAMA}-prefill" not in {
        each["metadata"]["name"] for each in objects(parts(llmd.llmd, BUILDS["together"]), "Deployment")
    }


def paying(text: str = SERVICE, target: str = TARGET) -> Build:
    """The plan finds that two replicas for prompts and one for answers do what four did."""
    base = built(text, "vllm")
    [first, *others] = base.plan.placements
    plan = replace(base.plan, placements=(replace(first, apart=Apart(prefill=2, decode=1)), *others))
    return build_of(base.spec, plan, target)


def test_prefill_is_apart_where_the_plan_finds_that_it_pays() -> None:
    build = paying()
    made = parts(llmd.llmd, build)
    assert named(made, "Deployment", f"{LLAMA}-prefill")["spec"]["replicas"] == 2
    [placed, _] = build.plan.placements
    assert (placed.deployment.replicas, placed.minimum, placed.maximum) == (1, 1, 2)  # of 1 to 4 for both kinds
    assert [each["name"] for each in config(build)["schedulingProfiles"]] == ["prefill", "decode"]
    assert {"kv-cache", "scrape-decode"} <= {flow.name for flow in flows(build)}


def test_the_file_and_the_target_have_the_last_word() -> None:
    never = paying(SERVICE + "  disaggregate: {llama-8b: {prefill: 0}}\n")
    written = paying(SERVICE + "  disaggregate: {llama-8b: {prefill: 3}}\n")
    assert f"{LLAMA}-prefill" not in {
        each["metadata"]["name"] for each in objects(parts(llmd.llmd, never), "Deployment")
    }
    assert named(parts(llmd.llmd, written), "Deployment", f"{LLAMA}-prefill")["spec"]["replicas"] == 3
    for build in (never, written, paying(target="vllm")):
        assert (build.plan.placements[0].minimum, build.plan.placements[0].maximum) == (1, 4)


def test_prefill_has_the_engines_whole_budget_of_tokens() -> None:
    """Nobody waits in its iterations; decode keeps the planned one."""
    made = parts(llmd.llmd, BUILDS["apart"])
    word = "--max-num-batched-tokens="
    budgets = [
        int(arg.removeprefix(word))
        for name in (LLAMA, f"{LLAMA}-prefill")
        for arg in named(made, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]["args"]
        if arg.startswith(word)
    ]
    planned = BUILDS["apart"].plan.placements[0].deployment
    assert budgets == [planned.tokens, max(planned.tokens, planned.engine.batch_limits(planned.gpu)[0])]


def test_a_decode_pod_is_reached_through_its_sidecar() -> None:
    made = parts(llmd.llmd, BUILDS["apart"])
    decode = named(made, "Deployment", LLAMA)["spec"]["template"]
    [engine] = decode["spec"]["containers"]
    sidecar = decode["spec"]["initContainers"][-1]
    assert decode["metadata"]["labels"]["llm-d.ai/role"] == "decode"
    assert {"--port=8000", "--model-server-port=8200"} <= {*sidecar["args"]}
    assert sidecar["restartPolicy"] == "Always"
    assert "--port=8200" in engine["args"]
    assert engine["ports"][0]["containerPort"] == 8200
    prefill = named(made, "Deployment", f"{LLAMA}-prefill")["spec"]
    assert prefill["replicas"] == 2
    [reader] = prefill["template"]["spec"]["containers"]
    assert "--port=8000" in reader["args"]
    roles = [
        json.loads(word.partition("=")[2])["kv_role"]
        for word in (*engine["args"], *reader["args"])
        if "kv-transfer" in word
    ]
    assert roles == ["kv_both", "kv_producer"]
    assert named(made, "InferencePool", LLAMA)["spec"]["endpointPickerRef"]["failureMode"] == "FailClose"


def test_a_decode_pod_and_its_sidecar_ask_for_no_more_than_the_engine_alone() -> None:
    from fairlead.units import parse_bytes, parse_cores

    def asked(build: Build) -> tuple[float, int]:
        pod = named(parts(llmd.llmd, build), "Deployment", LLAMA)["spec"]["template"]["spec"]
        running = [
            *pod["containers"],
            *(each for each in pod["initContainers"] if each.get("restartPolicy") == "Always"),
        ]
        wanted = [each["resources"]["requests"] for each in running]
        return sum(parse_cores(each["cpu"]) for each in wanted), sum(parse_bytes(each["memory"]) for each in wanted)

    assert asked(BUILDS["apart"]) <= asked(BUILDS["together"])


def test_a_replica_on_several_nodes_is_one_group() -> None:
    build = BUILDS["several nodes"]
    parts_of = named(parts(llmd.llmd, build), "LeaderWorkerSet", LLAMA)["spec"]["leaderWorkerTemplate"]
    leader, worker = parts_of["leaderTemplate"], parts_of["workerTemplate"]
    assert parts_of["size"] == 2
    [first], [second] = leader["spec"]["containers"], worker["spec"]["containers"]
    assert first["resources"]["limits"]["nvidia.com/gpu"] == "4"
    assert {"--tensor-parallel-size=4", "--pipeline-parallel-size=2"} <= {*first["args"]} & {*second["args"]}
    assert "--headless" in second["args"]
    assert "readinessProbe" not in second
    wanted = named(parts(llmd.llmd, build), "InferencePool", LLAMA)["spec"]["selector"]["matchLabels"].items()
    assert wanted <= leader["metadata"]["labels"].items()
    assert not wanted <= worker["metadata"]["labels"].items()
    assert llmd.scaled(build, "llama-8b").kind == "LeaderWorkerSet"
    assert "engine-to-engine-worker" in {flow.name for flow in flows(build)}


def test_the_chart_is_told_what_the_manifests_say() -> None:
    build = BUILDS["apart"]
    [site] = [each for each in sites(build) if each.served == "llama-8b"]
    router, made = llmd.values(site)["router"], parts(llmd.llmd, build)
    pool = named(made, "InferencePool", LLAMA)["spec"]
    assert router["modelServers"]["matchLabels"] == pool["selector"]["matchLabels"]
    assert router["modelServers"]["targetPorts"] == pool["targetPorts"]
    assert router["inferencePool"]["failureMode"] == pool["endpointPickerRef"]["failureMode"]
    read = named(made, "ConfigMap", f"{LLAMA}-epp")["data"]
    assert router["epp"]["pluginsCustomConfig"] == read
    image = router["epp"]["image"]
    container = picker.pod(site)["containers"][0]
    assert f"{image['registry']}/{image['repository']}:{image['tag']}" == container["image"]


def test_every_connection_is_allowed_by_name() -> None:
    together, disaggregated = ({flow.name for flow in flows(BUILDS[name])} for name in ("together", "apart"))
    assert {"inference", "inference-engines", "inference-picker", "picker-engines"} <= together
    assert disaggregated - together == {"kv-cache", "scrape-decode"}


def test_the_whole_target_is_rendered() -> None:
    titles = {each.title for each in rendered(BUILDS["apart"]).manifests}
    assert {f"InferencePool/{LLAMA}", f"HTTPRoute/{LLAMA}", "Gateway/chat-inference", f"ScaledObject/{LLAMA}"} <= titles
