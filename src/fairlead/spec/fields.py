"""The kinds of values that a field of the spec may hold; each refuses in the user's words what it does not take."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.types import Strict

from fairlead.addresses import is_key_set_url
from fairlead.spec.problems import FieldError
from fairlead.spec.source import check_source
from fairlead.variables import has_variable


class Closed(BaseModel):
    """The base of every part: a value that does not change and takes no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _named(pattern: str, what: str, hint: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise FieldError(f"{text[:60]!r} is no {what}", hint)
        return text

    return AfterValidator(check)


def _check_host(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not re.fullmatch(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?", host, re.ASCII | re.IGNORECASE):
            message, hint = f"{host[:60]!r} is no host", "an address or a name, for example 127.0.0.1"
            raise FieldError(message, hint) from None
    return host


def _check_variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name, re.ASCII):
        # not shown: who mistakes this field writes the key itself into it
        message = "this is not the name of an environment variable"
        raise FieldError(message, "the variable that holds the key, never the key itself, for example FAR_API_KEY")
    return name


def _check_url(url: str) -> str:
    """The URL that /v1 is added to for each call; /v1 itself, which people copy along, is taken off."""
    if has_variable(url):
        return url
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), 0
    is_base = parts.scheme in ("http", "https") and parts.hostname and port != 0
    if not is_base or "@" in parts.netloc or not re.fullmatch(r"[^?#\s]+", url) or ".." in parts.path:
        hint = "scheme, host, port and perhaps a path, for example http://127.0.0.1:9000; no key, no query"
        may_hold_secret = "@" in url or "?" in url  # then it is not shown
        raise FieldError("this is no base URL of a server" if may_hold_secret else f"{url[:60]!r} is no base URL", hint)
    _check_host(parts.hostname or "")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def _check_key_set_url(url: str) -> str:
    """Keys that come over a wire that anybody can write to are no keys: https, or this host itself."""
    if has_variable(url):
        return url
    if not is_key_set_url(url):
        message = "a key set is fetched over https, or over http from this host's loopback address"
        raise FieldError(message, "for example https://issuer.example.com/.well-known/jwks.json")
    return url


def _check_webhook_url(url: str) -> str:
    """Not shown: whoever knows the URL of a chat's webhook may write there."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if not has_variable(url) and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise FieldError("this is no URL to post to", "for example https://hooks.example.com/budget, or ${BUDGET_HOOK}")
    return url


Count = Annotated[int, Strict()]
Share = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
Port = Annotated[int, Strict(), Field(ge=1, le=65_535)]
Host = Annotated[str, AfterValidator(_check_host)]
Url = Annotated[str, AfterValidator(_check_url)]
WebhookUrl = Annotated[str, AfterValidator(_check_webhook_url)]
KeySetUrl = Annotated[str, AfterValidator(_check_key_set_url)]
Source = Annotated[str, AfterValidator(lambda text: text if has_variable(text) else check_source(text))]
Label = Annotated[
    str,
    _named(
        r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
        "DNS label",
        "small letters, digits and dashes, at most 63, a letter or digit at both ends",
    ),
]
# A model's name also names its processes and log files, so it has no slash; a route's may (org/name).
ModelName = Annotated[
    str, _named(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "name for a model", "letters, digits, dots, dashes, at most 63")
]
PublicName = Annotated[
    str,
    _named(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", "public name", "letters, digits and . _ : / -, at most 128"),
]
EnvironmentVariable = Annotated[str, AfterValidator(_check_variable)]
HttpPath = Annotated[
    str, _named(r"/[A-Za-z0-9._~/-]{0,200}", "path", "starts with a slash and has no query, for example /health")
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
