"""Write docs/reference/ from the code: spec fields, metrics, commands, errors, environment variables. `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from zoneinfo import ZoneInfo

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fairlead import signals
from fairlead.cli.lint_commands import page_lines
from fairlead.cli.main import app
from fairlead.gateway import allowance, answers
from fairlead.gateway.answers import Refusal
from fairlead.lint.rule import rules
from fairlead.plan.constants import shipped
from fairlead.plan.roofline import LOCAL
from fairlead.policy.budget import NANO, Account, Budget
from fairlead.policy.fair import Entry, Shed
from fairlead.policy.limits import Scope, Shortfall
from fairlead.signals.cluster import CLUSTER
from fairlead.signals.engine import VLLM
from fairlead.signals.gpu import GPU
from fairlead.signals.ray import RAY
from fairlead.spec import batches, consumption, deploy, engines, jobs, monitoring, planning, ray, store, types
from fairlead.spec.enforced import ENFORCED

READ = {
    "Read from engines": VLLM,
    "Read from Ray": RAY,
    "Read from GPUs": GPU,
    "Read from the cluster": CLUSTER,
}
"""What alert rules, dashboards and autoscalers read of others."""

NOBODY = Entry("", 0, 0, 0.0)
BUDGET = Account(Budget("NAME", Scope(), 5 * NANO, "day", ZoneInfo("UTC")), (), 0.0)
FOLDER = Path(__file__).parent.parent / "docs" / "reference"
PARTS: Mapping[str, type[BaseModel]] = {
    "the file": types.Spec,
    "models.NAME, engine: openvino": types.OpenVinoModel,
    "models.NAME, engine: vllm": types.VllmModel,
    "models.NAME, engine: ray": types.RayModel,
    "models.NAME.scaling": ray.RayScaling,
    "models.NAME, engine: remote": types.RemoteModel,
    "models.NAME.workload": planning.Workload,
    "models.NAME.slo": planning.Slo,
    "models.NAME.autoscaling": planning.Autoscaling,
    "hardware": planning.Hardware,
    "hardware.pools.NAME": planning.NodePool,
    "hardware.prices.INSTANCE": planning.HourPrices,
    "routes.NAME": types.Route,
    "access": types.Access,
    "access.keys": types.Keys,
    "access.jwt": types.Jwt,
    "access.roles.NAME": types.Role,
    "store": store.Store,
    "store.postgres": store.Postgres,
    "store.redis": store.Redis,
    "limits.NAME": consumption.RateLimit,
    "prices.MODEL": consumption.Price,
    "budgets.NAME": consumption.Budget,
    "fairness": consumption.Fairness,
    "batches": batches.Batches,
    "gateway": types.Gateway,
    "gateway.idempotency": consumption.Idempotency,
    "gateway.retry": types.Retry,
    "gateway.limits": types.Limits,
    "gateway.tls": types.Tls,
    "monitoring": monitoring.Monitoring,
    "monitoring.receivers": monitoring.Receivers,
    "monitoring.receivers.slack": monitoring.Slack,
    "monitoring.receivers.pagerduty": monitoring.PagerDuty,
    "monitoring.receivers.mail": monitoring.Mail,
    "ray": ray.Ray,
    "deploy": deploy.Deploy,
    "deploy.images": deploy.Images,
    "deploy.ingress": deploy.Ingress,
    "deploy.secrets": deploy.Secrets,
    "deploy.cache": deploy.Cache,
    "deploy.schedules.NAME": deploy.Schedule,
    "deploy.jobs.NAME": jobs.Job,
    "deploy.backup": deploy.Backup,
    "deploy.reach": deploy.Reach,
    "deploy.overrides": deploy.Override,
    "deploy.ray": engines.RayCluster,
    "deploy.kserve": engines.KServe,
    "deploy.llmd": engines.LlmD,
    "deploy.disaggregate.MODEL": engines.Disaggregation,
}
VARIABLES: Mapping[str, str] = {
    "FAIRLEAD_API_KEY": "The key that `fairlead chat` calls with. On a laptop `up` has made one.",
    "HF_TOKEN": "Access token for `hf://` sources.",
    "HF_ENDPOINT": "Another address of the model hub.",
    "AWS_*": "Credentials, region and endpoint for `s3://` sources, under the names that every AWS tool reads.",
    "GOOGLE_*": "Credentials for `gs://` sources.",
    "AZURE_*": "Credentials for `az://` sources.",
    "KUBECONFIG": "Which cluster `fairlead schemas pull --from-cluster` reads; ~/.kube/config without it.",
    "XDG_CACHE_HOME": "Where pulled schemas are kept, below `fairlead/schemas`; ~/.cache without it.",
    "(any name)": "What a remote model's `api_key_env` names: the key for that server. Read by the gateway at start.",
}


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote docs/reference/{name}\n")


def pages() -> dict[str, str]:
    """File name -> text."""
    return {
        "spec.md": page("The fields of fairlead.yaml", spec_lines()),
        "metrics.md": page("Metrics of the gateway", metric_lines()),
        "commands.md": page("Commands", command_lines()),
        "errors.md": page("Errors of the gateway", error_lines()),
        "rules.md": page("Rules of the linter", rule_lines()),
        "planner.md": page("How accurate the planner is", planner_lines()),
        "environment.md": page("Environment variables", (f"- `{name}`: {text}" for name, text in VARIABLES.items())),
    }


def page(title: str, lines: Iterator[str]) -> str:
    """A page that says where it comes from."""
    return "\n".join([f"# {title}", "", "Written by `make docs` from the code.", "", *lines, ""])


def spec_lines() -> Iterator[str]:
    """A table for each part of the file."""
    for title, part in PARTS.items():
        yield from (f"## {title}", "", "| field | default | what | enforced by |", "|---|---|---|---|")
        for name, field in part.model_fields.items():
            place = ENFORCED[f"{part.__name__}.{name}"]
            yield f"| `{name}` | {default(field)} | {cell(field.description or '')} | `{place}` |"
        yield ""


def default(field: FieldInfo) -> str:
    """The default as the file would say it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel) or value in (None, {}, ()):
        return ""
    return f"`{', '.join(value) if isinstance(value, tuple) else value}`"


