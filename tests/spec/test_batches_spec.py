"""A Batch API that is declared holds: somebody may use it, it yields, and its files are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.errors import UserError
from fairlead.spec.explain import decide
from fairlead.spec.load import load

HEAD = "apiVersion: fairlead/v1\nname: batch\nmodels: {demo: {source: demo:v1}}\n"
USERS = "access: {roles: {user: {models: ['*']}, bulk: {models: ['*'], operations: [chat, batch]}}}\n"
DEPLOYED = "deploy: {images: {gateway: 'ghcr.io/example/gateway:1'}, secrets: {store: aws}}\n"
MISTAKES = {
    "a role for nothing": (USERS, "access.roles.bulk.operations[1]: there is no Batch API"),
    "an API for nobody": (
        "batches: {}\nfairness: {}\naccess: {roles: {user: {models: ['*']}}}\n",
        "no role may use it",
    ),
    "no yielding": ("batches: {}\n" + USERS, "batches would not yield"),
    "several gateways": ("batches: {}\nfairness: {}\ngateway: {replicas: 2}\n" + USERS, "kept on one gateway's disk"),
    "a cluster": ("batches: {}\nfairness: {}\ndeploy: {}\n" + USERS, "in a cluster that goes with its node"),
    "only Redis": (
        "batches: {}\nfairness: {}\ngateway: {replicas: 2}\nstore: {redis: {url_env: R}}\nlimits: {a: {per: tenant, "
        "requests: 9/s}}\n" + USERS,
        "add store.postgres",
    ),
    "too large for rows": (
        "batches: {max_file: 2Gi}\nfairness: {}\nstore: {postgres: {url_env: DATABASE_URL}}\n" + USERS,
        "batches.max_file: 2Gi is more than 1Gi",
    ),
    "too many for rows": (
        "batches: {max_rows: 2_000_000}\nfairness: {}\nstore: {postgres: {url_env: DATABASE_URL}}\n" + USERS,
        "batches.max_rows: 2000000 is more than 1000000",
    ),
    "no time": ("batches: {window: 0s}\nfairness: {}\n" + USERS, "batches.window"),
    "a quota of nothing": ("batches: {max_active: 0}\nfairness: {}\n" + USERS, "batches.max_active"),
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.values(), ids=MISTAKES)
def test_what_would_not_hold_is_refused(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(HEAD + text)
    with pytest.raises(UserError) as refused:
        load(file)
    assert told in str(refused.value)


@pytest.mark.parametrize("beside", ["gateway: {replicas: 3}", DEPLOYED, DEPLOYED + "gateway: {replicas: 2}"])
def test_what_all_gateways_share_is_taken(tmp_path: Path, beside: str) -> None:
    file = tmp_path / "fairlead.yaml"
    store = "store: {postgres: {url_env: DATABASE_URL}}\n"
    file.write_text(HEAD + "batches: {max_file: 1Gi}\nfairness: {}\n" + store + USERS + beside)
    assert load(file).batches is not None


def test_who_may_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "fairlead.yaml"
    file.write_text(HEAD + "batches: {}\nfairness: {}\n" + USERS)
    spec = load(file)
    assert decide(spec, "bulk", "batch", "").status == 200
    assert decide(spec, "user", "batch", "").status == 403
    assert decide(spec.model_copy(update={"batches": None}), "bulk", "batch", "").status == 404
