"""A real CalDAV server: Radicale, compared with its own files."""

from __future__ import annotations

import asyncio

import msgspec

from landbridge import Connection, Landbridge
from landbridge.testing import radicale
from landbridge.testing.radicale import Radicale
from tests.peers.stage import TENANT, bridge, mirror
from tests.rows import RowResult, Trial, row


@row(
    "P01",
    title="Radicale: everything, changes, and a sync token that really expired",
    goal="mirror = its files, three times",
)
async def radicale_pull(trial: Trial) -> RowResult:
    events = trial.size.pick(small=300, medium=2000)
    found: dict[str, int] = {}
    with radicale.running(events=events, seed=trial.seed, max_sync_token_age=2) as server:
        async with bridge() as opened:
            connection = await _connect(opened, server)
            for number, name in enumerate(("first", "changes", "expired")):
                if name == "changes":
                    _change(server, seed=trial.seed)
                if name == "expired":
                    _change(server, seed=trial.seed + 1)
                    await asyncio.sleep(3.5)  # Radicale drops the token by its own clock
                    _change(server, seed=trial.seed + 2)
                await opened.pull(connection)
                found[name] = await _differences(opened, connection, server)
                trial.step(number + 1, 3)
    return RowResult(
        value=f"{sum(found.values())} differences in {events} events",
        holds=not any(found.values()),
        detail={"events": events, "differences": found},
    )


async def _connect(opened: Landbridge, server: Radicale) -> Connection:
    connected = await opened.connect(
        "caldav",
        tenant=TENANT,
        credentials={"username": server.user, "password": server.password, "url": server.url},
        every=None,
    )
    return connected.connection


def _change(server: Radicale, *, seed: int) -> None:
    """Edits one event, deletes one, and adds one, by HTTP as another client would."""
    held = sorted(server.objects().items())
    href, text = held[seed % len(held)]
    server.put(_name(href), text.replace("SUMMARY:", f"SUMMARY:Edited {seed} "))
    server.delete(_name(held[(seed + 5) % len(held)][0]))
    uid = f"added-{seed}@example.com"
    server.put(
        f"added-{seed}.ics",
        "\r\n".join(
            [
                "BEGIN:VCALENDAR",
                "VERSION:2.0",
                "PRODID:-//Somebody else//EN",
                "BEGIN:VEVENT",
                f"UID:{uid}",
                "DTSTAMP:20260101T000000Z",
                "DTSTART;VALUE=DATE:20260301",
                "SUMMARY:Added",
                "END:VEVENT",
                "END:VCALENDAR",
                "",
            ]
        ),
    )


async def _differences(opened: Landbridge, connection: Connection, server: Radicale) -> int:
    """How many objects are here or there only, or differ in the text."""
    theirs = server.objects()
    ours = {
        key: str(msgspec.json.decode(raw)["data"])
        for key, raw in (await mirror(opened, connection, "VEVENT")).items()
    }
    either = theirs.keys() | ours.keys()
    return sum(_lines(theirs.get(key, "")) != _lines(ours.get(key, "")) for key in either)


def _lines(text: str) -> list[str]:
    """Unfolded and sorted: Radicale serves an object's lines in another order than it keeps."""
    return sorted(text.replace("\r\n", "\n").replace("\n ", "").strip().split("\n"))


def _name(href: str) -> str:
    return href.rsplit("/", 1)[-1]
