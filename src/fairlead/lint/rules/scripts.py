"""Scripts: commands that cannot work, that install what is gone, or that carry a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fairlead.lint.finding import Edit, Hit
from fairlead.lint.folder import Folder
from fairlead.lint.rule import Check
from fairlead.lint.tree import Document, Place, Word

UNSCALABLE = re.compile(
    r"(rayclusters?|rayservices?|rayjobs?|inferenceservices?|isvc|llminferenceservices?)(\.[\w.]+)?(/|$)"
)
KNATIVE = re.compile(r"knative/(?:serving|net-\w+)/releases/download/knative-v1\.(\d+)\.")
KSERVE_INSTALL = re.compile(r"kserve/kserve/(?:release-|v)0\.(\d+)[\d.]*/hack/quick_install")
LLMD = re.compile(r"charts\.llm-d\.io|llm-d/llm-d-operator")
WEAK_PASSWORD = re.compile(
    r"(?i)(admin_?password|GF_SECURITY_ADMIN_PASSWORD)[=:]\s*[\"']?(admin|password|prom-operator|grafana|changeme)\b"
)
WEBHOOK = re.compile(r"https://hooks\.slack\.com/services/\S+|https://discord(?:app)?\.com/api/webhooks/\S+")
PLAIN_HEALTH = re.compile(r"http://(?!localhost|127\.|\[::1\]|[\w-]+(?:\.[\w-]+)*\.svc|\$)[\w-]+(?:\.[\w-]+)+\S*")
PACKAGES = {"docker-py": "docker", "sklearn": "scikit-learn"}


def operator_too_old(folder: Folder) -> Iterator[Hit]:
    """D-01: an operator that does not know the version that the manifests use."""
    uses_v1 = any(document.api.startswith("ray.io/v1/") for document in folder.objects())
    for document, command in folder.commands("helm"):
        version = command.option("--version")
        if "kuberay-operator" in command.line() and version and re.match(r"v?0\.", version.text) and uses_v1:
            message = f"KubeRay {version.text} has no ray.io/v1, which these manifests use: they are refused"
            yield Hit(document.file, version.line, version.column, message)


def old_kserve_stack(folder: Folder) -> Iterator[Hit]:
    """D-07: Knative and KServe of 2023 for a language model."""
    for document, word in _words(folder):
        knative, kserve = KNATIVE.search(word.text), KSERVE_INSTALL.search(word.text)
        if knative and int(knative[1]) < 16:
            yield Hit(
                document.file, word.line, word.column, f"Knative 1.{knative[1]}: not needed for a model that stays up"
            )
        if kserve and int(kserve[1]) < 16:
            yield Hit(document.file, word.line, word.column, f"KServe 0.{kserve[1]} (2023) by a script from a branch")


def fictional_llmd(folder: Folder) -> Iterator[Hit]:
    """D-16: a chart, an operator and a kind of llm-d that do not exist."""
    for document, word in _words(folder):
        if match := LLMD.search(word.text):
            yield Hit(document.file, word.line, word.column + match.start(), f"{match[0]} does not exist")
    for document in folder.objects():
        if document.api.startswith("llm-d.io/") or document.root["kind"] == "LLMDeployment":
            place: Place = document.root.values_at["apiVersion"]
            yield Hit(document.file, *place, f"no cluster knows {document.api}")


def scale_without_subresource(folder: Folder) -> Iterator[Hit]:
    """D-19: `kubectl scale` of a kind that has no scale subresource."""
    for document, command in folder.commands("kubectl", "oc"):
        words = [word.text for word in command.words]
        if "scale" in words[1:4]:
            target = next((text for text in words[1:] if UNSCALABLE.match(text)), None)
            if target:
                kind = target.partition("/")[0]
                message = f"{kind} has no scale subresource: this command fails each time it runs"
                yield Hit(document.file, command.words[0].line, command.words[0].column, message)


def client_dry_run(folder: Folder) -> Iterator[Hit]:
    """D-32: a check of manifests that checks almost nothing."""
    for document, command in folder.commands("kubectl", "oc"):
        words = [word.text for word in command.words]
        if "apply" in words[1:3] and "--dry-run=client" in words and "-o" not in words:
            word = next(word for word in command.words if word.text == "--dry-run=client")
            yield Hit(document.file, word.line, word.column, "--dry-run=client validates no custom resource")


def default_password(folder: Folder) -> Iterator[Hit]:
    """D-42: the password that everybody knows."""
    for document, word in _words(folder):
        if match := WEAK_PASSWORD.search(word.text):
            yield Hit(document.file, word.line, word.column + match.start(), f"{match[1]} is {match[2]!r}")
    for document, holder, key in folder.having("adminPassword", "GF_SECURITY_ADMIN_PASSWORD"):
        if str(holder[key]).lower() in ("admin", "password", "prom-operator", "grafana", "changeme"):
            yield Hit(document.file, *holder.place(key), f"{key} is {holder[key]!r}")


def post_to_models(folder: Folder) -> Iterator[Hit]:
    """D-43: /v1/models answers GET only."""
    for document, command in folder.commands("curl"):
        method = command.option("-X", "--request")
        if method and method.text == "POST" and any(re.search(r"/v1/models/?$", w.text) for w in command.words):
            before = command.words[command.words.index(method) - 1] if method in command.words else method
            edit = Edit(method.line, method.column, "POST", "GET")
            yield Hit(document.file, before.line, before.column, "/v1/models answers GET; POST is a 405", edit=edit)


def plain_health_check(folder: Folder) -> Iterator[Hit]:
    """D-45: health over the open wire, and a webhook's secret in the text."""
    for document, word in _words(folder):
        if match := WEBHOOK.search(word.text):
            yield Hit(document.file, word.line, word.column + match.start(), "a webhook's address is a secret")
        match = PLAIN_HEALTH.search(word.text)
        if match and re.search(r"/health|/ready|ENDPOINT=", word.text):
            yield Hit(document.file, word.line, word.column + match.start(), "a public endpoint over plain HTTP")


