"""Clouds: machines that are retired, accelerators on the wrong machine, Terraform that fights with itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from fairlead.lint.finding import Edit, Hit
from fairlead.lint.folder import Folder, hit, value_hit
from fairlead.lint.rule import Check, facts
from fairlead.lint.tree import Document, Map, as_map, maps

LONGEST_LINE = 2_000  # characters: what is longer is no text for people
REGION = re.compile(r"\b((?:us|eu|ap|ca|sa|me|af|il)-(?:[a-z]+-)?[a-z]+-?\d\b)")
REGION_KEYS = ("region", "aws_region", "aws-region", "AWS_REGION", "awsRegion", "gcp_region")
PROSE_DEFAULT = re.compile(r"(?i)\bregion\b.*\bdefault|`\w*region`\s*\|")
GROOVY_REGION = re.compile(r"(?i)\b\w*region\s*=\s*['\"]")


def wrong_accelerator(folder: Folder) -> Iterator[Hit]:
    """D-22: an accelerator that this kind of machine does not carry (machines with accelerators built in)."""
    for document, machine, accelerator, place in _gpu_machines(folder):
        family = machine.partition("-")[0]
        carried = facts("machines.toml")["built_in"].get(family)
        if carried and accelerator not in carried:
            message = f"{machine} carries {' or '.join(carried)}, never {accelerator}"
            yield Hit(document.file, *place, message)


def accelerator_needs_family(folder: Folder) -> Iterator[Hit]:
    """D-23: an accelerator that can be had on its own machines only, on a general one."""
    for document, machine, accelerator, place in _gpu_machines(folder):
        family = machine.partition("-")[0]
        table = facts("machines.toml")
        if family in table["attachable"]["families"] and accelerator not in table["attachable"]["accelerators"]:
            yield Hit(document.file, *place, f"{accelerator} cannot be attached to {machine}")


def retired_machine(folder: Folder) -> Iterator[Hit]:
    """D-24: a machine type that its cloud has switched off."""
    retired = facts("machines.toml")["retired"]
    for document, holder, key in folder.having("vm_size", "instance_type", "machine_type", "size", "instance_types"):
        for value in holder[key] if isinstance(holder[key], list) else [holder[key]]:
            if isinstance(value, str) and value in retired:
                yield value_hit(document, holder, key, f"{value} was retired on {retired[value]}")
    for document, command in folder.commands("az", "aws", "gcloud", "eksctl"):
        for word in command.words:
            if word.text.rpartition("=")[2] in retired:
                name = word.text.rpartition("=")[2]
                yield Hit(document.file, word.line, word.column, f"{name} was retired on {retired[name]}")


def autoscaled_twice(folder: Folder) -> Iterator[Hit]:
    """D-25: an argument that provider 4 does not know, and a size that Terraform and the autoscaler both set."""
    for document, kind, block in _resources(folder):
        if kind.startswith("azurerm_kubernetes") and "enable_auto_scaling" in block:
            old, new = "enable_auto_scaling", "auto_scaling_enabled"
            place = block.keys_at[old]
            message = f"azurerm 4 has no `{old}`: it is `{new}`"
            yield hit(document, block, old, message, edit=Edit(place.line, place.column, old, new))
        if kind == "google_container_node_pool" and "autoscaling" in block and "node_count" in block:
            yield hit(
                document, block, "node_count", "`node_count` beside `autoscaling`: every plan undoes the autoscaler"
            )


def many_regions(folder: Folder) -> Iterator[Hit]:
    """D-31: the same region given as a default in three places or more."""
    places = sorted(_region_defaults(folder))
    by_region: dict[str, list[tuple[str, int, int, str]]] = {}
    for file, line, column, form, region in places:
        by_region.setdefault(region, []).append((file, line, column, form))
    for region, found in by_region.items():
        if len(found) >= 3 and len({form for *_, form in found}) >= 2:
            first = f"{found[0][0]}:{found[0][1]}"
            for file, line, column, _ in found[1:]:
                yield Hit(file, line, column, f"region {region} is a default here and at {first}: they drift apart")


def no_remote_state(folder: Folder) -> Iterator[Hit]:
    """D-33: state on one person's disk: no backend, workspaces as environments, `state pull` as a backup."""
    trees = [each for each in folder.documents if each.language == "hcl" and isinstance(each.root, Map)]
    backed = any("backend" in block or "cloud" in block for each in trees for block in maps(each.root.get("terraform")))
    for document in () if backed else trees:
        for provider in list(maps(document.root.get("provider")))[:1]:
            yield Hit(document.file, *provider.at, "a provider, and no `backend` in any file: state is local, unlocked")
    for document, command in folder.commands("terraform"):
        words = [word.text for word in command.words]
        word = command.words[0]
        if words[1:3] == ["workspace", "new"]:
            yield Hit(
                document.file, word.line, word.column, "a workspace per environment shares one backend and its rights"
            )
        elif words[1:3] == ["state", "pull"]:
            message = "`terraform state pull` into a file is no backup: it holds secrets and nobody restores it"
            yield Hit(document.file, word.line, word.column, message)


