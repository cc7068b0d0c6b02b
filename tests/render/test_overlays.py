"""A base and overlays give back, object for object, what is rendered without them; and an overlay only ever adds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from ruamel.yaml import YAML

from fairlead.errors import UserError
from fairlead.ops.overlaid import Overlaid, overlaid
from fairlead.ops.rendering import render_file
from fairlead.render.build import Object
from fairlead.render.files import Document
from fairlead.render.overlays import BASE, PATCHES, add, additions, keyed, layers, shared
from fairlead.render.targets import TARGETS

from .oracles import program
from .plans import SERVICE, plan

ENVIRONMENTS = ("dev", "staging", "production")
FILE = (
    SERVICE.replace("environment: production\n", "")
    + """
monitoring: {}
delivery: {argocd: {repository: "https://git.example.com/llm.git", path: rendered/production}}
environments:
  staging:
    deploy: {namespace: chat-staging, ingress: {hostname: staging.example.com}, schedules: null}
    delivery: {argocd: {path: rendered/staging}}
  dev:
    gateway: {replicas: 1}
    deploy: {ingress: {hostname: dev.example.com}, max_gateways: 3}
    delivery: {argocd: {path: rendered/dev}}
"""
)


@cache
def made(target: str = "vllm", names: tuple[str, ...] = ENVIRONMENTS, text: str = FILE) -> Overlaid:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "fairlead.yaml"
        file.write_text(text)
        return overlaid({name: render_file(file, name, target, lambda spec: plan()) for name in names})


def written(whole: Overlaid, folder: Path) -> Path:
    for path, text in whole.texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def kustomized(folder: Path) -> list[Object]:
    """What `kubectl apply -k` would apply."""
    command = [program("kubectl"), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [dict(each) for each in YAML(typ="safe").load_all(done.stdout)]


def texts(objects: Iterable[Object]) -> list[str]:
    return sorted(json.dumps(each, sort_keys=True) for each in objects)


@pytest.mark.parametrize("target", TARGETS)
def test_kustomize_makes_what_is_rendered_without_it(target: str, tmp_path: Path) -> None:
    whole = made(target)
    folder = written(whole, tmp_path / "rendered")
    for name, alone in whole.renderings.items():
        built = kustomized(folder / name / "manifests")
        assert texts(built) == texts(each.object for each in alone.files.manifests)
        assert built[0]["kind"] == "Namespace"


@pytest.mark.parametrize("target", TARGETS)
def test_an_overlay_never_contradicts_its_base(target: str) -> None:
    """The paths of its patches are not in the base, and its own objects are none of the base's."""
    whole = made(target)
    made_layers = layers({name: each.files.manifests for name, each in whole.renderings.items()})
    patched = 0
    for overlay in made_layers.overlays.values():
        assert not overlay.own.keys() & made_layers.base.keys()
        for patch in overlay.patches:
            for operation in patch.operations:
                before = json.dumps(patch.target)
                again: Any = json.loads(before)
                add(again, [{**operation, "value": None}])
                assert operation["op"] == "add"
                assert len(json.dumps(again)) > len(before), "it was there"
                patched += 1
    assert patched


def test_what_environments_share_is_said_once() -> None:
    whole = made(names=("dev", "production"))
    base = sum(len(text) for path, text in whole.texts.items() if path.startswith(BASE))
    rest = sum(
        len(text) for path, text in whole.texts.items() if path.startswith(("dev/manifests", "production/manif"))
    )
    assert rest < base / 4
    assert [path for path in whole.texts if path.startswith(f"dev/{PATCHES}horizontalpodautoscaler")]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_pages_name_the_files_that_are_there(name: str) -> None:
    whole = made()
    for page in ("PROVENANCE.md", "EVIDENCE.md"):
        cells = (cell for line in whole.texts[f"{name}/{page}"].splitlines() for cell in line.split(" | "))
        paths = {cell.removeprefix("| ") for cell in cells}
        named = {path for path in paths if path.removeprefix("| ").startswith(("manifests/", "../base/"))}
        assert len(named) > 5
        assert {f"{name}/{each}".replace(f"{name}/../", "") for each in named} <= whole.texts.keys()


def test_argo_cd_applies_the_overlay_of_its_environment() -> None:
    whole = made()
    for name in ENVIRONMENTS:
        assert f"path: rendered/{name}/manifests\n" in whole.texts[f"{name}/argocd/application.yaml"]
    text = FILE.replace("delivery: {argocd: {path: rendered/dev}}", "")
    with pytest.raises(UserError, match="is not the folder of dev") as caught:
        made(text=text)
    [problem] = caught.value.problems
    line = next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith("delivery:"))
    assert problem.where == f"fairlead.yaml:{line}"


SAME: Mapping[str, tuple[Any, Any, Any]] = {
    "what is alike stays": ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1}),
    "true is not one": ({"a": True}, {"a": 1}, {}),
    "one is not one and a half": ({"a": 1}, {"a": 1.5}, {}),
    "a list is alike or not": ({"a": [1, 2]}, {"a": [1, 3]}, {}),
    "mappings go deeper": ({"a": {"b": 1, "c": 1}}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    "nothing in common is nothing": ({"a": {"b": 1}}, {"a": {"b": 2}}, {}),
    "empty in both stays": ({"a": {}}, {"a": {}}, {"a": {}}),
    "keys with slashes": ({"a": {"x.dev/y~z": "1", "k": 0}}, {"a": {"x.dev/y~z": "2", "k": 0}}, {"a": {"k": 0}}),
}


@pytest.mark.parametrize(("left", "right", "common"), SAME.values(), ids=SAME)
def test_shared_and_added_again(left: Object, right: Object, common: Object) -> None:
    assert shared(left, right) == common
    for whole in (left, right):
        again: Any = json.loads(json.dumps(common))
        add(again, list(additions(common, whole)))
        assert json.dumps(again, sort_keys=True) == json.dumps(whole, sort_keys=True)


def test_two_of_a_name_are_told_apart_by_their_namespace() -> None:
    def one(namespace: str) -> Document:
        item = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": namespace}}
        return Document("manifests/a.yaml", item)

    assert [key[3] for key in keyed([one("x")])] == [""]
    assert [key[3] for key in keyed([one("x"), one("y")])] == ["x", "y"]
