"""Schedules on Ray: the patches are what Serve takes, raise what is named, and two schedules are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from fairlead.errors import UserError
from fairlead.render.targets import rendered

from ..oracles import judge
from ..plans import SERVICE, built

DAY = SERVICE[SERVICE.index("    day:") : SERVICE.index("  backup:")]


def made() -> dict[str, Any]:
    return {each.title: each.object for each in rendered(built(target="kuberay")).manifests}


def serve_of(patch: str) -> Any:
    return YAML(typ="safe", pure=True).load(json.loads(patch)["spec"]["serveConfigV2"])


def bounds(serve: Any) -> dict[str, tuple[int, int]]:
    """Each model's least and most replicas."""
    configs = serve["applications"][0]["args"]["llm_configs"]
    found = {
        each["model_loading_config"]["model_id"]: each["deployment_config"]["autoscaling_config"] for each in configs
    }
    return {name: (each["min_replicas"], each["max_replicas"]) for name, each in found.items()}


def test_the_clock_raises_the_bounds_of_the_models_that_the_schedule_names() -> None:
    patches = made()["ConfigMap/chat-clock"]["data"]
    begun, ended = serve_of(patches["start.json"]), serve_of(patches["end.json"])
    assert bounds(begun) == {"llama-8b": (3, 4), "Qwen2.5-0.5B": (1, 4)}
    assert bounds(ended) == {"llama-8b": (1, 4), "Qwen2.5-0.5B": (1, 4)}


def test_the_end_is_what_the_manifests_say() -> None:
    objects = made()
    ended = json.loads(objects["ConfigMap/chat-clock"]["data"]["end.json"])
    assert ended["spec"]["serveConfigV2"] == objects["RayService/chat-ray"]["spec"]["serveConfigV2"]


def test_the_jobs_run_on_the_clock_of_the_schedule() -> None:
    objects = made()
    for moment, when in (("start", "0 7 * * 1-5"), ("end", "0 20 * * 1-5")):
        job = objects[f"CronJob/chat-clock-{moment}"]["spec"]
        assert (job["schedule"], job["timeZone"]) == (when, "Europe/Berlin")
        [container] = job["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert container["args"][-1] == f"/patches/{moment}.json"


def test_the_account_may_patch_this_one_service_and_nothing_else() -> None:
    [rule] = made()["Role/chat-clock"]["rules"]
    assert (rule["resources"], rule["resourceNames"], rule["verbs"]) == (
        ["rayservices"],
        ["chat-ray"],
        ["get", "patch"],
    )


def test_two_schedules_are_refused() -> None:
    text = SERVICE.replace(DAY, DAY + DAY.replace("day:", "night:"))
    with pytest.raises(UserError, match="two schedules would undo each other"):
        rendered(built(text, "kuberay"))


def test_the_patched_configuration_is_one_that_ray_takes(tmp_path: Path) -> None:
    """Ray's own models judge what the patch makes of the service."""
    patches = made()["ConfigMap/chat-clock"]["data"]
    (tmp_path / "serve.yaml").write_text(json.loads(patches["start.json"])["spec"]["serveConfigV2"])
    judge("serve", tmp_path)
