"""The rules in CEL of a definition, run by Google's cel-cpp; one that cannot be run faithfully is counted, not judged.

Such are rules with functions of Kubernetes' that are not here (quantities, addresses), or over what it gives another
type than JSON does (dates). Rules over `oldSelf` are not for an object that is made. Source of functions, types and
names: kubernetes.io, "Common Expression Language in Kubernetes", and "Validation rules" of CustomResourceDefinitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from cel_expr_python import cel
from cel_expr_python.ext import ext_math, ext_optional, ext_strings

from fairlead.schemas.structural import Path, Schema, children
from fairlead.schemas.structural import field as field_of

RULES = "x-kubernetes-validations"
URL_PARTS: Mapping[str, Callable[[SplitResult], str]] = {
    "getScheme": lambda url: url.scheme,
    "getHost": lambda url: url.netloc.rpartition("@")[2],
    "getHostname": lambda url: url.hostname or "",
    "getPort": lambda url: str(url.port or ""),
    "getEscapedPath": lambda url: url.path,
}
RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"),
        *("let", "loop", "package", "namespace", "return", "var", "void", "while"),
    )
)
"""Names that CEL keeps for itself; Kubernetes writes a field of such a name with underscores around it."""
SIGNS = (("__", "underscores"), (".", "dot"), ("-", "dash"), ("/", "slash"))
OTHER_TYPE = "No matching overload"


@dataclass(slots=True)
class Outcome:
    """The rules that are broken, how many were run, and how many could not be."""

    broken: list[tuple[Path, str]] = field(default_factory=list)
    run: int = 0
    left: int = 0


class Rules:
    """Compiles each text of a rule once."""

    def __init__(self) -> None:
        self._environment = cel.NewEnv(
            functions=_url_functions(),
            variables={"self": cel.Type.DYN},
            extensions=[ext_strings.ExtStrings(), ext_optional.ExtOptional(), ext_math.ExtMath()],
        )
        self._programs: dict[str, Any] = {}

    def outcome(self, schema: Schema, value: Any) -> Outcome:
        """Run every rule of a schema on an object that is right in all else, its defaults in it."""
        found = Outcome()
        self._walk(schema, value, (), found)
        return found

    def _walk(self, schema: Schema, value: Any, path: Path, found: Outcome) -> None:
        rules = [
            rule for rule in schema.get(RULES) or () if "oldSelf" not in rule["rule"] or rule.get("optionalOldSelf")
        ]
        given = _as_seen(schema, value) if rules else None
        for rule in rules:
            self._apply(rule, given, path, found)
        for child, item, step in children(schema, value):
            self._walk(child, item, (*path, step), found)

    def _apply(self, rule: Mapping[str, Any], value: Any, path: Path, found: Outcome) -> None:
        program = None if rule.get("optionalOldSelf") else self._program(rule["rule"])
        result = None if program is None else program.eval(data={"self": value})
        failed = result is not None and result.type() == cel.Type.ERROR
        if result is None or (failed and OTHER_TYPE in str(result.value())):
            found.left += 1
            return
        found.run += 1
        if failed:
            found.broken.append((path, f"the rule {_line(rule['rule'])} fails: {result.value()}"))
        elif result.value() is not True:
            where = tuple(str(rule.get("fieldPath", "")).removeprefix(".").split(".")) if rule.get("fieldPath") else ()
            found.broken.append(((*path, *where), rule.get("message") or f"breaks the rule {_line(rule['rule'])}"))

    def _program(self, text: str) -> Any:
        if text not in self._programs:
            self._programs[text] = self._compiled(text)
        return self._programs[text]

    def _compiled(self, text: str) -> Any:
        """None for a rule that needs what is not here."""
        try:
            return self._environment.compile(text)
        except RuntimeError:  # what cel-cpp raises for any text that it does not take
            return None


def _as_seen(schema: Schema, value: Any) -> Any:
    """A copy as a rule sees it: declared names made into CEL's, and a number a double however it was written."""
    if isinstance(value, dict):
        declared = schema.get("properties") or {}
        return {
            _escaped(name) if name in declared else name: _as_seen(field_of(schema, name) or {}, item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_as_seen(schema.get("items") or {}, item) for item in value]
    return float(value) if schema.get("type") == "number" and isinstance(value, int) else value


def _escaped(name: str) -> str:
    if name in RESERVED:
        return f"__{name}__"
    for sign, word in SIGNS:
        name = name.replace(sign, f"__{word}__")
    return name


def _url_functions() -> list[Any]:
    """url() and what it is asked for, on plain texts."""
    text, truth = cel.Type.STRING, cel.Type.BOOL
    made = [
        cel.FunctionDecl(
            name, [cel.Overload(f"{name}_text", text, [text], True, lambda url, get=get: get(urlsplit(url)))]
        )
        for name, get in URL_PARTS.items()
    ]
    url = cel.FunctionDecl("url", [cel.Overload("url_text", text, [text], False, _url)])
    return [url, cel.FunctionDecl("isURL", [cel.Overload("isURL_text", truth, [text], False, _is_url)]), *made]


def _url(text: str) -> str:
    if not _is_url(text):
        raise ValueError(f"{text!r} is no URL")
    return text


def _is_url(text: str) -> bool:
    """Absolute, or a path from the root, as Go's ParseRequestURI takes it."""
    parts = urlsplit(text)
    return bool(parts.scheme and (parts.netloc or parts.path.startswith("/"))) or text.startswith("/")


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:117]}..."
