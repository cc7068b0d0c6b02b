"""A batch starts when it should, finds the gateway, and does not keep its GPUs.

Sources: kubernetes.io, "CronJob" (the five fields, zones of the tz database); KubeRay 1.7, RayJobSpec.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from fairlead.render import names
from fairlead.render.build import Object
from fairlead.render.checks.frame import Fault, Rendering, dig, listed
from fairlead.render.checks.provided import service_ports
from fairlead.render.files import Document
from fairlead.render.jobs import RUN_VARIABLE
from fairlead.spec.cron import check_cron
from fairlead.spec.problems import FieldError

RAY_KINDS = ("RayJob", "RayCronJob")
CLOCKS = ("CronJob", "RayCronJob")


def jobs(rendering: Rendering) -> Iterator[Fault]:
    """Everything that runs and ends, by itself or by the clock."""
    for document in rendering.of_kind(*CLOCKS):
        yield from (Fault(document, *told) for told in _clock(document.object["spec"]))
    for document, words in _commands(rendering):
        yield from (Fault(document, *told) for told in _command(rendering, document, words))
    for document in rendering.of_kind(*RAY_KINDS):
        spec = document.object["spec"]
        yield from (Fault(document, *told) for told in _ray_job(spec.get("jobTemplate", spec)))


def _clock(spec: Object) -> Iterator[tuple[str, str]]:
    try:
        check_cron(str(spec.get("schedule")))
    except FieldError as error:
        yield str(error), error.hint
    if spec.get("timeZone") not in available_timezones():
        yield f"there is no timezone {spec.get('timeZone')!r}", "for example Europe/Berlin"


def _commands(rendering: Rendering) -> Iterator[tuple[Document, list[str]]]:
    """Each `fairlead batch run`, as words: of a container, or of the line that Ray's head is given."""
    for workload in rendering.workloads:
        for container in workload.containers:
            words = [str(word) for word in (*listed(container, "command"), *listed(container, "args"))]
            if words[1:3] == ["batch", "run"]:
                yield workload.document, words
    for document in rendering.of_kind(*RAY_KINDS):
        spec = document.object["spec"]
        words = str(spec.get("jobTemplate", spec).get("entrypoint", "")).partition("&& ")[2].split()
        if words[1:3] == ["batch", "run"]:
            yield document, words
        else:
            yield document, []


def _command(rendering: Rendering, document: Document, words: list[str]) -> Iterator[tuple[str, str]]:
    if len(words) < 5:
        yield "runs no batch", "fairlead batch run IN OUT"
        return
    flags: dict[str, str] = {key: value for key, _, value in (word.partition("=") for word in words[5:])}
    if "--unattended" not in flags:
        yield "a second try would take the first one's output for a mistake", "--unattended"
    if document.object["kind"] in CLOCKS and not re.search(rf"\$[({{]{RUN_VARIABLE}\b", words[4]):
        yield f"each run writes to {words[4]}, so that the second does nothing", "the run's name in the output's"
    if "--cluster" not in flags:
        url = urlsplit(flags.get("--url", ""))
        ports = service_ports(rendering, (url.hostname or "").partition(".")[0])
        if ports is None or url.port not in ports:
            yield f"no gateway answers at {flags.get('--url')!r}", "the gateway's Service and its port"
        return
    yield from _cluster_file(rendering, document, flags["--cluster"])


def _cluster_file(rendering: Rendering, document: Document, file: str) -> Iterator[tuple[str, str]]:
    """The file that the head is told of is in a ConfigMap that stands where the path says."""
    [head] = [each for each in rendering.workloads if each.document is document and "headGroupSpec" in each.at]
    volumes = {each["name"]: dig(each, "configMap", "name") for each in listed(head.pod, "volumes")}
    folder, _, key = file.rpartition("/")
    for mount in listed(head.containers[0], "volumeMounts"):
        config = rendering.find("ConfigMap", volumes.get(mount["name"]) or "", head.namespace)
        if config and mount["mountPath"] == folder and key in (config.object.get("data") or {}):
            return
    yield f"{file} is no key of a ConfigMap that the head has", f"a file below {names.CONFIG_MOUNT}"


def _ray_job(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not spec.get("shutdownAfterJobFinishes"):
        yield "its cluster keeps its GPUs when the batch is done", "shutdownAfterJobFinishes: true"
    if not spec.get("activeDeadlineSeconds"):
        yield "nothing ends it where it cannot get its nodes", "activeDeadlineSeconds"