def cell(text: str) -> str:
    """Text that fits into a table."""
    return text.replace("\n", " ").replace("|", "\\|")


def metric_lines() -> Iterator[str]:
    """One table for what the gateway emits and for each that others emit; one row a signal."""
    yield from ("| name | kind | labels | what |", "|---|---|---|---|")
    for signal in signals.GATEWAY:
        yield f"| `{signal.name}` | {signal.kind} | {', '.join(signal.labels)} | {cell(signal.help)} |"
    for title, read in READ.items():
        yield from ("", f"## {title}", "", "| name | kind | labels | what | read in |", "|---|---|---|---|---|")
        for signal in read:
            labels = ", ".join(signal.labels)
            yield f"| `{signal.name}` | {signal.kind} | {labels} | {cell(signal.help)} | {cell(signal.source)} |"


def command_lines() -> Iterator[str]:
    """Every command's help."""
    root = typer.main.get_command(app)
    commands = dict(getattr(root, "commands", {}))
    for name, command in sorted(commands.items()):
        inner = getattr(command, "commands", None)
        for full, leaf in (
            [(name, command)] if inner is None else [(f"{name} {k}", v) for k, v in sorted(inner.items())]
        ):
            context = leaf.make_context(full, [], resilient_parsing=True)
            yield from (f"## fairlead {full}", "", cell(leaf.help or "").strip(), "", "| option | what |", "|---|---|")
            for parameter in leaf.get_params(context):
                names = ", ".join([*parameter.opts, *parameter.secondary_opts])
                yield f"| `{names}` | {cell(getattr(parameter, 'help', '') or '')} |"
            yield ""


