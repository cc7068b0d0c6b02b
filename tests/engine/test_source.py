"""A model source becomes files on this disk: fetched once, whole, and what they claim to be.

S3 is moto's server. The hub, Google's and Azure's stores are small servers of our own (see remote_servers): evidence
that our code drives the real clients over real sockets, not that those services behave so.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # comes with moto
import pytest
from moto.server import ThreadedMotoServer
from remote_servers import COMMIT, Azure, Gcs, Hub, Store, served

from fairlead.engine.source import DEMO_FOLDER, fetch
from fairlead.engine.sources.download import download
from fairlead.engine.sources.hub import parse
from fairlead.engine.sources.remote import Remote, RemoteFile, is_model_file
from fairlead.errors import UserError

WEIGHTS = bytes(range(256)) * 8192  # 2 MiB
MODEL: Mapping[str, bytes] = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": WEIGHTS,
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "pytorch_model.bin": b"pickled",
    "README.md": b"# tiny",
}
FETCHED = {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"}
HF = "hf://org/tiny@v1"


@pytest.fixture
def hub() -> Iterator[Store]:
    with served(Hub, Store(dict(MODEL))) as store:
        yield store


def get(store: Store, cache: Path, source: str = HF, *, verify: bool = False, token: str = "") -> Path:
    env = {"HF_ENDPOINT": store.url} | ({"HF_TOKEN": token} if token else {})
    return fetch(source, cache, base=cache, env=env, verify=verify)


def assert_complete(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FETCHED
    assert all((folder / name).read_bytes() == MODEL[name] for name in FETCHED)


def test_hub_model_is_fetched_once_and_recorded(hub: Store, tmp_path: Path) -> None:
    folder = get(hub, tmp_path)
    assert_complete(folder)
    manifest = json.loads((folder.parent / "manifest.json").read_text())
    assert manifest["source"] == HF
    assert manifest["revision"] == COMMIT
    assert manifest["files"]["model.safetensors"]["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    asked = len(hub.reads)
    assert get(hub, tmp_path) == folder
    assert len(hub.reads) == asked == len(FETCHED)


def test_cached_model_needs_no_network(hub: Store, tmp_path: Path) -> None:
    folder = get(hub, tmp_path)
    assert fetch(HF, tmp_path, base=tmp_path, env={"HF_ENDPOINT": "http://127.0.0.1:9"}) == folder


def test_progress_ends_at_the_size_of_each_file(hub: Store, tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def progress(name: str, done_bytes: int, total_bytes: int) -> None:
        assert seen.get(name, (0, 0))[0] <= done_bytes <= total_bytes
        seen[name] = (done_bytes, total_bytes)

    fetch(HF, tmp_path, base=tmp_path, env={"HF_ENDPOINT": hub.url}, progress=progress)
    assert seen == {name: (len(MODEL[name]), len(MODEL[name])) for name in FETCHED}


def test_token_goes_to_the_hub_and_to_nobody_else(hub: Store, tmp_path: Path) -> None:
    """The hub answers a read with a redirect to a storage host, which has no business with the token."""
    hub.token = "hf_secret"
    assert_complete(get(hub, tmp_path, token="hf_secret"))
    assert hub.secrets_at_cdn == []


def test_download_that_breaks_off_goes_on_where_it_stopped(hub: Store, tmp_path: Path) -> None:
    hub.files = {"config.json": b"{}", "model.safetensors": WEIGHTS}
    hub.cuts = [2, 1_500_000]
    folder = get(hub, tmp_path)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [asked for name, asked in hub.reads if name == "model.safetensors"]
    assert len(ranges) == 2
    assert 0 < int(ranges[1].removeprefix("bytes=").rstrip("-")) <= 1_500_000


def test_download_goes_on_in_a_later_run(hub: Store, tmp_path: Path) -> None:
    """The first run meets a server that then sends nothing more; the second one only fetches the rest."""
    hub.files = {"config.json": b"{}", "model.safetensors": WEIGHTS}
    hub.cuts = [2, 1_500_000, 0]
    with pytest.raises(UserError, match="broke off") as failed:
        get(hub, tmp_path)
    assert "goes on" in failed.value.problems[0].hint
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and path.suffix != ".part"]
    hub.reads.clear()
    folder = get(hub, tmp_path)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    ((name, asked),) = hub.reads
    assert name == "model.safetensors"
    assert int(asked.removeprefix("bytes=").rstrip("-")) > 0


def test_leavings_of_another_version_are_not_continued(hub: Store, tmp_path: Path) -> None:
    hub.files = {"config.json": b"{}", "model.safetensors": WEIGHTS}
    hub.cuts = [2, 1_500_000, 0]
    with pytest.raises(UserError):
        get(hub, tmp_path)
    changed = WEIGHTS[::-1]
    hub.files["model.safetensors"] = changed
    assert (get(hub, tmp_path) / "model.safetensors").read_bytes() == changed
    assert not list(tmp_path.glob("*.part"))


def test_wrong_checksum_is_refused_and_fetched_anew(hub: Store, tmp_path: Path) -> None:
    hub.wrong_hash = "0" * 64
    with pytest.raises(UserError, match=r"model\.safetensors does not match its checksum"):
        get(hub, tmp_path)
    hub.wrong_hash = ""
    assert_complete(get(hub, tmp_path))


def test_cached_file_that_changed_is_noticed(hub: Store, tmp_path: Path) -> None:
    folder = get(hub, tmp_path)
    (folder / "model.safetensors").write_bytes(WEIGHTS[:-1])
    with pytest.raises(UserError, match=r"have changed: model\.safetensors") as failed:
        get(hub, tmp_path)
    assert "delete" in failed.value.problems[0].hint


def test_flipped_bit_is_noticed_when_asked_to_verify(hub: Store, tmp_path: Path) -> None:
    """Same size, same time: only the hash can tell."""
    folder = get(hub, tmp_path)
    target = folder / "model.safetensors"
    stat = target.stat()
    target.write_bytes(b"\xff" + WEIGHTS[1:])
    os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert get(hub, tmp_path) == folder
    with pytest.raises(UserError, match="have changed"):
        get(hub, tmp_path, verify=True)


def test_touched_but_equal_file_passes(hub: Store, tmp_path: Path) -> None:
    folder = get(hub, tmp_path)
    (folder / "config.json").write_bytes(MODEL["config.json"])
    assert get(hub, tmp_path) == folder


def test_two_at_once_fetch_once(hub: Store, tmp_path: Path) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(get(hub, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 3
    assert len(hub.reads) == len(FETCHED)


def test_names_that_lead_elsewhere_are_not_fetched(hub: Store, tmp_path: Path) -> None:
    hub.files |= {"../../evil.json": b"{}", "sub/deep.json": b"{}", "..json": b"{}", "/etc/evil.json": b"{}"}
    cache = tmp_path / "a" / "b"
    assert_complete(get(hub, cache))
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]


def test_one_gguf_file_of_a_repository(hub: Store, tmp_path: Path) -> None:
    hub.files = {"q4.gguf": b"GGUF4", "q8.gguf": b"GGUF8"}
    assert get(hub, tmp_path, "hf://org/tiny/q8.gguf@v1").read_bytes() == b"GGUF8"
    with pytest.raises(UserError, match="several models") as failed:
        get(hub, tmp_path)
    assert "q4.gguf, q8.gguf" in failed.value.problems[0].hint


def test_repository_of_pickled_weights_is_refused_before_a_byte_is_read(hub: Store, tmp_path: Path) -> None:
    hub.files = {"config.json": b"{}", "pytorch_model.bin": b"pickled"}
    with pytest.raises(UserError, match=r"no \.safetensors or \.gguf"):
        get(hub, tmp_path)
    assert hub.reads == []


def test_hub_that_refuses_is_explained(hub: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not there"):
        get(hub, tmp_path, "hf://org/other@v1")
    hub.token = "hf_secret"
    with pytest.raises(UserError, match="wants a valid token") as failed:
        get(hub, tmp_path, token="hf_wrong")
    assert "HF_TOKEN" in failed.value.problems[0].hint
    assert "hf_wrong" not in str(failed.value)


def test_hub_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be reached"):
        fetch(HF, tmp_path, base=tmp_path, env={"HF_ENDPOINT": "http://127.0.0.1:9"})


# --- object stores ---------------------------------------------------------------------------------------------------

AT = {f"models/tiny/{name}": content for name, content in MODEL.items()} | {"models/tiny2/config.json": b"other"}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """moto's S3 with the model in bucket `weights`; the client is told by the usual variables."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    settings = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_REGION": "us-east-1"}
    for name, value in {**settings, "AWS_ENDPOINT_URL": url}.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
    client.create_bucket(Bucket="weights")
    for name, content in AT.items():
        client.put_object(Bucket="weights", Key=name, Body=content)
    yield url
    server.stop()


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with served(Gcs, Store(dict(AT), token="right")) as store:
        monkeypatch.setenv("GOOGLE_BASE_URL", store.url)
        monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "right")
        yield store


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with served(Azure, Store(dict(AT))) as store:
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", store.url)
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
        yield store


