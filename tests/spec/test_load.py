"""Loading: a sound file is a `Spec`; a file with mistakes tells each once, with line, column and hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.errors import EXIT_USER, UserError
from fairlead.spec.load import check, load
from fairlead.spec.types import OpenVinoModel, RemoteModel, VllmModel

from .conftest import Tell, Write

DEMO = "models: {demo: {source: demo:v1}}\n"

# text below the header -> (line:column, subject, part of the message, part of the hint)
MISTAKES = {
    "an unknown key": (
        "models:\n  demo: {source: demo:v1, replcas: 2}\n",
        ("4:27", "models.demo.replcas", "unknown key", "did you mean replicas?"),
    ),
    "an unknown section": (DEMO + "gatway: {}\n", ("4:1", "gatway", "unknown key", "did you mean gateway?")),
    "a key like none": (DEMO + "gateway: {zzz: 1}\n", ("4:11", "gateway.zzz", "unknown key", "known keys: admin_host")),
    "a field of another engine": (
        "models:\n  demo: {engine: remote, urls: ['http://a'], source: demo:v1}\n",
        ("4:46", "models.demo.source", "unknown key", "known keys"),
    ),
    "an unknown engine": (
        "models:\n  demo: {engine: vlm, source: demo:v1}\n",
        ("4:18", "models.demo.engine", "unknown engine 'vlm'", "did you mean vllm?"),
    ),
    "no source": ("models:\n  demo: {replicas: 1}\n", ("4:3", "models.demo", "'source' is missing", "hf://")),
    "no urls": ("models:\n  far: {engine: remote}\n", ("4:3", "models.far", "'urls' is missing", "Base URLs")),
    "text for a number": (
        "models:\n  demo: {source: demo:v1, replicas: two}\n",
        ("4:37", "models.demo.replicas", "must be a whole number, not 'two'", "Engine processes"),
    ),
    "a quoted number": (
        "models:\n  demo: {source: demo:v1, replicas: '2'}\n",
        ("4:37", "models.demo.replicas", "must be a whole number", "without quotes: 2"),
    ),
    "a truth value for a number": (
        "models:\n  demo: {source: demo:v1, replicas: true}\n",
        ("4:37", "models.demo.replicas", "not true", ""),
    ),
    "too few": (
        "models:\n  demo: {source: demo:v1, replicas: 0}\n",
        ("4:37", "models.demo.replicas", "must be at least 1", ""),
    ),
    "a duration without unit": (DEMO + "gateway: {timeout: 60}\n", ("4:20", "gateway.timeout", "60", "60s")),
    "a duration of nothing": (DEMO + "gateway: {timeout: 0s}\n", ("4:20", "gateway.timeout", "more than 0", "")),
    "a wrong size": (
        "models:\n  demo: {source: demo:v1, kv_cache: 1GB}\n",
        ("4:37", "models.demo.kv_cache", "'1GB' is not a size", "256Mi"),
    ),
    "a port out of range": (DEMO + "gateway: {port: 70000}\n", ("4:17", "gateway.port", "at most 65535", "")),
    "a share above one": (
        DEMO + "gateway: {retry: {budget: 1.5}}\n",
        ("4:27", "gateway.retry.budget", "at most 1", "Retries"),
    ),
    "no share": (DEMO + "gateway: {retry: {budget: .nan}}\n", ("4:27", "gateway.retry.budget", "", "Retries")),
    "a host that is none": (DEMO + "gateway: {host: 'a b'}\n", ("4:17", "gateway.host", "no host", "127.0.0.1")),
    "an empty section": (DEMO + "routes:\n", ("4:1", "routes", "is empty", "")),
    "a list for a mapping": ("models: [demo]\n", ("3:9", "models", "must be a mapping of names", "")),
    "a value for a mapping": (DEMO + "gateway: 8080\n", ("4:10", "gateway", "must be a mapping of keys", "")),
    "a model that is no mapping": ("models: {demo: demo:v1}\n", ("3:16", "models.demo", "must be a mapping", "")),
    "no models": ("models: {}\n", ("3:9", "models", "needs at least 1", "")),
    "a list that is text": (
        "models:\n  demo: {source: demo:v1, operations: chat}\n",
        ("4:39", "models.demo.operations", "must be a list", ""),
    ),
    "an unknown operation": (
        DEMO + "access: {roles: {user: {models: ['*'], operations: [chat, embedding]}}}\n",
        ("4:59", "access.roles.user.operations[1]", "must be 'chat'", "did you mean embeddings?"),
    ),
    "an operation that the engine lacks": (
        "models:\n  demo: {source: demo:v1, operations: [embeddings]}\n",
        ("4:40", "models.demo.operations[0]", "must be 'chat' or 'completions'", ""),
    ),
    "a model with a slash": (
        "models:\n  a/b: {source: demo:v1}\n",
        ("4:3", "models.a/b", "no name for a model", "letters"),
    ),
    "a role with capitals": (
        DEMO + "access: {roles: {User: {models: ['*']}}}\n",
        ("4:18", "access.roles.User", "no DNS label", "small letters"),
    ),
    "a source of no kind": (
        "models:\n  demo: {source: weights}\n",
        ("4:18", "models.demo.source", "no source", "starts with ./"),
    ),
    "a scheme that nothing fetches": (
        "models:\n  demo: {source: 'gcs://a/b'}\n",
        ("4:18", "models.demo.source", "nothing fetches gcs://", "did you mean gs?"),
    ),
    "hf without revision": (
        "models:\n  demo: {source: hf://a/b}\n",
        ("4:18", "models.demo.source", "no hf:// source", "@revision"),
    ),
    "an unknown demo": (
        "models:\n  demo: {source: demo:v9}\n",
        ("4:18", "models.demo.source", "no demo model 'v9'", "demo:v1"),
    ),
    "a URL without scheme": (
        "models:\n  far: {engine: remote, urls: ['127.0.0.1:9000']}\n",
        ("4:32", "models.far.urls[0]", "no base URL", "http://127.0.0.1:9000"),
    ),
    "an unknown environment": (
        DEMO + "environment: prod\n",
        ("4:14", "environment", "must be 'laptop'", "did you mean production?"),
    ),
}


@pytest.mark.parametrize(("text", "wanted"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_once_with_its_place_and_hint(tell: Tell, text: str, wanted: tuple[str, ...]) -> None:
    (problem,) = tell(text)
    place, subject, message, hint = wanted
    assert problem.where.endswith(f"fairlead.yaml:{place}")
    assert problem.subject == subject
    assert message in problem.message
    assert hint in problem.hint


def test_ten_mistakes_are_told_at_once_each_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).parent
    monkeypatch.chdir(here)
    with pytest.raises(UserError) as refusal:
        load("ten_mistakes.yaml")
    assert str(refusal.value) + "\n" == (here / "ten_mistakes.txt").read_text()
    assert len(refusal.value.problems) == 10
    assert all(problem.hint for problem in refusal.value.problems)
    assert refusal.value.exit_code == EXIT_USER


def test_the_version_and_the_name_must_be_there(tell: Tell) -> None:
    problems = tell("# apiVersion\n" + DEMO)
    assert [problem.message for problem in problems] == ["'apiVersion' is missing", "'name' is missing"]


def test_a_key_written_where_its_variable_belongs_is_never_shown(tell: Tell) -> None:
    secret = "sk-live-0123456789"
    (problem,) = tell(f"models:\n  far: {{engine: remote, urls: ['http://a'], api_key_env: {secret}}}\n")
    assert secret not in problem.text()


@pytest.mark.parametrize("url", ["http://me:hunter2@a:9000", "http://a:9000?key=hunter2"])
def test_a_secret_in_a_url_is_refused_and_never_shown(tell: Tell, url: str) -> None:
    (problem,) = tell(f"models:\n  far: {{engine: remote, urls: ['{url}']}}\n")
    assert "hunter2" not in problem.text()


def test_each_engine_gives_its_own_type(write: Write) -> None:
    spec = load(
        write("""
        models:
          here: {source: ./model, kv_cache: 1Gi}
          gpu: {engine: vllm, source: hf://org/name@abc, tensor_parallel_size: 2}
          far: {engine: remote, urls: ["https://example.com/app/v1/"]}
        """)
    )
    here, gpu, far = spec.models.values()
    assert isinstance(here, OpenVinoModel)
    assert here.kv_cache == 2**30
    assert isinstance(gpu, VllmModel)
    assert gpu.start_timeout == 600.0
    assert isinstance(far, RemoteModel)
    assert far.urls == ("https://example.com/app",)


def test_a_spec_does_not_change(write: Write) -> None:
    spec = load(write(DEMO))
    with pytest.raises(ValueError, match="frozen"):
        spec.name = "other"  # type: ignore[misc]


UNREADABLE = {
    "a missing file": (None, "there is no such file"),
    "bytes that are no text": (b"name: \xff", "not UTF-8"),
    "an empty file": (b"", "the file is empty"),
}


@pytest.mark.parametrize(("content", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_is_a_user_error(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "fairlead.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        load(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path)


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "fairlead.yaml"
    path.write_text("apiVersion: fairlead/v1\nname: demo\n" + DEMO, encoding="utf-8-sig")
    assert load(path).name == "demo"


def test_check_without_an_environment_checks_every_overlay_and_tells_each_problem_once(write: Write) -> None:
    path = write(DEMO + "routes: {fast: {model: dmeo}}\nenvironments: {production: {}, eu: {name: other}}\n")
    with pytest.raises(UserError) as refusal:
        check(path)
    assert [(problem.subject, problem.where.rsplit(":", 2)[1]) for problem in refusal.value.problems] == [
        ("access", "1"),  # production wants roles
        ("models.demo.source", "3"),  # production refuses the demo model
        ("routes.fast.model", "4"),
        ("environments.eu.name", "5"),
    ]
