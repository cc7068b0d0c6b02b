"""Front ends keep positions, and a broken file gives one clear finding while the rest is still linted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.lint.front.hcl_text import parse_hcl
from fairlead.lint.front.json_text import parse_json
from fairlead.lint.front.read import LARGEST, read
from fairlead.lint.front.shell_text import parse_shell
from fairlead.lint.front.yaml_text import parse_yaml
from fairlead.lint.run import lint
from fairlead.lint.tree import Place
from fairlead.ops.lint_files import files

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(9)
)
BROKEN = {
    "bad YAML": ("a.yaml", b"a: [1\nb: 2\n", "L-01"),
    "bad JSON": ("a.json", b'{"a": ', "L-01"),
    "bad HCL": ("a.tf", b'resource "a" {', "L-01"),
    "binary": ("a.yaml", bytes(range(256)) * 20, "L-02"),
    "not UTF-8": ("a.yaml", b"\xff\xfe" * 500, "L-02"),
    "deep nesting": ("a.yaml", b"[" * 50_000, "L-02"),
    "deep blocks": ("a.yaml", b"".join(b" " * n + b"a:\n" for n in range(500)), "L-02"),
    "anchors bomb": ("a.yaml", BOMB.encode(), "L-02"),
    "an alias of itself": ("a.yaml", b"a: &x\n  b: *x\n", "L-02"),
    "deep HCL": ("a.tf", b"a = " + b"[" * 500 + b"]" * 500, "L-02"),
    "unrendered template": ("a.yaml", b"{{- if .Values.a }}\nkind: Service\n{{- end }}\n", "L-05"),
    "very large": ("a.yaml", b"a" * (LARGEST + 1), "L-02"),
}


@pytest.mark.parametrize(("name", "content", "rule"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_gives_one_finding_and_the_rest_is_linted(name: str, content: bytes, rule: str) -> None:
    good = read("good.yaml", b"trust_remote_code: true\n")
    report = lint([read(name, content), good])
    assert [each.rule for each in report.findings if each.file == name] == [rule]
    assert [each.rule for each in report.findings if each.file == "good.yaml"] == ["D-41"]


@pytest.mark.parametrize("name", ["a.yaml", "a.json", "a.tf", "a.sh", "a.md", "a.py", "Dockerfile", "Jenkinsfile"])
@settings(max_examples=25, deadline=None)
@given(text=st.text(alphabet="ab:-{}[]()<>|&\"'`#$=\\ \n\t*!%@,?~é", max_size=300))
def test_no_text_brings_it_down(name: str, text: str) -> None:
    lint([read(name, text.encode("utf-8", "replace"))])


def test_an_endless_expression_is_not_read() -> None:
    expression = "histogram_quantile(" * 5_000
    assert lint([read("a.yaml", f"expr: {expression}\n".encode())]).findings == ()


def test_100_megabytes_are_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    (found,) = lint(files([tmp_path])).findings
    assert (found.rule, found.message) == ("L-02", "100 MB are more than the 10 MB that are read")


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (found,) = lint(files([tmp_path])).findings
    assert found.rule == "L-02"
    assert "cannot be read" in found.message


def test_yaml_positions() -> None:
    (first, second) = parse_yaml("a:\n  - b: 1\n---\nc: x\n")
    assert first["a"][0].place("b") == Place(2, 5)
    assert second.values_at["c"] == Place(4, 4)


def test_yaml_scalars_are_those_of_kubernetes() -> None:
    (root,) = parse_yaml('a: 1\nb: "1"\nc: true\nd: ~\ne: 1.5\nf: yes\ng: 08x\n')
    assert dict(root) == {"a": 1, "b": "1", "c": True, "d": None, "e": 1.5, "f": "yes", "g": "08x"}


def test_merges_and_repeated_keys() -> None:
    (root,) = parse_yaml("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  x: 3\nuse2: {k: 1, k: 2}\n")
    assert dict(root["use"]) == {"x": 3, "y": 2}
    assert [key for key, _ in root["use2"].repeated] == ["k"]


def test_json_with_tabs_and_surrogates() -> None:
    root = parse_json('{\n\t"a": "\\ud83d\\ude00",\n\t"b": [1]\n}')
    assert root.place("b").line == 3


def test_hcl_positions() -> None:
    root = parse_hcl('resource "a" "b" {\n  size = 2\n  tags = { x = "y" }\n  inner {\n    on = true\n  }\n}\n')
    (block,) = root["resource"]
    assert (block["labels"], block["size"], block["tags"]["x"]) == (["a", "b"], 2, "y")
    assert block.place("size") == Place(2, 3)
    assert block["inner"][0].place("on") == Place(5, 5)


def test_shell_words_and_here_documents() -> None:
    commands, heredocs = parse_shell(
        "sudo A=1 kubectl apply \\\n  -n ai\ncat <<EOF | kubectl apply -f -\nkind: X\nEOF\n"
    )
    assert [word.text for word in commands[0].words] == ["kubectl", "apply", "-n", "ai"]
    assert commands[0].words[2].line == 2
    assert heredocs == [("kind: X\n", 4)]


def test_documents_inside_documents_keep_their_lines() -> None:
    text = "apiVersion: ray.io/v1\nkind: RayService\nspec:\n  serveConfigV2: |\n"
    text += "    applications:\n    - name: a\n      zzz: 1\n"
    found = [each for each in lint([read("a.yaml", text.encode())]).findings if each.rule == "RAY-01"]
    assert [each.line for each in found] == [7]


def test_a_page_keeps_lines_and_columns_of_its_blocks() -> None:
    page = "# Title\n\n- item\n  ```yaml\n  engine_kwargs:\n    quantization: nope\n  ```\n"
    (found,) = (each for each in lint([read("a.md", page.encode())]).findings if each.rule == "VLLM-05")
    assert (found.line, found.column) == (6, 5)