@pytest.mark.usefixtures("s3")
def test_s3_folder(tmp_path: Path) -> None:
    assert_complete(fetch("s3://weights/models/tiny/", tmp_path, base=tmp_path))


@pytest.mark.usefixtures("s3")
def test_s3_names_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no"):
        fetch("s3://weights/models/none", tmp_path, base=tmp_path)
    with pytest.raises(UserError, match="is not there"):
        fetch("s3://weights/models/none.gguf", tmp_path, base=tmp_path)
    with pytest.raises(UserError, match="is not there"):
        fetch("s3://no-such-bucket/models", tmp_path, base=tmp_path)


def test_s3_one_file(s3: str, tmp_path: Path) -> None:
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    client.put_object(Bucket="weights", Key="models/q4.gguf", Body=b"GGUF")
    assert fetch("s3://weights/models/q4.gguf", tmp_path, base=tmp_path).read_bytes() == b"GGUF"


@pytest.mark.usefixtures("gcs")
def test_gcs_folder(tmp_path: Path) -> None:
    assert_complete(fetch("gs://weights/models/tiny", tmp_path, base=tmp_path))


@pytest.mark.usefixtures("azure")
def test_azure_folder(tmp_path: Path) -> None:
    assert_complete(fetch("az://weights/models/tiny", tmp_path, base=tmp_path))


