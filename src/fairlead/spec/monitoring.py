"""How the service is watched in a cluster, and who hears of trouble. Secrets are named, never written.

Each is enforced by the monitoring that is rendered (`fairlead.render.monitoring`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from fairlead.spec.fields import Closed, Label, Share, Text, Url
from fairlead.spec.problems import FieldError
from fairlead.units import Seconds


def _check_address(address: str) -> str:
    if not re.fullmatch(r"[^@\s,;<>]+@[A-Za-z0-9.-]+", address):
        raise FieldError(f"{address[:60]!r} is no mail address", "for example llm-oncall@example.com")
    return address


def _check_smarthost(host: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]+:\d{1,5}", host, re.ASCII):
        raise FieldError(f"{host[:60]!r} is no mail server", "host and port, for example smtp.example.com:587")
    return host


def _check_channel(channel: str) -> str:
    if not re.fullmatch(r"[#@][A-Za-z0-9._-]{1,80}", channel):
        raise FieldError(f"{channel[:60]!r} is no channel", "for example '#llm-alerts', in quotes")
    return channel


Address = Annotated[str, AfterValidator(_check_address)]


class Slack(Closed):
    """A Slack channel."""

    channel: Annotated[str, AfterValidator(_check_channel)]
    """The channel, for example '#llm-alerts'."""
    secret: Label
    """The Secret that holds the webhook's URL under `url`."""


class PagerDuty(Closed):
    """A PagerDuty service."""

    secret: Label
    """The Secret that holds the integration key under `routing_key`."""


class Mail(Closed):
    """Mail over an SMTP server with TLS."""

    to: Annotated[tuple[Address, ...], Field(min_length=1)]
    """Who gets it."""
    sender: Address
    """Whom it is from."""
    smarthost: Annotated[str, AfterValidator(_check_smarthost)]
    """The mail server, host and port."""
    username: Text
    """The name that the server knows."""
    secret: Label
    """The Secret that holds its password under `password`."""


class Receivers(Closed):
    """Where alerts go; what pages goes to PagerDuty where it is named, else to the others."""

    slack: Slack | None = None
    """A Slack channel, for tickets and pages."""
    pagerduty: PagerDuty | None = None
    """A PagerDuty service, for pages."""
    mail: Mail | None = None
    """Mail, for tickets and pages."""


class Monitoring(Closed):
    """Scraping, alerts and dashboards for the Prometheus operator and Grafana."""

    scrape_interval: Annotated[Seconds, Field(ge=1, le=60)] = 30.0
    """Time between two scrapes; alerts need two in five minutes."""
    labels: Mapping[Text, Text] = Field(default_factory=lambda: {"release": "kube-prometheus-stack"})
    """Labels by which your Prometheus finds monitors and rules. Default: those of kube-prometheus-stack."""
    receivers: Receivers = Receivers()
    """Where alerts go."""
    cost_increase: Annotated[Share, Field(gt=0)] = 0.2
    """A day that costs this much more than the one before is told of: 0.2 is a fifth."""
    runbooks: Url | None = None
    """Where docs/runbooks is published: alerts link to it."""
