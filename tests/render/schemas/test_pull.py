"""`fairlead schemas`: definitions from releases, a cluster's API and a folder; what is kept, and what is refused."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina
import yaml
from typer.testing import CliRunner, Result

from fairlead.catalog.components import components
from fairlead.catalog.releases import releases
from fairlead.cli.main import app
from fairlead.errors import UserError
from fairlead.ops.schemas.received import Loader

from .servers import Api, Site, served
from .upstream import files, paths

SMALL = ("velero.io/schedule.yaml", "cert-manager.io/certificate.yaml", "gateway.networking.k8s.io/httproute.yaml")


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["schemas", *words])


def problems(result: Result) -> list[str]:
    assert isinstance(result.exception, UserError), result.output
    return [problem.text() for problem in result.exception.problems]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's cache of this test; and tries that follow at once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with stamina.set_testing(True, attempts=4, cap=True):
        yield tmp_path / "cache" / "fairlead" / "schemas"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of YAML files, as somebody brings it to a machine without a network."""
    for name in SMALL:
        path = tmp_path / "crds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files()[name])
    return tmp_path / "crds"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only releases whose files are small: reading all of them takes half a minute on a busy machine."""
    small = ("velero", "cert-manager", "gateway-api", "llm-d-router", "inference-extension")
    chosen = {name: releases()[name] for name in small}
    monkeypatch.setattr("fairlead.cli.schemas_commands.releases", lambda: chosen)


def release_files() -> dict[str, bytes]:
    """What GitHub would serve at the addresses of our releases, of the archive's versions."""
    by_path: dict[str, bytes] = {}
    for name, path in paths().items():
        by_path[path] = by_path.get(path, b"") + b"---\n" + files()[name] + b"\n"
    return {
        f"/{each.repository}/{each.tag}/{each.folder}/{file}": by_path[f"{each.repository}/{each.folder}/{file}"]
        for each in releases().values()
        for file in each.files
    }


def test_a_folder_becomes_schemas_with_a_manifest(folder: Path, cache: Path) -> None:
    told = json.loads(run("pull", "--from-folder", str(folder), "--json").output)
    assert told["from"] == "folder"
    assert [(each["kind"], each["served"]) for each in told["kinds"]] == [
        ("Certificate", ["v1"]),
        ("HTTPRoute", ["v1", "v1beta1"]),
        ("Schedule", ["v1"]),
    ]
    route = told["kinds"][1]
    assert route["version"] == "v1.6.1"
    assert route["source"].endswith("httproute.yaml")
    assert len(route["received"]) == 64
    assert json.loads((cache / "manifest.json").read_text())["kinds"] == told["kinds"]
    assert json.loads(run("list", "--json").output) == told
    assert "HTTPRoute" in run("list").output


def test_what_kubectl_writes_is_read_too(tmp_path: Path) -> None:
    items = [yaml.load(files()[name], Loader=Loader) for name in SMALL]
    page = tmp_path / "crds.json"
    page.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert len(json.loads(run("pull", "--from-folder", str(page), "--json").output)["kinds"]) == 3


def test_a_pull_takes_the_place_of_the_last(folder: Path, cache: Path) -> None:
    run("pull", "--from-folder", str(folder))
    run("pull", "--from-folder", str(folder / "velero.io"))
    assert [each["kind"] for each in json.loads(run("list", "--json").output)["kinds"]] == ["Schedule"]
    assert sorted(path.name for path in cache.iterdir()) == ["manifest.json", "velero.io"]
    run("forget")
    assert "no schemas were pulled" in problems(run("list"))[0]


def test_a_pull_that_fails_leaves_what_was_there(folder: Path) -> None:
    run("pull", "--from-folder", str(folder))
    (folder / "broken.yaml").write_text("kind: CustomResourceDefinition\nspec: {}\n")
    assert "broken.yaml" in problems(run("pull", "--from-folder", str(folder)))[0]
    assert len(json.loads(run("list", "--json").output)["kinds"]) == 3


