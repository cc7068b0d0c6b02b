"""Batches on Ray: what is rendered is what the code that reads it takes, and planted mistakes are caught."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main

from fairlead.cli import batch_commands
from fairlead.ops.ray_batch import OwnCluster
from fairlead.plan.service import Pool
from fairlead.render import yaml
from fairlead.render.build import Build
from fairlead.render.checks.registry import problems
from fairlead.render.engines import ray_jobs
from fairlead.render.engines.refusals import engine_refusals
from fairlead.render.files import Document, Files
from fairlead.render.serve_keys import unknown_keys
from fairlead.render.targets import rendered

from ..oracles import judge
from ..plans import SERVICE, built
from .oracle import judged, parts

AROUND = ("ServiceAccount/chat-batch", "PriorityClass/chat-batch")
ONCE = """    report:
      model: llama-8b
      input: s3://rows/report.jsonl
      output: s3://answers/report.jsonl
      engine: ray
      pool: nights
      replicas: 2
      deadline: 2h
"""
TEXT = SERVICE.replace("images: {", 'images: {ray: "ghcr.io/example/ray:2.58.0", ').replace(
    "      engine: gateway\n", f"      pool: nights\n{ONCE}"
)
CRON, JOB = "RayCronJob/chat-batch-nightly", "RayJob/chat-batch-report-*"
Plant = Callable[[Any], None]


@cache
def good() -> tuple[Build, Files]:
    """A service with a pool for its batches."""
    build = built(TEXT, "kuberay")
    [l4] = [pool for pool in build.plan.pools if pool.name == "l4"]
    nights = Pool(name="nights", instance=l4.instance, spot=True, minimum=0, nodes=0, maximum=3)
    build = replace(build, plan=replace(build.plan, pools=(*build.plan.pools, nights)))
    return build, rendered(build)


def documents(title: str) -> list[Any]:
    """What is rendered under a title; `*` in it stands for anything."""
    return [each.object for each in good()[1].documents if fnmatch(each.title, title)]


def only(title: str) -> Any:
    [found] = documents(title)
    return found


def both() -> Iterator[Any]:
    """The RayJob's part of both."""
    yield only(CRON)["spec"]["jobTemplate"]
    yield only(JOB)["spec"]


def command(job: Any) -> list[str]:
    """The entrypoint's words after its change of folder."""
    before, words = job["entrypoint"].split(" && ")
    assert before == "cd /work"
    return shlex.split(words)


def test_a_schedule_is_a_ray_cron_job_and_once_is_a_ray_job() -> None:
    cron = only(CRON)["spec"]
    assert (cron["schedule"], cron["timeZone"]) == ("0 2 * * *", "Europe/Berlin")
    assert only(JOB)["spec"]["activeDeadlineSeconds"] == 7200
    assert [job["shutdownAfterJobFinishes"] for job in both()] == [True, True]
    assert documents("CronJob/chat-batch-nightly") == []


def test_the_command_line_is_one_that_the_command_takes() -> None:
    own = typer.main.get_command(batch_commands.app)
    for job in both():
        program, group, name, *arguments = command(job)
        assert (program, group, name) == ("/opt/fairlead/bin/fairlead", "batch", "run")
        context = own.make_context(name, list(arguments))
        assert context.params["engine"] == "ray"
        assert context.params["unattended"] is True
        assert str(context.params["cluster"]) == "/etc/fairlead/cluster.json"


