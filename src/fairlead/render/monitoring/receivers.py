"""Who hears of an alert: Alertmanager's configuration, whose secrets are files that Kubernetes mounts."""

from __future__ import annotations

from fairlead.render.build import Object
from fairlead.render.kube import some
from fairlead.spec.monitoring import Mail, PagerDuty, Receivers, Slack

MOUNT = "/etc/alertmanager/secrets"
PAGES, TICKETS, NOBODY = "pages", "tickets", "nobody"
TITLE = "{{ .CommonLabels.alertname }} {{ .CommonLabels.model }}"
TEXT = "{{ range .Alerts }}{{ .Annotations.summary }} Runbook: {{ .Annotations.runbook }}\n{{ end }}"


def alertmanager(told: Receivers) -> Object:
    """`alertmanager.yaml`: pages and tickets apart, one message for all alerts of a kind and model."""
    tickets, pages = receivers(told)
    return {
        "route": {
            "receiver": TICKETS if tickets else NOBODY,
            "group_by": ["alertname", "model"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                {"receiver": PAGES if pages else NOBODY, "matchers": ['severity="page"'], "repeat_interval": "1h"}
            ],
        },
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="ModelDown"'],
                "target_matchers": ['alertname="ReplicaDown"'],
                "equal": ["model"],
            }
        ],
        "receivers": [
            {"name": NOBODY},
            *([{"name": TICKETS, **tickets}] if tickets else []),
            *([{"name": PAGES, **pages}] if pages else []),
        ],
    }


def receivers(told: Receivers) -> tuple[Object, Object]:
    """Where tickets go, and where pages go: to PagerDuty too where it is named."""
    tickets = some(
        slack_configs=[slack(told.slack)] if told.slack else None,
        email_configs=[mail(told.mail)] if told.mail else None,
    )
    pages = tickets | some(pagerduty_configs=[pagerduty(told.pagerduty)] if told.pagerduty else None)
    return tickets, pages


def slack(told: Slack) -> Object:
    """A message, and another when it is over."""
    return {
        "api_url_file": f"{MOUNT}/{told.secret}/url",
        "channel": told.channel,
        "send_resolved": True,
        "title": TITLE,
        "text": TEXT,
    }


def pagerduty(told: PagerDuty) -> Object:
    """An incident."""
    return {"routing_key_file": f"{MOUNT}/{told.secret}/routing_key", "send_resolved": True, "description": TITLE}


def mail(told: Mail) -> Object:
    """A mail to everybody named."""
    return {
        "to": ", ".join(told.to),
        "from": told.sender,
        "smarthost": told.smarthost,
        "auth_username": told.username,
        "auth_password_file": f"{MOUNT}/{told.secret}/password",
        "require_tls": True,
        "send_resolved": True,
    }


def secrets(told: Receivers) -> list[str]:
    """The Secrets that Alertmanager has to be given."""
    return sorted({part.secret for part in (told.slack, told.pagerduty, told.mail) if part is not None})
