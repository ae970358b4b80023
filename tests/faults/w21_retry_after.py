"""W21: receivers say when to try again: soon, by a date, before now, in ten years."""

from __future__ import annotations

import secrets
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import product

from structlog.testing import capture_logs

from landbridge.engine.posting import LONGEST_RETRY_AFTER, SCHEDULE
from landbridge.store.database import Database
from landbridge.vault import LocalKey, Vault, new_key
from tests.client.servers import listening, says
from tests.engine.outbound import LOCAL, Office
from tests.faults.senders import SENDERS, posting
from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server

_STEP = SCHEDULE[0].total_seconds()
_MOST = LONGEST_RETRY_AFTER.total_seconds()
_SLACK = 2.0
"""Seconds: a date has no fractions, and the answer takes its time."""


def _asked(now: datetime) -> dict[str, tuple[str, float]]:
    """What a receiver says, and how many seconds it gets."""

    def date(after: float) -> str:
        return format_datetime(now + timedelta(seconds=after), usegmt=True)

    return {
        "nothing": ("", _STEP),
        "seconds": ("120", 120),
        "a date": (date(600), 600),
        "less than the schedule": ("1", _STEP),
        "zero": ("0", _STEP),
        "negative": ("-5", _STEP),
        "a date that has passed": (date(-3600), _STEP),
        "ten years": ("315360000", _MOST),
        "a date in ten years": (date(315_360_000), _MOST),
        "a number without end": ("9" * 400, _MOST),
        "a fraction": ("1.5", _STEP),
        "words": ("in a while", _STEP),
        "a year that no date has": ("Fri, 01 Jan 99999999999 00:00:00 GMT", _STEP),
        "a zone that no date has": ("Fri, 01 Jan 2027 00:00:00 +9999999999999", _STEP),
    }


@row(
    "W21",
    title="Retry-After: seconds, date, negative, ten years",
    goal="longer than the schedule: kept, up to 6 h; else the schedule; 410 disables",
)
async def retry_after(trial: Trial) -> RowResult:
    """Every way to say it, at each status that may carry it; then a 410. The control waits for as
    long as it is told."""
    statuses = (503, 429)[: trial.size.pick(small=1, medium=2)]
    wrong: dict[str, float] = {}
    tried: Counter[str] = Counter()
    control = 0
    async with AsyncExitStack() as stack:
        stack.enter_context(capture_logs())
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        db = await Database.open(url, budget=3)
        stack.push_async_callback(db.close)
        vault = Vault(db, LocalKey.from_text(new_key()))
        offices = {
            name: Office(
                db=db,
                vault=vault,
                sender=await stack.enter_async_context(posting(name, LOCAL)),
            )
            for name in SENDERS
        }
        cases = _asked(datetime.now(UTC))
        for place, (name, (value, expected)) in enumerate(cases.items()):
            for status, (sender, office) in product(statuses, offices.items()):
                what = f"{name} {status} {sender}"
                given = await _given(office, status, value, tenant=what)
                tried[sender] += 1
                if abs(given - expected) > _SLACK:
                    wrong[what] = given
            control += _told(value) != expected
            trial.step(place + 1, len(cases) + 1)
        gone = {name: await _gone(office, name) for name, office in offices.items()}
    return RowResult(
        value=", ".join(f"{number} answers to {name}" for name, number in tried.items())
        + f", {len(wrong)} waits wrong; 410: {' and '.join(gone.values())};"
        f" control: {control} of {len(cases)} wrong",
        holds=not wrong and {*gone.values()} == {"disabled"} and control > 0,
        detail={"tried": tried.total(), "wrong": wrong, "gone": gone, "control": control},
    )


async def _given(office: Office, status: int, value: str, *, tenant: str) -> float:
    """The seconds until the second try of a delivery that was answered so."""
    head = f"retry-after: {value}\r\n" if value else ""
    answer = f"HTTP/1.1 {status} X\r\n{head}content-length: 0\r\n\r\n".encode()
    async with listening(says(answer)) as listener:
        made = await office.endpoint(listener.url, tenant=tenant)
        await office.emit(tenant=tenant)
        assert await office.round() == 1
    (delivery,) = await office.listed(tenant=tenant)
    (attempt,) = await office.attempts(delivery.id, tenant=tenant)
    assert (delivery.endpoint, attempt.status) == (made.endpoint.id, status)
    assert delivery.next_at is not None
    return (delivery.next_at - attempt.at).total_seconds()


async def _gone(office: Office, name: str) -> str:
    async with listening(says(b"HTTP/1.1 410 X\r\ncontent-length: 0\r\n\r\n")) as listener:
        made = await office.endpoint(listener.url, tenant=f"gone {name}")
        await office.emit(tenant=f"gone {name}")
        await office.round()
    found = await office.endpoints.get(made.endpoint.id, environment="test", tenant=f"gone {name}")
    return found.state


def _told(value: str) -> float:
    """The control: the number that the receiver gives, or at once."""
    try:
        return float(value)
    except ValueError:
        return 0.0