def planner_lines() -> Iterator[str]:
    """The fit's own account of itself."""
    fit = shipped()
    told = fit.accuracy
    yield "Each source was predicted with constants fitted on the others only (`make fit`). The error is that of the"
    yield "request throughput. Two publishers' measurements of the same thing differ by 8.9 % in the median. What the"
    yield "model consists of was chosen while looking at these tables; expect a little more on others."
    yield from ("", "| source | models | rows | median error | mean error | within 15 % |", "|---|---|---|---|---|---|")
    for row in told["by_source"]:
        figures = " | ".join(f"{row[name]:.1%}" for name in ("median", "mape", "within_15"))
        yield f"| {row['source']} | {row['kind']} | {row['rows']} | {figures} |"
    ranking = told["ranking"]
    yield from (
        "",
        f"- The 80 % interval of the other sources covers {told['coverage']:.1%} of a source's measurements.",
    )
    yield from ranking_lines(ranking)
    yield f"- Whether the mean TPOT keeps 20, 30 or 50 ms: right for {told['tpot_slo']:.1%}."
    yield f"- Measured: {', '.join(sorted(fit.measured))}. All others are called *extrapolated*, unless one of the same"
    yield "  generation with memory at most twice as fast or slow was measured (*generation-fit*), or you measured it"
    yield "  yourself (*calibrated*, by `fairlead plan calibrate`)."
    names = sorted(fit.constants.local)
    yield from ("", "| constant | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|")
    for name in LOCAL:
        yield f"| {name} | " + " | ".join(f"{fit.constants.local[each][name]:g}" for each in names) + " |"
    yield from ("", "| shared constant | value |", "|---|---|")
    yield from (f"| {name} | {value:g} |" for name, value in fit.constants.shared.items())


def ranking_lines(ranking: Mapping[str, float]) -> Iterator[str]:
    """What is told right of pairs, and why not more."""
    told = {name: f"{value:.1%}" for name, value in ranking.items()}
    yield f"- Which of two set-ups gives more throughput per GPU: right for {told['all']} of {ranking['pairs']} pairs,"
    yield f"  and for {told['clear']} of those that differ by 10 % or more. The aim of 95 % is reached, with"
    yield f"  {told['hardware']}, for pairs that differ in accelerator, parallelism or weights. The other"
    yield f"  {ranking['engine_pairs']} pairs differ in the engine or its version only; right are {told['engine']}:"
    yield "  in one and the same table TensorRT-LLM is 18 % faster than vLLM for Llama-3.1-70B, and 18 % slower for"
    yield "  gpt-oss-120b, which no constant of an engine can say. Judged on the rows that it was fitted on, the"
    yield f"  model tells {told['fitted']} of all pairs right; a perfect predictor would tell {told['possible']}, for"
    yield f"  the same question to the same engine, measured again, differs by {told['repeats']} (standard deviation)."


def rule_lines() -> Iterator[str]:
    """A table of all rules, and a page of each, family by family."""
    yield from ("| rule | severity | what |", "|---|---|---|")
    yield from (f"| {rule.id} | {rule.severity} | {cell(rule.title)} |" for rule in rules().values())
    for family in sorted({rule.family for rule in rules().values()}):
        yield from ("", f"## {family.replace('_', ' ')}", "")
        for rule in rules().values():
            if rule.family == family:
                yield from page_lines(rule)


def error_lines() -> Iterator[str]:
    """Every answer that says no."""
    yield from ("| status | code | message |", "|---|---|---|")
    made = [
        answers.wrong_method("POST"),
        answers.unknown_model("NAME"),
        answers.forbidden("ROLE", "OPERATION", "NAME"),
        answers.forbidden_operation("ROLE", "OPERATION"),
        answers.no_role(("ROLE",)),
        answers.wrong_token("REASON"),
        answers.bad_body("REASON"),
        allowance.limited(Shortfall("NAME", "requests", 1.0), b"").refusal,
        allowance.limited(Shortfall("NAME", "tokens", inf), b"").refusal,
        *(allowance.shed(Shed(NOBODY, reason, 1.0)).refusal for reason in ("queue_full", "expired")),
        *(allowance.overdrawn(BUDGET, wait_s, b"").refusal for wait_s in (60.0, inf)),
    ]
    constants = [value for value in vars(answers).values() if isinstance(value, Refusal)]
    for refusal in sorted([*constants, *made], key=lambda each: (each.status, each.code, each.message)):
        yield f"| {refusal.status} | `{refusal.code}` | {cell(refusal.message)} |"


if __name__ == "__main__":
    main()
