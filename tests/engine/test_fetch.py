"""What an init container does before an engine starts: the model is there, whole, under a name that does not change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from remote_servers import Hub, Store, served

FILES = {"config.json": b"{}", "model.safetensors": os.urandom(50_000)}
SOURCE = "hf://org/tiny@v1"


def fetched(store: Store | None, cache: Path, source: str = SOURCE, name: str = "small-1") -> tuple[int, str]:
    """Exit code and what it said, of a process as a pod would run it."""
    environment = {**os.environ, "HF_TOKEN": "", "HF_ENDPOINT": store.url if store else "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "fairlead.engine.fetch", source, str(cache), name],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_the_model_is_at_its_name_and_a_second_pod_asks_for_no_byte(tmp_path: Path) -> None:
    with served(Hub, Store(dict(FILES))) as hub:
        code, said = fetched(hub, tmp_path)
        assert code == 0, said
        assert "100 % of 50000 bytes" in said
        read = len(hub.reads)
        assert fetched(hub, tmp_path)[0] == 0
        assert len(hub.reads) == read
    assert {path.name: path.read_bytes() for path in (tmp_path / "small-1").iterdir()} == FILES


def test_the_link_leads_to_the_same_place_wherever_the_volume_is_mounted(tmp_path: Path) -> None:
    with served(Hub, Store(dict(FILES))) as hub:
        assert fetched(hub, tmp_path / "here")[0] == 0
    (tmp_path / "here").rename(tmp_path / "there")
    assert json.loads((tmp_path / "there" / "small-1" / "config.json").read_text()) == {}


def test_a_model_that_cannot_be_had_ends_the_init_container(tmp_path: Path) -> None:
    code, said = fetched(None, tmp_path)
    assert code == 2, said
    assert not (tmp_path / "small-1").exists()


def test_wrong_use_is_told(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "fairlead.engine.fetch"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith("usage:")) == (2, True)
