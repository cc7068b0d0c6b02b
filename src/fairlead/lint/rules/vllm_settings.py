"""vLLM's settings: names that it does not have, sizes that it refuses, GPUs that are not there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from fairlead.lint.finding import Hit, Severity
from fairlead.lint.folder import Folder, hit
from fairlead.lint.quantity import amount
from fairlead.lint.rule import Check, known_names
from fairlead.lint.served import gpu_count, image_version, served, servers
from fairlead.lint.tree import Command, Document, Map, Place, as_map, dig, maps

KNOWN_VERSION = (0, 32)
KNOWN_RAY = "2.60"
ADDED = {"VLLM_ADDITIONAL_ARGS", "VLLM_USE_V1", "VLLM_WORKER_MULTIPROC_METHOD"}  # KServe's own; D-05's; every version's


def unknown_flags(folder: Folder) -> Iterator[Hit]:
    """VLLM-01: an option of `vllm serve` that it does not have: the server prints its usage and ends."""
    flags = known_names()["vllm"]["flags"]
    for document, command in servers(folder):
        for word in command.words:
            name = re.split(r"[=\s]", word.text, maxsplit=1)[0]
            if not re.fullmatch(r"--[a-z][\w.-]*", name) or _is_known(name, flags):
                continue
            meant = next(iter(difflib.get_close_matches(name, flags, 1, 0.85)), "")
            fix = f"did you mean {meant}?" if meant else ""
            message = f"vLLM 0.32 has no option {name}"
            yield Hit(document.file, word.line, word.column, message, fix, severity=_severity(document))


def unknown_engine_keys(folder: Folder) -> Iterator[Hit]:
    """VLLM-02: an engine argument that vLLM does not have: the engine does not start."""
    known = known_names()["vllm"]["engine_args"]
    for document, holder, key in folder.having("engine_kwargs"):
        for name in as_map(holder[key]):
            if name not in known:
                meant = next(iter(difflib.get_close_matches(name, known, 1, 0.8)), "")
                fix = f"did you mean {meant}?" if meant else ""
                message = f"vLLM 0.32 has no engine argument `{name}`"
                place: Place = as_map(holder[key]).place(name)
                yield Hit(document.file, *place, message, fix, severity=_ray_severity(document))


def unknown_variables(folder: Folder) -> Iterator[Hit]:
    """VLLM-03: a variable that looks like vLLM's and is not."""
    known = known_names()["vllm"]["environment"] | ADDED
    for variable in folder.variables:
        name = variable.name
        if name.startswith("VLLM_") and name not in known and not re.search(r"_(SERVICE|PORT|HOST)", name):
            meant = next(iter(difflib.get_close_matches(name, known, 1, 0.85)), "")
            fix = f"did you mean {meant}?" if meant else ""
            message = f"vLLM 0.32 does not read {name}"
            yield hit(variable.document, variable.holder, variable.key, message, fix=fix)


def impossible_sizes(folder: Folder) -> Iterator[Hit]:
    """VLLM-04: a share of memory that is none, or fewer tokens than sequences in a step."""
    for document, holder, key in folder.having("gpu_memory_utilization", "gpuMemoryUtilization"):
        share = amount(holder[key])
        if share is not None and not 0 < share <= 1:
            yield hit(document, holder, key, f"gpu_memory_utilization {share:g}: it is a share of 1")
    for document, holder, key in folder.having("max_num_batched_tokens"):
        yield from _fewer_tokens(document, holder.get(key), holder.get("max_num_seqs"), holder.place(key))
    for document, command in servers(folder):
        tokens, seqs = command.option("--max-num-batched-tokens"), command.option("--max-num-seqs")
        if tokens and seqs:
            yield from _fewer_tokens(document, tokens.text, seqs.text, (tokens.line, tokens.column))
        share_word = command.option("--gpu-memory-utilization")
        share = amount(share_word.text) if share_word else None
        if share_word and share is not None and not 0 < share <= 1:
            message = f"gpu_memory_utilization {share:g}: it is a share of 1"
            yield Hit(document.file, share_word.line, share_word.column, message)


def unknown_quantization(folder: Folder) -> Iterator[Hit]:
    """VLLM-05: a quantisation that vLLM does not have."""
    known = known_names()["vllm"]["quantizations"] | {"bitsandbytes", "gguf", "None", "none"}
    for document, holder, key in folder.having("engine_kwargs"):
        engine = as_map(holder[key])
        name = engine.get("quantization")
        if isinstance(name, str) and name not in known and name != "squeezellm":
            yield hit(document, engine, "quantization", f"vLLM 0.32 has no quantisation {name!r}")
    for document, command in servers(folder):
        word = command.option("--quantization", "-q")
        if word and re.fullmatch(r"[a-z0-9_-]+", word.text) and word.text not in known | {"squeezellm"}:
            message = f"vLLM 0.32 has no quantisation {word.text!r}"
            yield Hit(document.file, word.line, word.column, message, severity=_severity(document))


