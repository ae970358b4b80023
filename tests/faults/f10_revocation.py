"""F10's revocation of all grants, while the provider fails part of the time and we are killed."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import msgspec

from landbridge import ids
from landbridge.engine.app_client import set_client
from landbridge.engine.token_seals import open_credential
from landbridge.errors import LandbridgeError
from landbridge.store import apps, connections, grants
from landbridge.store.database import Database
from landbridge.store.grants import secret_place
from landbridge.vault import Kind, LocalKey, Vault, new_key
from tests.faults.nursery import Nursery
from tests.faults.revoking import BREACHED, POINTS
from tests.rows import Trial
from tests.store.databases import fresh_database, migrated_template, shared_server

_FAILS = 0.2
_WAIT = 1800.0


class Breached:
    """A provider that takes tokens back, fails at times, and has no way to do it for some."""

    def __init__(self, seed: int):
        self.chance = random.Random(seed)
        self.fails = _FAILS
        self.taken_back: set[str] = set()
        self.asked: Counter[str] = Counter()

    @staticmethod
    def has_no_way(token: str) -> bool:
        """Whether it does not revoke this one, ever."""
        return token.startswith("kept-")

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection's requests."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                form = parse_qs((await reader.readexactly(length)).decode())
                status, body = self._answer(form["token"][0])
                if not status:
                    return
                writer.write(
                    f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
                    f"content-length: {len(body)}\r\n\r\n{body}".encode()
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, token: str) -> tuple[int, str]:
        """Status and body; status 0: the connection breaks."""
        self.asked[token] += 1
        fate = self.chance.random()
        if fate < self.fails / 3:
            return 503, "{}"
        if fate < self.fails * 2 / 3:
            return 0, ""
        if self.has_no_way(token):
            return 400, '{"error": "unsupported_token_type"}'
        self.taken_back.add(token)
        return (0, "") if fate < self.fails else (200, "{}")


@dataclass(kw_only=True)
class Scene:
    """Connections with a grant each, and the provider that gave them."""

    url: str
    db: Database
    vault: Vault
    key: str
    provider: Breached
    nursery: Nursery
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Tenant and refresh token by grant."""

    async def live(self, role: str, **trap: Any) -> int | None:
        """Lets a process do its work, and says how it ended."""
        pid = await self.nursery.start(role, url=self.url, key=self.key, **trap)
        return await self.nursery.ended(pid, within=_WAIT)

    async def left(self) -> set[str]:
        """Grants that are stored with the token that was given, which still opens."""
        found = set()
        for name, (tenant, token) in self.tokens.items():
            grant = await grants.one(self.db, environment="test", tenant=tenant, id=name)
            try:
                if grant and (await open_credential(self.vault, grant))["refresh_token"] == token:
                    found.add(name)
            except LandbridgeError:
                continue
        return found

    async def reports(self) -> list[dict[str, str]]:
        """What each drill says of each grant, the first drill first."""
        async with self.db.transaction() as tx:
            drills = await tx.execute("SELECT id FROM landbridge.drill ORDER BY id")
            rows = await tx.execute(
                "SELECT drill, access_grant, outcome FROM landbridge.drill_grant"
            )
        return [
            {row["access_grant"]: row["outcome"] for row in rows if row["drill"] == each["id"]}
            for each in drills
        ]

    def taken_back(self, grant: str) -> bool:
        """Whether the provider did it."""
        return self.tokens[grant][1] in self.provider.taken_back

    def no_way(self, grant: str) -> bool:
        """Whether the provider cannot do it."""
        return self.provider.has_no_way(self.tokens[grant][1])


@dataclass(frozen=True, kw_only=True)
class Revocations:
    """What came of it: grants by outcome, kills, and what is wrong (nothing should be)."""

    grants: int
    kills: int
    outcomes: Mapping[str, int]
    wrong: Mapping[str, int]
    control: Mapping[str, int]
    calm: Mapping[str, int]

    @property
    def holds(self) -> bool:
        """Whether all are accounted for, and the weaker pattern loses some."""
        return not self.wrong and not self.calm and self.control["forgotten unconfirmed"] > 0

    def __str__(self) -> str:
        told = ", ".join(f"{number} {word}" for word, number in sorted(self.outcomes.items()))
        return (
            f"{self.grants} grants revoked over {self.kills} kills: {told},"
            f" {sum(self.wrong.values())} unaccounted for (control:"
            f" {self.control['forgotten unconfirmed']} forgotten unconfirmed)"
        )


