"""Schedules on Ray: the patches raise what is named, and change nothing that would start an engine again.

That Ray takes them is judged in test_kuberay, that there is one at most is refused in test_refusals.
"""

from __future__ import annotations

import json
from typing import Any

from ruamel.yaml import YAML

from fairlead.render.targets import rendered

from ..plans import built


def made() -> dict[str, Any]:
    return {each.title: each.object for each in rendered(built(target="kuberay")).manifests}


def serve_of(patch: str) -> Any:
    return YAML(typ="safe", pure=True).load(json.loads(patch)["spec"]["serveConfigV2"])


def test_the_clock_raises_the_bounds_of_the_models_that_the_schedule_names() -> None:
    """Beside the application's arguments: those are part of what Ray counts as a new version, and these are not."""
    patches = made()["ConfigMap/chat-clock"]["data"]
    begun, ended = serve_of(patches["start.json"]), serve_of(patches["end.json"])
    [raised] = begun["applications"][0].pop("deployments")
    assert begun == ended
    assert raised["name"] == "LLMServer:llama-8b"
    assert (raised["autoscaling_config"]["min_replicas"], raised["autoscaling_config"]["max_replicas"]) == (3, 4)


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