def more_parallel_than_gpus(folder: Folder) -> Iterator[Hit]:
    """VLLM-06: tensor parallelism over more GPUs than the container has, or one that the heads cannot be divided by."""
    for document, command in servers(folder):
        tp = command.option("--tensor-parallel-size", "-tp")
        size, gpus = (amount(tp.text) if tp else None), gpu_count(as_map(document.holder).get("resources"))
        if tp and size and gpus and size > gpus and not _spans_nodes(command, document):
            message = f"tensor_parallel_size {size:g} in a container with {gpus} GPUs"
            yield Hit(document.file, tp.line, tp.column, message)
    for each in served(folder):
        if each.shape is not None and each.tp > 1 and each.shape.heads % each.tp:
            message = f"{each.shape.heads} attention heads of {each.shape.name} cannot be divided by {each.tp} GPUs"
            yield Hit(each.document.file, *each.model_at, message)
    for document, holder, _ in folder.having("requestGPU"):
        config = as_map(holder.get("vllmConfig"))
        size, gpus = amount(config.get("tensorParallelSize")), int(amount(holder["requestGPU"]) or 0)
        if size and gpus and size > gpus and "raySpec" not in holder:
            yield hit(document, config, "tensorParallelSize", f"tensorParallelSize {size:g}, requestGPU {gpus}")


def small_shared_memory(folder: Folder) -> Iterator[Hit]:
    """VLLM-07: tensor parallelism with the container's 64 MiB of shared memory."""
    for document, pod in folder.pods():
        if not document.api.startswith(("apps/", "batch/", "v1/Pod", "leaderworkerset")):
            continue
        shared = {volume.get("name") for volume in maps(pod.get("volumes")) if _is_memory(volume)}
        for container in maps(pod.get("containers")):
            mounts = maps(container.get("volumeMounts"))
            has = any(mount.get("mountPath") == "/dev/shm" and mount.get("name") in shared for mount in mounts)  # noqa: S108
            if gpu_count(container.get("resources")) > 1 and not has and _runs_vllm(folder, container):
                yield hit(document, container, "name", "several GPUs, and no memory-backed /dev/shm: NCCL has 64 MiB")


def _is_known(name: str, flags: frozenset[str]) -> bool:
    """argparse takes underscores, `--no-` of booleans, dotted keys of dictionaries and unambiguous beginnings."""
    plain = name.replace("_", "-").partition(".")[0]
    return plain in flags or plain.replace("--no-", "--", 1) in flags or any(flag.startswith(plain) for flag in flags)


def _severity(document: Document) -> Severity:
    """An error for the version that we know; a warning where the image says another."""
    return "warning" if image_version(document.holder) not in (None, KNOWN_VERSION) else "error"


def _ray_severity(document: Document) -> Severity:
    """An error for the Ray that brings this vLLM; a warning where the manifest names another."""
    version = dig(document.parent.root if document.parent else None, "spec", "rayClusterConfig", "rayVersion")
    return "warning" if version and not str(version).startswith(KNOWN_RAY) else "error"


def _fewer_tokens(document: Document, tokens: object, seqs: object, place: tuple[int, int]) -> Iterator[Hit]:
    many, few = amount(seqs), amount(tokens)
    if many is not None and few is not None and few < many:
        message = f"max_num_batched_tokens {few:g} is below max_num_seqs {many:g}: refused"
        yield Hit(document.file, *place, message)


def _spans_nodes(command: Command, document: Document) -> bool:
    text = command.line()
    kind = document.parent.api if document.parent else ""
    return "--nnodes" in text or "ray" in text or "LeaderWorkerSet" in kind or "$" in text


def _is_memory(volume: Map) -> bool:
    return dig(volume, "emptyDir", "medium") == "Memory" or "hostPath" in volume or "persistentVolumeClaim" in volume


def _runs_vllm(folder: Folder, container: Map) -> bool:
    return any(document.holder is container for document, _ in servers(folder))


CHECKS: Mapping[str, Check] = {
    "VLLM-01": unknown_flags,
    "VLLM-02": unknown_engine_keys,
    "VLLM-03": unknown_variables,
    "VLLM-04": impossible_sizes,
    "VLLM-05": unknown_quantization,
    "VLLM-06": more_parallel_than_gpus,
    "VLLM-07": small_shared_memory,
}