def _gpu_machines(folder: Folder) -> Iterator[tuple[Document, str, str, tuple[int, int]]]:
    """(document, machine type, accelerator, place) of gcloud commands and of Terraform's node pools and instances."""
    for document, command in folder.commands("gcloud"):
        machine, accelerator = command.option("--machine-type"), command.option("--accelerator")
        if machine and accelerator:
            kind = re.search(r"type=([\w-]+)", accelerator.text)
            if kind:
                yield document, machine.text, kind[1], (accelerator.line, accelerator.column)
    for document, holder, _ in folder.having("guest_accelerator"):
        machine_type = holder.get("machine_type")
        for each in maps(holder["guest_accelerator"]):
            accelerator_type = each.get("type")
            if isinstance(machine_type, str) and isinstance(accelerator_type, str):
                yield document, machine_type, accelerator_type, each.place("type")


def _resources(folder: Folder) -> Iterator[tuple[Document, str, Map]]:
    """Every Terraform resource with its type; a block may stand in another (`default_node_pool`)."""
    for document in folder.scripts("hcl"):
        for block in maps(as_map(document.root).get("resource")):
            kind = str(next(iter(block.get("labels") or [""])))
            yield document, kind, block
            for inner in maps(block.get("default_node_pool")):
                yield document, kind, inner


def _region_defaults(folder: Folder) -> Iterator[tuple[str, int, int, str, str]]:
    """(file, line, column, form, region) wherever a default region stands."""
    for document, holder, key in folder.having(*REGION_KEYS):
        value = holder[key]
        if isinstance(value, str) and REGION.fullmatch(value) and "apiVersion" not in as_map(document.root):
            yield document.file, *holder.place(key), document.role or document.language, value
    for document in folder.scripts("hcl"):
        for block in maps(as_map(document.root).get("variable")):
            value = block.get("default")
            if "region" in str(block.get("labels")) and isinstance(value, str) and REGION.fullmatch(value):
                yield document.file, *block.place("default"), "variable", value
    for document in folder.scripts("groovy"):
        yield from _regions_of_lines(document.file, document.lines(), GROOVY_REGION, "groovy")
    for file in folder.files:
        if file.language == "page":
            yield from _regions_of_lines(file.path, enumerate(file.text.split("\n"), 1), PROSE_DEFAULT, "prose")


def _regions_of_lines(
    path: str, lines: Iterable[tuple[int, str]], pattern: re.Pattern[str], form: str
) -> Iterator[tuple[str, int, int, str, str]]:
    for number, line in lines:
        match = REGION.search(line) if len(line) <= LONGEST_LINE else None
        if match and pattern.search(line):
            yield path, number, match.start() + 1, form, match[1]


CHECKS: Mapping[str, Check] = {
    "D-22": wrong_accelerator,
    "D-23": accelerator_needs_family,
    "D-24": retired_machine,
    "D-25": autoscaled_twice,
    "D-31": many_regions,
    "D-33": no_remote_state,
}
