"""Our verdicts are those of the CRD oracle, whose own are those of a real API server (../shared/oracles/README.md).

The two share no code, and of libraries only cel-cpp, which runs the rules. On what we render, on objects that an API
server accepted, and on each of these with one field dropped, renamed, of a wrong type, null, or twice in its list.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fairlead.catalog.releases import releases
from fairlead.ops.schemas.received import Loader
from fairlead.render.targets import TARGETS
from fairlead.schemas.judge import Judge, Verdict
from fairlead.schemas.kinds import is_custom

from ..oracles import verdict
from ..planned import NAMES, rendered
from .upstream import DATA, files, judge, paths

Object = dict[str, Any]
MUTATIONS_OF_AN_OBJECT = 12
FEWEST = 200


@cache
def examples() -> list[Object]:
    """What we render of the examples for every target, each object once, and ../shared/data/k8s-examples."""
    ours = (each.object for name in NAMES for target in TARGETS for each in rendered(name, target).files.manifests)
    texts = (path.read_text() for path in sorted((DATA / "k8s-examples").glob("*.yaml")))
    theirs = (each for text in texts for each in yaml.load_all(text, Loader=Loader))
    found = {json.dumps(each, sort_keys=True): each for each in (*ours, *theirs) if is_custom(each)}
    return list(found.values())


@cache
def ours() -> Judge:
    names = {f"{item['apiVersion'].partition('/')[0]}/{item['kind'].lower()}.yaml" for item in examples()}
    return judge(*sorted(names & files().keys()))


def theirs(objects: list[Object], folder: Path) -> set[int]:
    """The objects, by their number, that the oracle refuses; each stands in a file of its own."""
    for number, item in enumerate(objects):
        (folder / f"{number:05}.yaml").write_text(json.dumps(item))
    report = json.loads(verdict("crds", folder, "--json").text)
    assert report["custom"] == len(objects), report["unknown_kinds"]
    return {int(Path(problem["file"]).stem) for problem in report["problems"]}


def mutations(item: Object, seed: random.Random) -> Iterator[Object]:
    """Copies with one thing wrong, or one thing less; at most so many of an object."""
    places = list(_places(item, ()))
    for place in seed.sample(places, min(len(places), MUTATIONS_OF_AN_OBJECT)):
        made = copy.deepcopy(item)
        above: Any = made
        for step in place[:-1]:
            above = above[step]
        seed.choice(CHANGES)(above, place[-1])
        if made != item:
            yield made


def _places(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in steps:
        if (*path, step) not in {("apiVersion",), ("kind",)}:
            yield (*path, step)
            yield from _places(item, (*path, step))


def drop(above: Any, step: Any) -> None:
    del above[step]


def rename(above: Any, step: Any) -> None:
    if isinstance(above, dict):
        above[f"{step}X"] = above.pop(step)


def mistype(above: Any, step: Any) -> None:
    value = above[step]
    above[step] = {"a": 1} if isinstance(value, list | str) else "text" if isinstance(value, dict) else [value]


def flatten(above: Any, step: Any) -> None:
    above[step] = str(above[step]) if isinstance(above[step], int | float) else 7


def nothing(above: Any, step: Any) -> None:
    above[step] = None


def twice(above: Any, step: Any) -> None:
    if isinstance(above, list):
        above.append(copy.deepcopy(above[step]))


def far(above: Any, step: Any) -> None:
    above[step] = -(2**40) if isinstance(above[step], int) else "_" * 300


CHANGES: tuple[Callable[[Any, Any], None], ...] = (drop, drop, rename, rename, mistype, flatten, nothing, twice, far)


def test_what_is_good_is_good_to_both(tmp_path: Path) -> None:
    assert theirs(examples(), tmp_path) == set()
    told = [ours().verdict(item) for item in examples()]
    assert [each.findings for each in told if each is not None and each.findings] == []
    assert len([each for each in told if each is not None]) == len(examples()) >= 40
    assert sum(each.rules_run for each in told if each) > 300
    assert sum(each.rules_left for each in told if each) == 0


def test_the_same_verdict_on_every_mutation(tmp_path: Path) -> None:
    seed = random.Random(20261121)
    changed = [made for item in examples() for made in mutations(item, seed)]
    refused = theirs(changed, tmp_path)
    verdicts = [ours().verdict(item) for item in changed]
    differ = [
        (changed[number]["kind"], ours_of(told), number in refused)
        for number, told in enumerate(verdicts)
        if told is None or bool(told.findings) != (number in refused)
    ]
    assert differ == []
    counts = Counter(number in refused for number in range(len(changed)))
    assert counts[True] >= FEWEST
    assert counts[False] >= FEWEST
    assert sum(told.rules_left for told in verdicts if told) == 0


def test_the_releases_define_every_kind_that_is_rendered() -> None:
    published = {f"{each.repository}/{each.folder}/{file}" for each in releases().values() for file in each.files}
    defined = {name for name, path in paths().items() if path in published}
    ours = [each.object for name in NAMES for target in TARGETS for each in rendered(name, target).files.manifests]
    wanted = {f"{item['apiVersion'].partition('/')[0]}/{item['kind'].lower()}.yaml" for item in ours if is_custom(item)}
    assert wanted - defined == set()


def ours_of(told: Verdict | None) -> object:
    return None if told is None else [(each.path, each.message) for each in told.findings]