REFUSED: dict[str, tuple[str, str]] = {
    "a page about it": ("<html>\n<a b: c: d>", "is no YAML"),
    "nothing of the kind": ("kind: Service\n", "no CustomResourceDefinition was found"),
    "an old one": (
        "{kind: CustomResourceDefinition, apiVersion: apiextensions.k8s.io/v1beta1, metadata: {name: a.b}}",
        "since 1.22",
    ),
    "one that leads out of the folder": (
        "{kind: CustomResourceDefinition, spec: {group: ../../x.y, names: {kind: A}, versions: []}}",
        "no proper group and kind",
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_definition_is_refused(text: str, message: str, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    assert message in problems(run("pull", "--from-folder", str(tmp_path / "a.yaml")))[0]
    assert not cache.exists()


def test_two_that_differ_are_refused(folder: Path) -> None:
    changed = files()[SMALL[0]].replace(b"type: boolean", b"type: string")
    (folder / "again.yaml").write_bytes(changed)
    assert "is defined differently by" in problems(run("pull", "--from-folder", str(folder)))[0]


@pytest.mark.usefixtures("few")
def test_releases_are_fetched_with_their_digests() -> None:
    site = Site(release_files(), faults=[503, 0, 429])
    with served(site) as url:
        told = json.loads(run("pull", "--from-release", "--mirror", url, "--json").output)
    assert told["from"] == "release"
    by_kind = {each["kind"]: each for each in told["kinds"]}
    schedule = by_kind["Schedule"]
    assert schedule["version"] == "v1.18.1"
    [address] = [path for path in site.files if path.endswith("velero.io_schedules.yaml")]
    assert schedule["source"] == url + address
    assert schedule["received"] == hashlib.sha256(site.files[address]).hexdigest()
    assert {"Gateway", "HTTPRoute", "Certificate", "InferencePool", "InferenceObjective"} <= by_kind.keys()
    assert len(site.asked) == len(set(site.asked)) + 3


@pytest.mark.usefixtures("few")
def test_all_that_cannot_be_had_is_told_and_nothing_is_kept(cache: Path) -> None:
    everything = release_files()
    bad = {path: b"kind: Service" for path in everything if "velero" in path}
    held = {path: content for path, content in everything.items() if "cert-manager" not in path}
    with served(Site({**held, **bad})) as url:
        told = problems(run("pull", "--from-release", "--mirror", url))
    assert sorted("HTTP 404" in each for each in told) == [False, True, True, True]
    assert sum("holds no CustomResourceDefinition" in each for each in told) == len(bad)
    assert not cache.exists()


@pytest.mark.usefixtures("few")
def test_a_server_that_stays_busy_is_given_up() -> None:
    site = Site(release_files(), faults=[503] * 4)
    with served(site) as url:
        [told] = problems(run("pull", "--from-release", "--mirror", url))
    assert "HTTP 503" in told
    assert site.asked.count(site.asked[0]) == 4


def test_a_release_that_changed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    only = {name: each for name, each in releases().items() if name == "velero"}
    monkeypatch.setattr("fairlead.cli.schemas_commands.releases", lambda: only)
    [path] = [path for path in release_files() if "velero" in path]
    site = Site({path: release_files()[path]})
    with served(site) as url:
        assert run("pull", "--from-release", "--mirror", url).exit_code == 0
        site.files[path] += b"# another word\n"
        [told] = problems(run("pull", "--from-release", "--mirror", url))
        assert "has changed since it was pulled" in told
        run("forget")
        assert run("pull", "--from-release", "--mirror", url).exit_code == 0


def test_the_releases_are_those_that_manifests_are_written_for() -> None:
    for name, release in releases().items():
        assert set(release.addresses()) == {
            f"https://raw.githubusercontent.com/{release.repository}/{release.tag}/{release.folder}/{file}"
            for file in release.files
        }
        if name in components():
            assert f"{release.tag}.".startswith(f"v{components()[name].version}.")
    known = set(paths().values())
    assert [file for each in releases().values() for file in each.files
            if f"{each.repository}/{each.folder}/{file}" not in known] == []  # fmt: skip


def kubeconfig(path: Path, url: str, token: str) -> Path:
    """A kubeconfig with two contexts; the one in force is `here`."""
    told: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "one", "cluster": {"server": url}}],
        "users": [{"name": "good", "user": {"token": token}}, {"name": "bad", "user": {"token": "other"}}],
        "contexts": [
            {"name": "here", "context": {"cluster": "one", "user": "good"}},
            {"name": "there", "context": {"cluster": "one", "user": "bad"}},
        ],
    }
    path.write_text(json.dumps(told))
    return path


def test_a_clusters_definitions_are_read_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.ops.schemas.from_cluster.PAGE", 2)
    items = [yaml.load(files()[name], Loader=Loader) for name in SMALL]
    api = Api(items, token="t0ken")
    with served(api) as url:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", url, api.token)))
        told = json.loads(run("pull", "--from-cluster", "--json").output)
        refused = problems(run("pull", "--from-cluster", "--context", "there"))
        unknown = problems(run("pull", "--from-cluster", "--context", "nowhere"))
    assert api.pages == [2, 1]
    assert {each["kind"] for each in told["kinds"]} == {"Certificate", "HTTPRoute", "Schedule"}
    assert {each["source"] for each in told["kinds"]} == {"cluster here"}
    assert {each["kind"]: each["version"] for each in told["kinds"]}["HTTPRoute"] == "v1.6.1"
    assert "the cluster's definitions cannot be read" in refused[0]
    assert "nowhere" in unknown[0]


def test_a_cluster_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(Api([], "")) as url:
        pass
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", url, "")))
    assert "cannot be read" in problems(run("pull", "--from-cluster"))[0]
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    assert problems(run("pull", "--from-cluster"))


def test_it_must_be_said_from_where() -> None:
    assert "pull from where?" in problems(run("pull"))[0]
    assert "pull from where?" in problems(run("pull", "--from-cluster", "--from-release"))[0]
    assert "--context goes with" in problems(run("pull", "--from-release", "--context", "here"))[0]
    assert "--mirror with" in problems(run("pull", "--from-cluster", "--mirror", "http://127.0.0.1:9"))[0]


def test_without_the_libraries_it_says_which_extra(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    assert "pip install 'fairlead[schemas]'" in problems(run("pull", "--from-folder", str(folder)))[0]
