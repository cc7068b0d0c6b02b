"""Every check of what is rendered, by the name that its errors carry; all of them run before a file is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fairlead.errors import Problem
from fairlead.render.build import Build
from fairlead.render.checks import (
    engines,
    identity,
    jobs,
    metrics,
    network,
    objectives,
    operators,
    placement,
    references,
    routing,
    scaling,
    security,
)
from fairlead.render.checks.frame import Check, Fault, Rendering
from fairlead.render.files import Files
from fairlead.render.provenance import origin_of
from fairlead.render.targets import flows

CHECKS: Mapping[str, Check] = {
    "name": identity.names_are_taken,
    "defined-twice": identity.defined_once,
    "namespace": identity.in_the_namespace,
    "label": identity.labels_are_taken,
    "origin": identity.says_its_origin,
    "config-map": references.config_maps,
    "mounted-file": references.mounted_files,
    "secret-reference": references.secrets,
    "account": references.accounts,
    "claim": references.claims,
    "volume": references.volumes,
    "probe-port": references.ports,
    "service": routing.services,
    "upstream": routing.upstreams,
    "route": routing.routes,
    "route-timeout": routing.route_timeouts,
    "certificate": routing.certificates,
    "pool": placement.pools,
    "taint": placement.taints,
    "gpu-limit": placement.gpu_limits,
    "memory-volume": placement.memory_volumes,
    "pending": placement.schedulable,
    "secret-in-clear": security.no_secrets,
    "restricted": security.restricted,
    "image": security.pinned_images,
    "default-deny": network.default_deny,
    "policy-selector": network.known_pods,
    "flow-blocked": network.needed_is_open,
    "flow-open": network.open_is_needed,
    "metric": metrics.metrics,
    "scale-target": scaling.targets,
    "scale-bounds": scaling.bounds,
    "schedule": scaling.schedules,
    "job": jobs.jobs,
    "disruption": scaling.disruption,
    "selector": scaling.selectors,
    "grace": scaling.grace,
    "gpu-workers": engines.gpu_workers,
    "engine-port": engines.engine_ports,
    "served-name": engines.served_as_asked,
    "remote-code": engines.no_remote_code,
    "kuberay": operators.kuberay,
    "kserve": operators.kserve,
    "llm-inference-service": operators.llm_inference_service,
    "llm-d": operators.llmd,
    "objective": objectives.objectives,
    "triton": operators.triton,
}


def problems(build: Build, files: Files, where: Callable[[str], str] = lambda origin: "") -> list[Problem]:
    """Everything that is wrong with what was rendered. `where` gives the place of a part of the spec."""
    rendering = Rendering(build, files, flows(build))
    return [problem(name, fault, where) for name, check in CHECKS.items() for fault in check(rendering)]


def problem(name: str, fault: Fault, where: Callable[[str], str]) -> Problem:
    """A fault as the user reads it: the line that asked for the object, the object, the check."""
    if fault.document is None:
        return Problem(f"{fault.message} [{name}]", hint=fault.hint)
    origin = origin_of(fault.document.object)
    return Problem(
        f"{fault.message} [{name}]",
        where=where(origin) if origin else "",
        subject=f"{fault.document.path} {fault.document.title}",
        hint=fault.hint,
    )
