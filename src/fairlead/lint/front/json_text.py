"""JSON to trees with positions: JSON is YAML but for tabs and for pairs of surrogates, which are put aside first."""

from __future__ import annotations

import re
from typing import Any

from fairlead.lint.front.yaml_text import Broken, parse_yaml
from fairlead.lint.tree import Place

SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def parse_json(text: str, first_line: int = 1, indent: int = 0) -> Any:
    """The tree of a JSON text. Raises Broken."""
    plain = SURROGATE.sub(r"\\u003f", text.replace("\t", " "))
    found = list(parse_yaml(plain, first_line, indent))
    if len(found) > 1:
        raise Broken("more than one JSON text", Place(first_line, 1))
    return found[0] if found else None
