"""Counters that replicas share in Redis or Valkey: token buckets and claims on budgets, by one script.

The script is the twin of `policy.lease.SharedCounter` and `policy.shared_budget.SharedClaims`; a test holds them side
by side. All keys of a service share a hash tag, so that a cluster keeps them together. Nothing is asked twice: a
question whose answer is lost may have been booked, and only the replica knows what that means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from fairlead.errors import UserError

if TYPE_CHECKING:
    from redis.asyncio import Redis

TIMEOUT_S = 0.5  # for connecting and for an answer
GRACE_MS = 3000  # after a loss of memory: longer than any replica waits before it tries again, or asks of itself
MOST_QUESTIONS = 500  # in one script, so that nobody else waits long for Redis

SCRIPT = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local life, patience, takes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local function text(number) return string.format('%.17g', number) end

redis.call('ZADD', KEYS[1], text(now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now - 3 * life))
redis.call('PEXPIRE', KEYS[1], math.ceil(4000 * life))
redis.call('SET', KEYS[2], text(now), 'NX')
local memory, known_memory = redis.call('GET', KEYS[2]), ARGV[5]
if known_memory ~= '' and known_memory ~= memory then redis.call('SET', KEYS[3], '1', 'PX', ARGV[6]) end
local lost = redis.call('EXISTS', KEYS[3]) == 1  -- no money until every replica has told its claims again
local told = {memory, redis.call('ZCARD', KEYS[1])}

local a = 7
for k = 4, 3 + takes do
  local rate, burst, want, back = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  local owed, known, away = tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5]), tonumber(ARGV[a + 6])
  a = a + 7
  local seen = redis.call('HMGET', KEYS[k], 'level', 'at', 'over', 'over_until')
  local level, at = tonumber(seen[1]), tonumber(seen[2])
  local over, over_until = tonumber(seen[3]) or 0, tonumber(seen[4]) or 0
  if level == nil then
    level = known or burst
  else
    level = level + math.max(0, now - at) * rate
  end
  if now > over_until then over = 0 end
  if away > 0 and level > burst then
    over = over + math.min(level - burst, rate * away)
    over_until = now + patience * life
  end
  local paid = math.min(owed, over)
  level = math.min(burst, math.min(burst, level) + back - (owed - paid))
  local amount = math.max(0, math.min(want, level))
  level = level - amount
  redis.call('HSET', KEYS[k], 'level', text(level), 'at', text(now), 'over', text(over - paid), 'over_until',
             text(over_until))
  redis.call('PEXPIRE', KEYS[k], math.ceil(((burst - level) / rate + patience * life + 60) * 1000))
  told[#told + 1] = text(amount)
  told[#told + 1] = text(level)
end

for k = 4 + takes, #KEYS do
  local have, want, base = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local limit, expires = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  a = a + 5
  if redis.call('EXISTS', KEYS[k]) == 0 then redis.call('HSET', KEYS[k], 'ledger', string.format('%.0f', base)) end
  redis.call('HSET', KEYS[k], ARGV[1], string.format('%.0f', have))
  local total = 0
  for _, claim in ipairs(redis.call('HVALS', KEYS[k])) do total = total + tonumber(claim) end
  local amount = lost and 0 or math.max(0, math.min(want, limit - total))
  redis.call('HSET', KEYS[k], ARGV[1], string.format('%.0f', have + amount))
  redis.call('EXPIRE', KEYS[k], expires)
  told[#told + 1] = string.format('%.0f', amount)
  told[#told + 1] = string.format('%.0f', total + amount)
end
return told
"""


class CountersGone(Exception):
    """Redis did not answer in time, or broke off. What was asked may have been booked."""


class Take(NamedTuple):
    """A question to a bucket: see `policy.lease.Ask`. `known` "" is unknown."""

    key: str
    rate: float
    burst: float
    want: float
    back: float
    owed: float
    known: float | str
    away_s: float


class Claim(NamedTuple):
    """A claim on a budget: see `policy.shared_budget.Claim`."""

    key: str
    have: int
    want: int
    base: int
    amount: int
    expires_s: int


class Told(NamedTuple):
    """What Redis says: the sign of its memory, replicas seen of late, (amount, left) and (amount, total) in order."""

    memory: str
    replicas: int
    takes: list[tuple[float, float]]
    claims: list[tuple[int, int]]


class RedisCounters:
    """The counters of one service, seen from one replica. One question at a time."""

    def __init__(self, url: str, service: str, replica: str, *, life_s: float, patience_lives: float) -> None:
        self._url = url
        self._prefix = f"{{fairlead:{service}}}"
        self._fixed = (replica, life_s, patience_lives)
        self._client: Redis | None = None
        self._script: Any = None
        self._memory = ""
        check_url(url)

    async def ask(self, takes: Sequence[Take], claims: Sequence[Claim]) -> Told:
        """Ask everything at once; no question at all says that this replica lives. Raises CountersGone."""
        names = ["replicas", "memory", "lost", *(each.key for each in takes), *(each.key for each in claims)]
        keys = [f"{self._prefix}:{name}" for name in names]
        figures = [figure for each in [*map(tuple, takes), *map(tuple, claims)] for figure in each[1:]]
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._run(keys, [*self._fixed, len(takes), self._memory, GRACE_MS, *figures])
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            await self.close()
            raise CountersGone(type(error).__name__) from None
        self._memory = answer[0].decode()
        numbers = [text.decode() for text in answer[2:]]
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        return Told(
            self._memory,
            int(answer[1]),
            [(float(amount), float(left)) for amount, left in pairs[: len(takes)]],
            [(int(amount), int(total)) for amount, total in pairs[len(takes) :]],
        )

    async def close(self) -> None:
        """Close the connection; the next question opens another."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # what is broken already cannot be closed in order
                await client.aclose()

    async def _run(self, keys: list[str], arguments: list[Any]) -> Any:
        if self._client is None:
            self._client = connect(self._url)
            self._script = self._client.register_script(SCRIPT)
        return await self._script(keys=keys, args=arguments)


def connect(url: str) -> Redis:
    """A client that tries nothing again by itself."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        max_connections=1,
        client_name="fairlead",
    )


def check_url(url: str) -> None:
    """Raises UserError for a URL that names no Redis; it is never shown, since it may hold a password."""
    from redis.connection import parse_url

    try:
        parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:
        hint = "redis://host:6379/0, or rediss://user:password@host:6379/0 for TLS"
        raise UserError("the URL of Redis cannot be read", hint=hint) from None
