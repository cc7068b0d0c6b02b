"""What the previous version of the code says to the database, word for word: it must work on today's tables.

When a migration is added, these become the statements of the version before it.
"""

from __future__ import annotations

from typing import Any

import psycopg

KEY = "id, hash, tenant, role, note, created_at, expires_at, revoked_at, replaces"
USAGE = (
    "at, request_id, tenant, key_id, route, model, operation, status, prompt_tokens, cached_tokens, "
    "completion_tokens, ttft_ms, duration_ms, estimated, cost_nano"
)
PLACE = ("replica-before", "01700000000000000000.jsonl")


def make_key(connection: psycopg.Connection[Any], key_id: str) -> None:
    connection.execute(
        f"INSERT INTO fairlead.keys ({KEY}) VALUES (%s, '\\x00', 't', 'r', '', 1, NULL, NULL, NULL)".encode(), (key_id,)
    )


def read_keys(connection: psycopg.Connection[Any]) -> list[Any]:
    return connection.execute(f"SELECT {KEY} FROM fairlead.keys ORDER BY created_at, id".encode()).fetchall()


def revoke(connection: psycopg.Connection[Any], key_id: str) -> None:
    connection.execute(f"SELECT {KEY} FROM fairlead.keys WHERE id = %s FOR UPDATE".encode(), (key_id,))
    connection.execute("UPDATE fairlead.keys SET revoked_at = 5 WHERE id = %s", (key_id,))


def key_changes(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT number FROM fairlead.key_changes").fetchone()
    assert row
    return int(row[0])


def ship(connection: psycopg.Connection[Any], request_id: str) -> None:
    connection.execute("INSERT INTO fairlead.shipped VALUES (%s, %s, 0) ON CONFLICT DO NOTHING", PLACE)
    connection.execute(
        "SELECT position FROM fairlead.shipped WHERE replica = %s AND segment = %s FOR UPDATE", PLACE
    ).fetchone()
    connection.execute("INSERT INTO fairlead.damaged VALUES (%s, %s, %s)", (*PLACE, "no record"))
    with connection.cursor().copy(f"COPY fairlead.usage ({USAGE}) FROM STDIN".encode()) as copy:
        copy.write_row((1.0, request_id, "t", "k", "m", "m", "chat", 200, 5, 1, 7, 1.5, 20.0, False, 3))
    connection.execute("UPDATE fairlead.shipped SET position = %s WHERE replica = %s AND segment = %s", (100, *PLACE))


def totals(connection: psycopg.Connection[Any]) -> list[Any]:
    return connection.execute("""
        SELECT tenant COLLATE "C" AS grp, count(*), count(*) FILTER (WHERE status >= 400),
               sum(prompt_tokens)::bigint, sum(cached_tokens)::bigint, sum(completion_tokens)::bigint,
               avg(ttft_ms), avg(duration_ms), sum(cost_nano)::bigint
        FROM fairlead.usage WHERE at >= 0 GROUP BY grp ORDER BY grp""").fetchall()
