"""Each example checks, and compiles to the files beside it, byte for byte; no file too many, none too few.

python tests/test_examples.py      rewrites the expected files
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from fairlead.cli.spec_commands import template
from fairlead.render.delivery.pipelines import constant
from fairlead.render.gateway import gateway_config, gateway_text
from fairlead.render.infrastructure.terraform import CLOUDS, module
from fairlead.spec import overlay
from fairlead.spec.load import check, load, read
from fairlead.spec.schema import json_schema
from fairlead.spec.types import RayModel, RemoteModel, Spec
from render.planned import NAMES as PLANNED
from render.planned import rendered

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*/fairlead.yaml"))
RAY = "http://127.0.0.1:9099"  # Ray Serve is one upstream for all its models
NAMES = [path.parent.name for path in EXAMPLES]
CONSTANT = {*constant().values(), *(text for cloud in CLOUDS for _, text in module(cloud))}
MORE_TARGETS = {"large": ("llm-d",), "tiers": ("triton",)}


def compiled(path: Path) -> Mapping[str, str]:
    """Every file that an example compiles to: the plain one, and one for each overlay that the gateway notices."""
    plain = gateway_json(load(path))
    overlays = {f"gateway.{name}.json": gateway_json(load(path, name)) for name in overlay.names(read(path))}
    return {"gateway.json": plain, **{file: text for file, text in overlays.items() if text != plain}}


def gateway_json(spec: Spec) -> str:
    """As `fairlead up` would write it, with engines on ports from 9100 on."""
    ports = count(9100)
    upstreams = {
        name: [f"http://127.0.0.1:{next(ports)}" for _ in range(model.replicas)]
        for name, model in spec.models.items()
        if not isinstance(model, RemoteModel | RayModel)
    }
    upstreams |= {name: [RAY] for name, model in spec.models.items() if isinstance(model, RayModel)}
    return gateway_text(gateway_config(spec, state_dir="/var/lib/fairlead", upstreams=upstreams))


def deployed(path: Path) -> Mapping[str, str]:
    """Every file that a planned example renders to, below its target's name: that of the file, and some more.

    Terraform's modules and the pipelines' files are those of the package, byte for byte: they are not kept here again.
    """
    if path.parent.name not in PLANNED:
        return {}
    deploy = load(path).deploy
    assert deploy is not None
    targets = [deploy.target or "", *MORE_TARGETS.get(path.parent.name, ())]
    texts = {target: rendered(path.parent.name, target).texts for target in targets}
    made = {f"{target}/{name}": text for target, files in texts.items() for name, text in files.items()}
    return {path: text for path, text in made.items() if text not in CONSTANT}


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_an_example_compiles_to_what_is_expected(path: Path) -> None:
    expected = {file.name: file.read_text() for file in (path.parent / "expected").iterdir() if file.is_file()}
    assert dict(compiled(path)) == expected


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_an_example_renders_to_what_is_expected(path: Path) -> None:
    folder = path.parent / "expected"
    files = [file for file in folder.glob("*/**/*") if file.is_file()]
    expected = {str(file.relative_to(folder)): file.read_text() for file in files}
    made = dict(deployed(path))
    assert made.keys() == expected.keys()
    assert [name for name in made if made[name] != expected[name]] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_an_example_has_no_problems_in_any_environment(path: Path) -> None:
    assert check(path).name


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_an_example_satisfies_the_schema(path: Path) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(YAML(typ="safe", pure=True).load(path.read_text()))


def test_the_laptop_example_is_what_init_writes() -> None:
    assert (EXAMPLES[NAMES.index("laptop")]).read_text() == template()


def rewrite() -> None:
    """Make the expected files what the examples compile to now."""
    for path in EXAMPLES:
        folder = path.parent / "expected"
        folder.mkdir(exist_ok=True)
        shutil.rmtree(folder)
        for name, text in {**compiled(path), **deployed(path)}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)


if __name__ == "__main__":
    rewrite()
