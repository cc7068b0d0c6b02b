"""vLLM in plain Deployments, StatefulSets and LeaderWorkerSets, and what scales them."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.lint.adopt.notes import Adopted
from fairlead.lint.adopt.settings import of_words, option, scale, take
from fairlead.lint.adopt.sources import set_source
from fairlead.lint.folder import Folder
from fairlead.lint.served import servers, vllm_model
from fairlead.lint.tree import Document, Place, as_map, dig

KINDS = ("Deployment", "StatefulSet", "LeaderWorkerSet", "ReplicaSet", "Pod")


def deployed_models(folder: Folder, fetched: dict[str, str]) -> Iterator[Adopted]:
    """Every workload that starts a vLLM server."""
    for script, command in servers(folder):
        owner = script.parent
        if owner is None or owner.api.rpartition("/")[2] not in KINDS:
            continue
        word = vllm_model(command) or command.option("--model")
        if word is None:
            continue
        workload = str(dig(owner.root, "metadata", "name") or word.text)
        public = option(command, "--served-model-name") or word.text
        at = Place(word.line, word.column)
        model = Adopted(owner, at, public if not public.startswith("/") else workload, {"engine": "vllm"})
        set_source(model, word.text, at, fetched=fetched, revision=option(command, "--revision") or "")
        take(model, of_words(command.words))
        _replicas(folder, model, owner)
        yield model


def _replicas(folder: Folder, model: Adopted, owner: Document) -> None:
    """The bounds of the autoscaler that scales the workload, or its own number."""
    name, kind = dig(owner.root, "metadata", "name"), owner.root["kind"]
    for scaler in folder.objects("HorizontalPodAutoscaler", "ScaledObject"):
        spec = as_map(scaler.root.get("spec"))
        target = as_map(spec.get("scaleTargetRef"))
        if target.get("name") == name and target.get("kind", "Deployment") == kind:
            low = spec.get("minReplicas", spec.get("minReplicaCount", 1))
            high = spec.get("maxReplicas", spec.get("maxReplicaCount", 1))
            scale(model, low, high, owner.root.place("spec"))
            return
    spec = as_map(owner.root.get("spec"))
    scale(model, spec.get("replicas", 1), None, spec.place("replicas"))
