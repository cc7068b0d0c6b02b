"""Sizes: what the planner says cannot fit, and contexts that a model does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fairlead.catalog.accelerators import accelerators
from fairlead.catalog.instances import Instance, instances
from fairlead.errors import UserError
from fairlead.lint.finding import Hit
from fairlead.lint.folder import Folder, hit
from fairlead.lint.quantity import GIB, amount
from fairlead.lint.rule import Check, facts
from fairlead.lint.served import Served, served
from fairlead.lint.tree import Document, Map, as_map, dig, maps
from fairlead.plan.deployment import deployment
from fairlead.plan.memory import Memory, memory

MACHINE_KEYS = ("instance_type", "instance_types", "machine_type", "vm_size", "default")
SMALLEST_CONTEXT = 2048  # tokens: weights that leave no room for this serve nobody


def does_not_fit(folder: Folder) -> Iterator[Hit]:
    """D-21: a model whose weights do not fit any of the accelerators that the same set of files names."""
    machines, gpus = _machines(folder), _accelerators(folder)
    for each in served(folder):
        same = {gpu for file, gpu in gpus if file == each.document.file}
        if each.shape is None or each.quantized or not same:
            continue
        sums = [_memory(each, gpu, SMALLEST_CONTEXT) for gpu in same]
        if all(total is not None and total.kv_budget < total.kv_sequence for total in sums):
            names = " or ".join(sorted(same))
            total = sums[0]
            assert total is not None
            message = f"{each.shape.name} does not fit {each.tp} x {names}: {total.sum_text()}"
            yield Hit(each.document.file, *each.model_at, message)
        yield from _unschedulable(each, [each_ for file, each_ in machines if file == each.document.file])


def context_beyond_model(folder: Folder) -> Iterator[Hit]:
    """D-47: a context longer than the model's, and concurrency for which there is no cache."""
    gpus = _accelerators(folder)
    for each in served(folder):
        shape = each.shape
        if shape is None:
            continue
        if each.context and each.context > shape.max_context and not each.stretched:
            message = (
                f"{each.context} tokens of context; {shape.name} has {shape.max_context}: the engine refuses to start"
            )
            yield Hit(each.document.file, *each.context_at, message)
        predictor = as_map(dig(each.document.root, "spec", "predictor"))
        wanted = predictor.get("containerConcurrency")
        same = {gpu for file, gpu in gpus if file == each.document.file}
        if isinstance(wanted, int) and len(same) == 1:
            context = each.context or shape.max_context
            total = _memory(each, next(iter(same)), context)
            if total is not None and 0 <= total.sequences < wanted / 4:
                message = (
                    f"containerConcurrency {wanted}, and a cache for {total.sequences} sequences of {context} tokens"
                    f" on {each.gpus} x {next(iter(same))}"
                )
                yield hit(each.document, predictor, "containerConcurrency", message)


def _unschedulable(each: Served, machines: list[Instance]) -> Iterator[Hit]:
    """A pod as large as the whole machine: the system's own share is missing."""
    resources = as_map(each.holder.get("resources"))
    cpu, memory_bytes = amount(resources.get("cpu")), amount(resources.get("memory"))
    if cpu is None and memory_bytes is None:
        return
    too_small = [
        machine
        for machine in machines
        if (machine.vcpus and (cpu or 0) >= machine.vcpus)
        or (machine.memory_gib and (memory_bytes or 0) >= machine.memory_gib * GIB)
    ]
    if machines and len(too_small) == len(machines):
        machine = too_small[0]
        have = f"{machine.name} has {machine.vcpus} CPUs and {machine.memory_gib:g} GiB, less what the system takes"
        yield hit(each.document, each.holder, "resources", f"no node can take this pod: {have}")


def _memory(each: Served, gpu: str, context: int) -> Memory | None:
    """The planner's sum; None where it cannot make one."""
    assert each.shape is not None
    try:
        return memory(deployment(each.shape, gpu, tp=each.tp, utilization=0.95), context=context)
    except (UserError, ZeroDivisionError):
        return None


def _machines(folder: Folder) -> list[tuple[str, Instance]]:
    """The machines with GPUs that Terraform or a command names, with the file."""
    found = []
    for document, name in _machine_names(folder):
        if name in instances() and instances()[name].gpus:
            found.append((document.file, instances()[name]))
    return found


def _machine_names(folder: Folder) -> Iterator[tuple[Document, str]]:
    for document in folder.scripts("hcl"):
        for _, holder in _blocks(document):
            for key in MACHINE_KEYS:
                value = holder.get(key)
                yield from ((document, str(each)) for each in (value if isinstance(value, list) else [value]))
    for document, command in folder.commands():
        option = command.option("--machine-type", "--instance-type", "--node-type", "--node-vm-size")
        if option:
            yield document, option.text


def _blocks(document: Document) -> Iterator[tuple[str, Map]]:
    for kind in ("variable", "resource"):
        for block in maps(as_map(document.root).get(kind)):
            yield kind, block
            for inner in ("node_config", "default_node_pool"):
                yield from ((inner, each) for each in maps(block.get(inner)))


def _accelerators(folder: Folder) -> set[tuple[str, str]]:
    """(file, accelerator by the catalog's name) of machines, of gcloud's options, of Terraform's guest accelerators."""
    found = {(file, machine.gpu) for file, machine in _machines(folder)}
    names = facts("machines.toml")["catalog"]
    for document, command in folder.commands("gcloud"):
        option = command.option("--accelerator")
        kind = re.search(r"type=([\w-]+)", option.text) if option else None
        if kind and kind[1] in names:
            found.add((document.file, names[kind[1]]))
    for document, holder, key in folder.having("guest_accelerator"):
        for each in maps(holder[key]):
            if each.get("type") in names:
                found.add((document.file, names[each["type"]]))
    return {(file, gpu) for file, gpu in found if gpu in accelerators()}


CHECKS: Mapping[str, Check] = {"D-21": does_not_fit, "D-47": context_beyond_model}