def switched_by_hand(folder: Folder) -> Iterator[Hit]:
    """D-46: a Service that KubeRay reconciles is patched by hand."""
    ray = any(folder.objects("RayService", "RayCluster"))
    for document, command in folder.commands("kubectl"):
        words = [word.text for word in command.words]
        patches = words[1:2] == ["patch"] and words[2:3] in (["service"], ["svc"])
        if patches and ray and "selector" in command.line() and "ray" in words[3]:
            word = command.words[0]
            yield Hit(
                document.file, word.line, word.column, f"KubeRay reconciles service {words[3]}: the patch is undone"
            )


def wrong_package(folder: Folder) -> Iterator[Hit]:
    """D-48: a package under the name that it had."""
    for document, command in folder.commands("pip", "pip3", "python", "python3", "uv"):
        words = [word.text for word in command.words]
        if "install" in words[1:4]:
            for word in command.words:
                name = re.split(r"[=<>~!\[]", word.text)[0]
                if name in PACKAGES:
                    edit = Edit(word.line, word.column, name, PACKAGES[name])
                    yield Hit(document.file, word.line, word.column, f"{name} is {PACKAGES[name]} today", edit=edit)


def _words(folder: Folder) -> Iterator[tuple[Document, Word]]:
    for document, command in folder.commands():
        yield from ((document, word) for word in command.words)


CHECKS: Mapping[str, Check] = {
    "D-01": operator_too_old,
    "D-07": old_kserve_stack,
    "D-16": fictional_llmd,
    "D-19": scale_without_subresource,
    "D-32": client_dry_run,
    "D-42": default_password,
    "D-43": post_to_models,
    "D-45": plain_health_check,
    "D-46": switched_by_hand,
    "D-48": wrong_package,
}
