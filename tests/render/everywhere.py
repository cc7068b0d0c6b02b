"""Every planned example in every cloud for every target, rendered once; what judges find, and a table for the docs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from fairlead.ops.rendering import Rendered
from fairlead.render.schedule_pods import schedule
from fairlead.render.targets import TARGETS, flows
from fairlead.render.workloads import workloads

from .oracles import verdict
from .planned import CLOUDS, NAMES, environment_of, rendered, written

PAGE = Path(__file__).parents[2] / "docs" / "targets.md"
BEGIN, END = "<!-- begin of what `make everywhere` writes -->\n", "<!-- end of what `make everywhere` writes -->\n"
RAY = "\nkind: RayService\n"
Case = tuple[str, str, str]
"""Example, cloud, target."""


@cache
def everywhere() -> Mapping[Case, Rendered]:
    """All renderings. Each has passed all checks of ours, or there would be none."""
    return {
        (name, cloud, target): rendered(name, target, environment_of(name, cloud))
        for name in NAMES
        for cloud in CLOUDS
        for target in TARGETS
    }


def problems(folder: Path) -> dict[str, str]:
    """What the judges find in all renderings, by judge and what was judged; files are written below `folder`."""
    for case, made in everywhere().items():
        written(made, folder.joinpath("all", *case))
    for kind, texts in (("objects", objects()), ("rayservices", {text for text in objects() if RAY in text})):
        for number, text in enumerate(sorted(texts)):
            path = folder / kind / f"{number}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    looked = {f"{name} {path}": verdict(name, path) for name, path in asked(folder)}
    return {asked: seen.text for asked, seen in looked.items() if not seen.fine}


def asked(folder: Path) -> Iterator[tuple[str, Path]]:
    """Which judge looks at which folder. What needs nothing beside it is judged once, however often it is rendered."""
    yield "crds", folder / "objects"
    yield "serve", folder / "rayservices"
    for case in everywhere():
        manifests = folder.joinpath("all", *case, "manifests")
        yield "kustomize", manifests
        yield "core", manifests
    for case in alike("monitoring/"):
        for name in ("promtool-rules", "amtool"):  # that alerts fire, which takes long, is tests/render/monitoring
            yield name, folder.joinpath("all", *case, "monitoring")


def alike(below: str) -> list[Case]:
    """One case for each different content of a folder or file."""
    first: dict[tuple[str, ...], Case] = {}
    for case, made in everywhere().items():
        content = tuple(text for path, text in sorted(made.texts.items()) if path.startswith(below))
        if content:
            first.setdefault(content, case)
    return list(first.values())


def objects() -> set[str]:
    """The text of every object of all renderings, each once."""
    texts = (made.texts.items() for made in everywhere().values())
    applied = (text for each in texts for path, text in each if path.startswith("manifests/"))
    return {document for text in applied for document in re.split("^---\n", text, flags=re.MULTILINE)}


def page(found: int) -> str:
    """The page of the docs with the table as it has to be, where judges found so many problems."""
    head, _, rest = PAGE.read_text().partition(BEGIN)
    return head + BEGIN + table(found) + END + rest.partition(END)[2]


def table(found: int) -> str:
    """A line for each example and cloud, a column for each target."""
    lines = [f"| example | cloud | {' | '.join(TARGETS)} |", "|---" * (len(TARGETS) + 2) + "|"]
    for name in NAMES:
        for cloud in CLOUDS:
            cells = (cell(everywhere()[name, cloud, target]) for target in TARGETS)
            lines.append(f"| {name} | {cloud} | {' | '.join(cells)} |")
    count = f"{len(everywhere())} renderings, {found} problems."
    return "\n".join([*lines, "", count]) + "\n"


def cell(made: Rendered) -> str:
    """`57 / 19 / 24`: objects, pods that have a node when all replicas run, connections that are let through."""
    applied = [each for each in made.files.manifests if not each.is_kustomization]
    placed = schedule(workloads(made.files.manifests), made.build.plan.pools, fullest=True)
    pods = sum(sum(node.pods.values()) for node in placed.nodes)
    return f"{len(applied)} / {pods} / {len(flows(made.build))}"


if __name__ == "__main__":
    PAGE.write_text(page(0))  # that there are 0 is what the test has to show
