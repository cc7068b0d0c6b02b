"""Each planned example, for each target: no check and no judge finds anything, and the bytes are the same twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.render.targets import TARGETS

from .oracles import judge
from .planned import NAMES, rendered, written


@pytest.mark.parametrize("target", TARGETS)
def test_no_judge_finds_anything(target: str, tmp_path: Path) -> None:
    for name in NAMES:
        manifests = written(rendered(name, target), tmp_path / name) / "manifests"
        judge("kustomize", manifests)
        judge("core", manifests)
        judge("crds", manifests)


@pytest.mark.parametrize(("name", "target"), [(name, target) for name in NAMES for target in TARGETS])
def test_the_same_twice(name: str, target: str) -> None:
    assert rendered(name, target).texts == rendered(name, target).texts