def test_the_runs_name_is_the_ray_jobs() -> None:
    job = only(CRON)["spec"]["jobTemplate"]
    assert "s3://answers/${RUN%-*}.jsonl" in job["entrypoint"]
    head = job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    [run] = [each for each in head["env"] if each["name"] == "RUN"]
    assert run["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['ray.io/cluster']"


def test_the_file_of_the_cluster_is_read_by_the_code_that_deploys_it() -> None:
    for name, replicas in (("nightly", 1), ("report", 2)):
        text = only(f"ConfigMap/chat-batch-{name}")["data"]["cluster.json"]
        own = msgspec.json.decode(text, type=OwnCluster)
        assert own.models == {"llama-8b": "llama-8b"}
        assert list(unknown_keys(own.config)) == []
        [model] = own.config["applications"][0]["args"]["llm_configs"]
        assert model["deployment_config"]["num_replicas"] == replicas
        assert own.config["applications"][0]["name"] == own.app


def test_rays_own_models_and_the_operators_definitions_take_it(tmp_path: Path) -> None:
    judged({"batches": parts(ray_jobs.ray_jobs, good()[0])}, tmp_path / "objects", *AROUND)
    config = json.loads(only("ConfigMap/chat-batch-nightly")["data"]["cluster.json"])["config"]
    (tmp_path / "serve.yaml").write_text(yaml.dump(config))
    judge("serve", tmp_path)


def test_as_many_nodes_as_its_engines_need_and_no_autoscaler() -> None:
    for job, count in zip(both(), (1, 2), strict=True):
        cluster = job["rayClusterSpec"]
        [group] = cluster["workerGroupSpecs"]
        assert (group["groupName"], group["replicas"], group["maxReplicas"]) == ("nights", count, count)
        assert "enableInTreeAutoscaling" not in cluster
        assert cluster["authOptions"] == {"mode": "token"}


def test_nobody_who_waits_makes_room_for_it() -> None:
    classes = {each["metadata"]["name"]: each for each in documents("PriorityClass/*")}
    pods = [
        pod["template"]["spec"]
        for job in both()
        for pod in (job["rayClusterSpec"]["headGroupSpec"], *job["rayClusterSpec"]["workerGroupSpecs"])
    ]
    assert {pod["priorityClassName"] for pod in pods} == {"chat-batch"}
    batch = classes.pop("chat-batch")
    assert batch["preemptionPolicy"] == "Never"
    assert all(batch["value"] < other["value"] for other in classes.values())


def test_no_api_key_is_copied_for_it() -> None:
    assert documents("ExternalSecret/chat-batch-secrets") == []


HEAD = ("rayClusterSpec", "headGroupSpec", "template", "spec")
WORKER = ("rayClusterSpec", "workerGroupSpecs", 0, "template", "spec")
ENTRY = "cd /work && fairlead batch run s3://a/b.jsonl s3://a/c.jsonl --unattended --cluster=/etc/fairlead/x.json"


def put(*steps: str | int, to: object) -> Plant:
    def plant(item: Any) -> None:
        for step in steps[:-1]:
            item = item[step]
        item[steps[-1]] = to

    return plant


MISTAKES: dict[str, tuple[str, Plant]] = {
    "GPUs whose taint is not tolerated": ("taint", put(*WORKER, "tolerations", to=[])),
    "a pool that is not there": ("pool", put(*WORKER, "nodeSelector", "fairlead.dev/pool", to="days")),
    "an engine larger than its node": (
        "pending",
        put(*WORKER, "containers", 0, "resources", "requests", "memory", to="63Gi"),
    ),
    "more nodes than the pool has": ("pending", put("rayClusterSpec", "workerGroupSpecs", 0, "maxReplicas", to=9)),
    "an account that is not there": ("account", put(*HEAD, "serviceAccountName", to="batch")),
    "a class that is not there": ("account", put(*WORKER, "priorityClassName", to="chat-night")),
    "a hub token by another name": (
        "secret-reference",
        put(*WORKER, "initContainers", 0, "env", 1, "valueFrom", "secretKeyRef", "name", to="hub"),
    ),
    "a ConfigMap by another name": ("config-map", put(*HEAD, "volumes", 2, "configMap", "name", to="cluster")),
    "a file that is not mounted": ("job", put("entrypoint", to=ENTRY)),
    "a command that is no batch": ("job", put("entrypoint", to="sleep 100")),
    "GPUs that are kept": ("job", put("shutdownAfterJobFinishes", to=False)),
    "no end": ("job", put("activeDeadlineSeconds", to=0)),
    "too old for a token": ("kuberay", put("rayClusterSpec", "rayVersion", to="2.50.0")),
    "a resource that no group has": (
        "kuberay",
        put("rayClusterSpec", "workerGroupSpecs", 0, "resources", to={"CPU": "7", "GPU": "1"}),
    ),
}
OTHERS: dict[str, tuple[str, str, Plant]] = {
    "at no time": ("job", CRON, put("spec", "schedule", to="0 25 * * *")),
    "an unknown timezone": ("job", CRON, put("spec", "timeZone", to="Mars/Olympus")),
    "all runs to one output": ("job", CRON, put("spec", "jobTemplate", "entrypoint", to=ENTRY)),
    "a key that Ray ignores": (
        "kuberay",
        "ConfigMap/chat-batch-report",
        put("data", "cluster.json", to='{"config": {"proxies": "HeadOnly"}}'),
    ),
    "an operator that is not let in": (
        "flow-blocked",
        "NetworkPolicy/chat-operator-batch-ingress",
        put("spec", "ingress", 0, "ports", 0, "port", to=8000),
    ),
    "rows out of reach": (
        "flow-blocked",
        "NetworkPolicy/chat-ray-batch-rows-egress",
        put("spec", "egress", 0, "to", 0, "ipBlock", "cidr", to="10.0.0.0/8"),
    ),
    "a head that may go anywhere": (
        "flow-open",
        "NetworkPolicy/chat-ray-batch-rows-egress",
        put("spec", "egress", to=[{}]),
    ),
}


def found(title: str, plant: Plant | None) -> set[str]:
    build, files = good()
    changed = [Document(each.path, copy.deepcopy(each.object)) for each in files.documents]
    if plant is not None:
        [target] = [each for each in changed if fnmatch(each.title, title)]
        plant(target.object)
    told = [problem.message for problem in problems(build, Files(tuple(changed), files.whole))]
    return {message.rpartition("[")[2].rstrip("]") for message in told}


def test_nothing_is_found_where_nothing_was_planted() -> None:
    assert found("", None) == set()


@pytest.mark.parametrize(("check", "plant"), MISTAKES.values(), ids=MISTAKES)
def test_a_planted_mistake_is_caught(check: str, plant: Plant) -> None:
    assert check in found(JOB, lambda item: plant(item["spec"]))


@pytest.mark.parametrize(("check", "title", "plant"), OTHERS.values(), ids=OTHERS)
def test_a_mistake_around_it_is_caught(check: str, title: str, plant: Plant) -> None:
    assert check in found(title, plant)


def refused(text: str, target: str = "kuberay") -> Iterable[str]:
    build, _ = good()
    other = built(text, target)
    return [
        f"{'.'.join(map(str, each.path))}: {each.message}" for each in engine_refusals(replace(other, plan=build.plan))
    ]


REFUSED = {
    "no Fairlead in the image": ('ray: "ghcr.io/example/ray:2.58.0", ', "", "has no Fairlead in it"),
    "a pool without GPUs": ("pool: nights\n      rep", "pool: general\n      rep", "this pool has no GPUs"),
    "no such pool": ("pool: nights\n      rep", "pool: days\n      rep", "there is no pool 'days'"),
    "a model of somebody else": (
        "model: llama-8b\n      input: s3://rows/rep",
        "model: far\n      input: s3://rows/rep",
        "'far'",
    ),
    "one output for all nights": ("{run}", "all", "the second run would find the output of the first"),
    "a zone for no schedule": ("deadline: 2h", "timezone: UTC", "there is no schedule for it"),
    "what the gateway would do": ("deadline: 2h", "concurrency: 8", "answered by engine ray"),
    "rows in another cloud": ("s3://rows/rep", "gs://rows/rep", "pods on aws have no identity for it"),
    "a long name": ("    report:", "    the-report-of-the-whole-of-the-day:", "of at most 41 characters"),
}


def test_the_service_is_not_refused() -> None:
    assert refused(TEXT) == []


@pytest.mark.parametrize(("old", "new", "message"), REFUSED.values(), ids=REFUSED)
def test_is_refused(old: str, new: str, message: str) -> None:
    assert old in TEXT
    assert message in " ".join(refused(TEXT.replace(old, new)))


def test_another_target_has_no_ray_and_says_so() -> None:
    assert any("has no Ray" in each for each in refused(TEXT, "vllm"))
