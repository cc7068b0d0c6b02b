"""The JSON Schema says what the loader says, as far as a schema can; every field is described and enforced."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from fairlead.spec.enforced import ENFORCED
from fairlead.spec.schema import PARTS, json_schema

WHOLE = {"apiVersion": "fairlead/v1", "name": "demo", "models": {"demo": {"source": "demo:v1"}}}

VALID = {
    "the least": {},
    "quantities as text": {"gateway": {"timeout": "1h30m", "limits": {"max_body": "4Mi"}}},
    "a plain number of bytes": {"gateway": {"limits": {"max_body": 4096}}},
    "an overlay that deletes": {"environments": {"eu": {"models": {"demo": None}, "gateway": {"retry": None}}}},
    "an overlay of a part": {"environments": {"eu": {"models": {"demo": {"replicas": 3}}}}},
}
INVALID = {
    "an unknown key": {"gatway": {}},
    "an unknown key deep down": {"gateway": {"limits": {"max": 1}}},
    "a bare number of seconds": {"gateway": {"timeout": 60}},
    "a wrong size": {"gateway": {"limits": {"max_body": "4MB"}}},
    "an unknown engine": {"models": {"demo": {"engine": "vlm", "source": "demo:v1"}}},
    "no source": {"models": {"demo": {"replicas": 1}}},
    "an overlay with an unknown key": {"environments": {"eu": {"gateway": {"prot": 1}}}},
    "an overlay of the name": {"environments": {"eu": {"name": "other"}}},
}


FIELDS = [(part, name) for part in PARTS for name in part.model_fields]
IDS = [f"{part.__name__}.{name}" for part, name in FIELDS]


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("change", VALID.values(), ids=VALID)
def test_the_schema_accepts(change: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate({**WHOLE, **change})


@pytest.mark.parametrize("change", INVALID.values(), ids=INVALID)
def test_the_schema_refuses(change: dict[str, Any]) -> None:
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid({**WHOLE, **change})


def test_every_default_in_the_schema_satisfies_the_schema() -> None:
    schema = json_schema()
    defaults = [
        (name, field, shown)
        for name, part in schema["$defs"].items()
        for field, shown in part["properties"].items()
        if "default" in shown
    ]
    assert len(defaults) > 20
    for name, field, shown in defaults:
        judge = jsonschema.Draft202012Validator({**shown, "$defs": schema["$defs"]})
        assert judge.is_valid(shown["default"]), f"{name}.{field}: {shown['default']!r}"


@pytest.mark.parametrize(("part", "name"), FIELDS, ids=IDS)
def test_a_field_is_described(part: type[BaseModel], name: str) -> None:
    assert part.model_fields[name].description


@pytest.mark.parametrize(("part", "name"), FIELDS, ids=IDS)
def test_a_field_is_enforced_by_what_the_table_names(part: type[BaseModel], name: str) -> None:
    """The place exists, and its source reads the field: as an attribute, or by its name in a profile or a table."""
    module, _, place = ENFORCED[f"{part.__name__}.{name}"].partition(":")
    source = inspect.getsource(getattr(importlib.import_module(module), place))
    assert re.search(rf"\.{name}\b|\"{name}\"|\b{name}: Literal", source)


def test_the_table_names_no_field_that_is_gone() -> None:
    assert set(ENFORCED) <= set(IDS)
