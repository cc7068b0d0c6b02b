"""No secret in clear anywhere, no pod with more rights than the restricted profile, no image that may change."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fairlead.render.build import Object
from fairlead.render.checks.frame import Fault, Rendering, dig, listed
from fairlead.render.workloads import Workload

SECRET_NAME = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS)$", re.IGNORECASE)
SECRET_VALUES = {
    "a token of the model hub": re.compile(r"\bhf_[A-Za-z0-9]{20,}"),
    "an AWS access key": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an API key": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    "a URL with a password": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"']+:[^\s/@\"']+@"),
    "a chat's webhook": re.compile(r"hooks\.slack\.com/services/[A-Z0-9]+/"),
    "a JWT": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\."),
}
VOLUMES = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
        "image",
    )
)
"""Kinds of volumes of the restricted profile; `image` is read-only content of a registry (Kubernetes 1.31)."""
OPERATORS_PODS = frozenset(("InferenceService", "LLMInferenceService"))


def no_secrets(rendering: Rendering) -> Iterator[Fault]:
    """No Secret is rendered, no variable that sounds like one has a value, no text looks like one."""
    for document in rendering.of_kind("Secret"):
        yield Fault(document, "a Secret in clear", "name it under deploy.secrets; an ExternalSecret copies its value")
    for workload in rendering.workloads:
        for container in _containers(workload):
            for variable in listed(container, "env"):
                if SECRET_NAME.search(str(variable.get("name"))) and variable.get("value"):
                    message = f"{container.get('name')}: {variable['name']} has its value in clear"
                    yield Fault(workload.document, message, "take it from a Secret by valueFrom.secretKeyRef")
    for path, text in rendering.files.texts().items():
        for what, pattern in SECRET_VALUES.items():
            match = pattern.search(text)
            if match:
                line = text.count("\n", 0, match.start()) + 1
                yield Fault(None, f"{path}:{line}: this looks like {what}", "put it into a ${VARIABLE}")


def restricted(rendering: Rendering) -> Iterator[Fault]:
    """The restricted profile (kubernetes.io, "Pod Security Standards"): the API server would refuse the pods."""
    for workload in rendering.workloads:
        if workload.document.object["kind"] in OPERATORS_PODS:
            continue  # KServe adds the security context of its runtime
        for message in [
            *_pod(workload.pod),
            *(each for c in _containers(workload) for each in _container(c, workload.pod)),
        ]:
            yield Fault(workload.document, message, "the namespace enforces the restricted profile")


def pinned_images(rendering: Rendering) -> Iterator[Fault]:
    """An image says its version: what was tested is what runs after the next restart."""
    for workload in rendering.workloads:
        for container in _containers(workload):
            image = container.get("image")
            if isinstance(image, str) and "@sha256:" not in image:
                tag = image.rpartition("/")[2].partition(":")[2]
                if tag in ("", "latest"):
                    yield Fault(workload.document, f"{container.get('name')}: {image} may change", "name its version")


def _pod(pod: Object) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield f"{field} is on"
    if dig(pod, "securityContext", "seccompProfile", "type") not in ("RuntimeDefault", "Localhost"):
        yield "has no seccomp profile"
    for volume in listed(pod, "volumes"):
        kinds = volume.keys() - {"name"}
        if not kinds <= VOLUMES:
            yield f"volume {volume.get('name')!r} is a {', '.join(sorted(kinds - VOLUMES))}"


def _container(container: Object, pod: Object) -> Iterator[str]:
    name, context = container.get("name"), container.get("securityContext") or {}
    if context.get("privileged"):
        yield f"{name}: is privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: may gain privileges"
    if "ALL" not in listed(context, "capabilities", "drop"):
        yield f"{name}: keeps capabilities"
    if not (context.get("runAsNonRoot") or dig(pod, "securityContext", "runAsNonRoot")):
        yield f"{name}: may run as root"
    if 0 in (context.get("runAsUser"), dig(pod, "securityContext", "runAsUser")):
        yield f"{name}: runs as root"


def _containers(workload: Workload) -> list[Object]:
    return [*listed(workload.pod, "initContainers"), *workload.containers]
