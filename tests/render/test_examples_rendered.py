"""Each planned example, in each cloud, for each target: no check and no judge finds anything; the same bytes twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairlead.errors import UserError
from fairlead.ops.rendering import Rendered, render_file
from fairlead.plan.constants import shipped
from fairlead.plan.place import service_plan
from fairlead.render.targets import TARGETS

from .everywhere import PAGE, everywhere, page, problems
from .planned import CLOUDS, NAMES, TODAY, file, planned, rendered

ELSEWHERE = [(name, cloud) for name in NAMES for cloud in CLOUDS if cloud != planned(name).cloud]
REGIONS = {"aws": "us-east-1", "azure": "eastus", "gcp": "us-central1"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_judge_finds_anything_and_the_docs_say_what_there_is(tmp_path: Path) -> None:
    found = problems(tmp_path)
    assert not found, "\n".join(f"{asked}:\n{text}" for asked, text in found.items())
    assert PAGE.read_text() == page(len(found)), "run `make everywhere`"


@pytest.mark.parametrize("name", NAMES)
def test_a_rendering_is_of_the_cloud_that_was_asked_for(name: str) -> None:
    for cloud in CLOUDS:
        made = [everywhere()[name, cloud, target] for target in TARGETS]
        assert {each.build.plan.cloud for each in made} == {cloud}
        assert {pool.instance.cloud.lower() for each in made for pool in each.build.plan.pools} == {cloud}
        assert len({terraform(each) for each in made}) == 1, (
            "what was planned by terraform once, is that of all targets"
        )


def terraform(made: Rendered) -> str:
    return "".join(text for path, text in sorted(made.texts.items()) if path.startswith("terraform/"))


@pytest.mark.parametrize(("name", "target"), [(name, target) for name in NAMES for target in TARGETS])
def test_the_same_twice(name: str, target: str) -> None:
    assert rendered(name, target).texts == everywhere()[name, planned(name).cloud, target].texts


@pytest.mark.parametrize(("name", "cloud"), ELSEWHERE)
def test_machines_of_another_cloud_are_refused_with_what_this_one_has(name: str, cloud: str, tmp_path: Path) -> None:
    """The file with nothing but its cloud changed."""
    own = planned(name).cloud
    text = file(name).read_text().partition("environments:")[0].partition("infrastructure:")[0]
    text = text.replace(f"cloud: {own}", f"cloud: {cloud}").replace(REGIONS[own], REGIONS[cloud])
    (tmp_path / "fairlead.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        render_file(tmp_path / "fairlead.yaml", None, "vllm", lambda spec: service_plan(spec, shipped(), TODAY))
    for problem in caught.value.problems:
        assert re.fullmatch(r"fairlead\.yaml:\d+", problem.where)
        assert re.search(rf"is an instance of {own}", problem.message, re.IGNORECASE)
        assert cloud in problem.hint