def test_store_that_refuses_is_explained(gcs: Store, tmp_path: Path) -> None:
    gcs.token = "another"
    with pytest.raises(UserError, match="may not be read") as failed:
        fetch("gs://weights/models/tiny", tmp_path, base=tmp_path)
    assert "GOOGLE_APPLICATION_CREDENTIALS" in failed.value.problems[0].hint


def test_object_that_breaks_off_is_read_on(azure: Store, tmp_path: Path) -> None:
    azure.files = {"models/tiny/config.json": b"{}", "models/tiny/model.safetensors": WEIGHTS}
    azure.cuts = [2, 1_500_000]
    folder = fetch("az://weights/models/tiny", tmp_path, base=tmp_path)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert len(azure.reads) == 3


# --- this disk -----------------------------------------------------------------------------------------------------


def test_folder_and_file_on_this_disk(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    for name in FETCHED:
        (folder / name).write_bytes(MODEL[name])
    (tmp_path / "q4.gguf").write_bytes(b"GGUF")
    assert fetch("models/tiny", tmp_path / "cache", base=tmp_path) == folder
    assert fetch("q4.gguf", tmp_path / "cache", base=tmp_path) == tmp_path / "q4.gguf"
    assert fetch(str(folder), tmp_path / "cache", base=Path("/")) == folder


WRONG_SOURCES = {
    "no such folder": ("models/none", "no such model folder"),
    "a folder without a model": ("empty", "holds no model"),
    "another kind of file": ("notes.txt", "is not a model"),
    "no such demo": ("demo:v99", "no such demo model"),
    "no such scheme": ("ftp://host/model", "no such kind of source"),
    "a hub name without an organisation": ("hf://tiny", "not of the form"),
    "a hub name that climbs": ("hf://org/tiny/../../x@v1", "not of the form"),
}


@pytest.mark.parametrize(("source", "told"), WRONG_SOURCES.values(), ids=WRONG_SOURCES)
def test_wrong_source_is_told(tmp_path: Path, source: str, told: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=told):
        fetch(source, tmp_path / "cache", base=tmp_path, env={"HF_ENDPOINT": "http://127.0.0.1:9"})


def test_demo_model_is_shipped(tmp_path: Path) -> None:
    assert fetch("demo:v1", tmp_path, base=tmp_path) == DEMO_FOLDER / "v1"
    assert not list(tmp_path.iterdir())


HUB_PLACES = {
    "org/name": ("org/name", "", "main"),
    "org/name@v1.0": ("org/name", "", "v1.0"),
    "org/name@refs/pr/3": ("org/name", "", "refs/pr/3"),
    "org/name/q4.gguf@abc": ("org/name", "q4.gguf", "abc"),
    "org/name/sub/folder@abc": ("org/name", "sub/folder", "abc"),
}


@pytest.mark.parametrize(("text", "place"), HUB_PLACES.items(), ids=HUB_PLACES)
def test_hub_places(text: str, place: tuple[str, str, str]) -> None:
    found = parse(text)
    assert (found.repo, found.path, found.revision) == place


NAMES = {"model.safetensors": True, "tokenizer.model": True, ".json": False, "..json": False, "a/b.json": False}


@pytest.mark.parametrize(("name", "taken"), NAMES.items(), ids=NAMES)
def test_model_file_names(name: str, taken: bool) -> None:
    assert is_model_file(name) is taken


def test_disk_without_room_is_told_before_a_byte_is_read(tmp_path: Path) -> None:
    huge = RemoteFile("model.safetensors", 10**18, "v")

    def read(file: RemoteFile, offset: int) -> Iterator[bytes]:
        raise AssertionError("it should not be read")

    with pytest.raises(UserError, match="has room for") as failed:
        download(Remote("", (huge,), read), tmp_path, lambda name, done_bytes, total_bytes: None)
    assert "make room" in failed.value.problems[0].hint


def test_more_bytes_than_listed_are_refused(tmp_path: Path) -> None:
    endless = RemoteFile("model.safetensors", 10, "v")

    def read(file: RemoteFile, offset: int) -> Iterator[bytes]:
        while True:
            yield b"x" * 7

    with pytest.raises(UserError, match="does not match"):
        download(Remote("", (endless,), read), tmp_path, lambda name, done_bytes, total_bytes: None)