async def revoke_many(trial: Trial) -> Revocations:
    """All grants of a provider are revoked by a process that is killed at every point and goes on
    where it was; then once more, while the provider is well again."""
    size = trial.size.pick(small=150, medium=10_000)
    deaths = POINTS * (1 if trial.size.name in ("ci", "smoke") else 10)
    chance = trial.random
    with shared_server(secrets.token_hex(4)) as server:
        template = migrated_template(server.dsn)
        async with Nursery() as nursery:
            with fresh_database(server.dsn, template) as url:
                async with _scene(url, nursery, trial.seed, size) as on:
                    kills, wrong = 0, Counter[str]()
                    for point in deaths:
                        after = chance.randint(1, max(2, size // len(deaths))) | 1
                        kills += await on.live("drill", point=point, after=after) == -9
                    wrong["ended badly"] += await on.live("drill") != 0
                    outcomes = Counter((await _judged(on, wrong)).values())
                    on.provider.fails = 0.0
                    wrong["ended badly"] += await on.live("drill") != 0
                    await _finished(on, wrong)
            with fresh_database(server.dsn, template) as url:
                async with _scene(url, nursery, trial.seed, 40) as on:
                    for after in (8, 10, 100):
                        await on.live("forgetting", point="before", after=after)
                    control = await _forgotten(on)
            with fresh_database(server.dsn, template) as url:
                async with _scene(url, nursery, trial.seed, 10) as on:
                    on.provider.fails = 0.0
                    await on.live("forgetting")
                    calm = await _forgotten(on)
    return Revocations(
        grants=size, kills=kills, outcomes=outcomes, wrong=+wrong, control=control, calm=+calm
    )


async def _judged(on: Scene, wrong: Counter[str]) -> dict[str, str]:
    """The report of the drill that was killed, held against the provider and our tables."""
    report, *more = await on.reports()
    left = await on.left()
    wrong["drills begun anew"] += len(more)
    wrong["unreported"] += len(on.tokens) - len(report)
    for grant, outcome in report.items():
        match outcome:
            case "revoked":
                wrong["revoked, but not there"] += not on.taken_back(grant)
                wrong["revoked, but kept here"] += grant in left
            case "unsupported":
                wrong["unsupported, but it has a way"] += not on.no_way(grant)
                wrong["unsupported, but kept here"] += grant in left
            case _:
                wrong["failed, and forgotten"] += grant not in left
    wrong.update(await _forgotten(on))
    async with on.db.transaction() as tx:
        rows = await tx.execute("SELECT access_grant, state FROM landbridge.connection")
    for row in rows:
        right = "paused" if report.get(row["access_grant"]) == "failed" else "revoked"
        wrong["in a wrong state"] += row["state"] != right
    return report


async def _finished(on: Scene, wrong: Counter[str]) -> None:
    """Whether another drill did what the first one could not, and nothing else."""
    first, second = await on.reports()
    failed = {grant for grant, outcome in first.items() if outcome == "failed"}
    wrong["not tried again"] += len(failed ^ second.keys())
    wrong["failed again"] += sum(outcome == "failed" for outcome in second.values())
    wrong["kept to the end"] += len(await on.left())
    wrong.update(await _forgotten(on))


async def _forgotten(on: Scene) -> Counter[str]:
    """Grants that are not here any more although the provider could take them back and did not."""
    left = await on.left()
    return Counter(
        {
            "forgotten unconfirmed": sum(
                grant not in left and not on.taken_back(grant) and not on.no_way(grant)
                for grant in on.tokens
            )
        }
    )


@asynccontextmanager
async def _scene(url: str, nursery: Nursery, seed: int, size: int) -> AsyncIterator[Scene]:
    provider, key = Breached(seed), new_key()
    listening = await asyncio.start_server(provider, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    db = await Database.open(url, budget=3)
    async with listening:
        try:
            made = Scene(
                url=url,
                db=db,
                vault=Vault(db, LocalKey.from_text(key)),
                key=key,
                provider=provider,
                nursery=nursery,
            )
            await _fill(made, address, size)
            yield made
        finally:
            await db.close()


async def _fill(on: Scene, address: str, size: int) -> None:
    app = await set_client(
        on.db,
        on.vault,
        BREACHED,
        environment="test",
        tenant=None,
        client_id="our-app",
        client_secret="our-app-secret",
    )
    for number in range(size):
        whose: dict[str, Any] = {"environment": "test", "tenant": f"tenant_{number % 50}"}
        grant = ids.new("grt")
        token = f"{'kept' if number % 10 == 9 else 'good'}-{number}"
        secret = await on.vault.seal(
            Kind.CREDENTIAL,
            **whose,
            place=secret_place(grant, 1),
            secret=msgspec.json.encode({"refresh_token": token}),
        )
        async with on.db.transaction() as tx:
            await grants.save_tokens(
                tx, **whose, id=grant, app=app.id, secret=secret, access=None, expires_at=None
            )
            await connections.save(
                tx,
                **whose,
                id=ids.new("con"),
                app=app.id,
                access_grant=grant,
                provider=BREACHED.slug,
                account=grant,
                account_name="",
                token=apps.new_token(),
                owner="",
                label="",
                settings={"url": address},
            )
        on.tokens[grant] = whose["tenant"], token
