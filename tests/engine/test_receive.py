"""The intake: verified over raw bytes, committed before 200, sorted per tenant, once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from landbridge.clock import FakeClock
from landbridge.engine import sort as sorting
from landbridge.engine.custom import Custom
from landbridge.engine.inbox import Unparked, replay_parked
from landbridge.engine.overlay import page_of
from landbridge.engine.receive import Intake, set_app_secrets, set_connection_secrets
from landbridge.engine.sort import Sorted
from landbridge.errors import InvalidInput
from landbridge.store import arrivals, connections, due, parked
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.parked import Webhooks
from landbridge.store.sql import Sql
from landbridge.vault import Vault
from landbridge.wire import Headers
from tests.engine.conftest import SHOP, Scene

SECRET = "whsec_of_the_shop"
ALL = "A test looks at everything."
ARRIVALS = Sql("tests.arrivals", "SELECT count(*) FROM lb.arrival", across=ALL)
JOBS = Sql("tests.jobs", "SELECT kind, key, args::text FROM lb.due ORDER BY id", across=ALL)


def signed(clock: FakeClock, body: bytes, secret: str = SECRET) -> Headers:
    at = int(clock.now().timestamp())
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return Headers({"Shop-Signature": f"t={at},v1={digest}"})


def event(number: int = 1, **more: object) -> bytes:
    shape = {
        "id": f"evt_{number}",
        "type": "customer.updated",
        "account": "acct_1",
        "created": 1_700_000_000,
        "data": {"id": f"cus_{number}"},
    }
    return json.dumps({**shape, **more}).encode()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def intake(
    db: Database, vault: Vault, clock: FakeClock, scene: Scene
) -> AsyncIterator[Intake]:
    await set_app_secrets(db, vault, scene.app, [SECRET])
    taking = Intake(db, vault, provider=lambda _slug: SHOP, clock=clock)
    yield taking
    await taking.settle()


async def sort_all(db: Database) -> Sorted:
    claims = await due.claim(
        db, owner="t", lanes=["receive"], limit=100, per_shard=100, lease=sorting.KEEP_KEYS
    )
    names = [name for claim in claims for name in claim.args["arrivals"]]

    async def hold(_tx: Tx) -> None: ...

    done = await sorting.sort(
        db, environment="test", arrivals_named=names, provider=lambda _slug: SHOP, hold=hold
    )
    await due.settle(db, "t", done=claims, again=[])
    return done


async def jobs(db: Database) -> list[tuple[str, str]]:
    return [(row["kind"], json.loads(row["args"])["key"]) for row in await db.fetch(JOBS)]


async def test_an_accepted_webhook_is_in_the_database_before_the_answer(
    db: Database, intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    answer = await intake.accept(scene.app.token, "", signed(clock, event()), event())
    assert answer.status == 200
    assert await db.value(ARRIVALS) == 1


async def test_a_forged_or_old_webhook_is_refused_counted_and_not_stored(
    db: Database, intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    forged = await intake.accept(scene.app.token, "", signed(clock, event(), "other"), event())
    old = signed(clock, event())
    clock.advance(sorting.KEEP_KEYS)
    late = await intake.accept(scene.app.token, "", old, event())
    changed = await intake.accept(scene.app.token, "", signed(clock, event()), event() + b" ")
    unsigned = await intake.accept(scene.app.token, "", Headers(), event())
    assert [answer.status for answer in (forged, late, changed, unsigned)] == [400] * 4
    assert SECRET not in forged.body + late.body + changed.body + unsigned.body
    await intake.settle()
    assert await db.value(ARRIVALS) == 0
    counts = {what: n for _, _, what, n in await arrivals.tallies(db, environment="test")}
    assert counts == {"forged": 3, "too old": 1}


async def test_an_unknown_address_is_404_and_a_large_body_413(
    intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    large = b"x" * 10_001
    assert (await intake.accept("nobody", "", Headers(), b"{}")).status == 404
    assert (await intake.accept(scene.app.token, "nobody", Headers(), b"{}")).status == 404
    answer = await intake.accept(scene.app.token, "", signed(clock, large), large)
    assert answer.status == 413


async def test_one_event_sent_five_times_at_once_is_filed_once(
    db: Database, intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    await scene.connect("acme", "acct_1")
    answers = await asyncio.gather(
        *[intake.accept(scene.app.token, "", signed(clock, event()), event()) for _ in range(5)]
    )
    assert {answer.status for answer in answers} == {200}
    assert await db.value(ARRIVALS) == 5
    assert await sort_all(db) == Sorted(filed=1, duplicates=4, parked=0)
    assert await jobs(db) == [("fetch", "cus_1")]
    (job,) = await db.fetch(JOBS)
    assert json.loads(job["args"])["told_at"] == "2023-11-14T22:13:20+00:00"


async def test_the_same_thin_body_again_is_filed_once_and_its_record_is_read_again(
    db: Database, intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    await scene.connect("acme", "acct_1")
    thin = json.dumps(
        {"type": "customer.updated", "account": "acct_1", "data": {"id": "cus_1"}}
    ).encode()
    for filed, duplicates in ((1, 0), (0, 1)):
        await intake.accept(scene.app.token, "", signed(clock, thin), thin)
        assert await sort_all(db) == Sorted(filed=filed, duplicates=duplicates, parked=0)
        assert await jobs(db) == [("fetch", "cus_1")]
        claims = await due.claim(
            db, owner="t", lanes=["pull"], limit=10, per_shard=10, lease=sorting.KEEP_KEYS
        )
        await due.settle(db, "t", done=claims, again=[])
    assert len(await arrivals.events(db, environment="test")) == 1


async def test_an_event_with_an_id_that_comes_again_asks_for_nothing(
    db: Database, intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    await scene.connect("acme", "acct_1")
    for wanted in ([("fetch", "cus_1")], []):
        await intake.accept(scene.app.token, "", signed(clock, event()), event())
        await sort_all(db)
        assert await jobs(db) == wanted
        claims = await due.claim(
            db, owner="t", lanes=["pull"], limit=10, per_shard=10, lease=sorting.KEEP_KEYS
        )
        await due.settle(db, "t", done=claims, again=[])


async def test_an_event_of_a_shared_account_goes_to_each_tenant(
    db: Database, intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    for tenant in ("acme", "bolt"):
        await scene.connect(tenant, "acct_1")
    await intake.accept(scene.app.token, "", signed(clock, event()), event())
    assert (await sort_all(db)).filed == 2
    filed = await arrivals.events(db, environment="test")
    assert sorted(one.tenant for one in filed) == ["acme", "bolt"]


async def test_an_event_of_nobody_is_parked_whole_with_its_reason(
    db: Database, intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    await intake.accept(scene.app.token, "", signed(clock, event()), event())
    assert (await sort_all(db)).parked == 1
    (held,) = await parked.every(db, environment="test")
    assert (held.what, held.raw) == ("arrival", event())
    assert "acct_1" in held.reason


async def test_parked_webhooks_are_each_sorted_again_and_what_is_lost_stays(
    db: Database, intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    for number in range(5):
        body = event(number)
        await intake.accept(scene.app.token, "", signed(clock, body), body)
    await sort_all(db)
    wanted = Webhooks(environment="test", app=scene.app.id)
    gone, *kept = [one.key for one in await parked.arrivals(db, wanted)]
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM landbridge.arrival WHERE id = $1", gone)
    pages: list[Unparked] = []
    assert await replay_parked(db, wanted, page=2, on_page=pages.append) == pages[-1]
    assert [(page.webhooks, page.lost) for page in pages] == [(1, 1), (3, 1), (4, 1)]
    assert [one.key for one in await parked.every(db, environment="test")] == [gone]
    assert (await sort_all(db)).parked == 4  # still nobody's
    await scene.connect("acme", "acct_1")
    waiting = await parked.arrivals(db, wanted)
    assert [one.key for one in waiting] == [gone, *kept]
    await replay_parked(db, wanted, page=2)
    assert (await sort_all(db)).filed == 4


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b"[1,", b"7", b'{"a": 1}', event(id="evt_\0"), event(type="a\0"), b"[" * 5000],
)
async def test_a_body_that_is_no_event_is_parked_and_the_rest_goes_on(
    db: Database, intake: Intake, clock: FakeClock, scene: Scene, body: bytes
) -> None:
    await scene.connect("acme", "acct_1")
    for each in (body, event()):
        assert (await intake.accept(scene.app.token, "", signed(clock, each), each)).status == 200
    done = await sort_all(db)
    assert (done.filed, done.parked) == (1, 1)


async def test_a_connection_with_an_address_of_its_own_takes_its_own_secret(
    db: Database, vault: Vault, intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    connection = await scene.connect("acme", "acct_9")
    await set_connection_secrets(db, vault, connection, ["own"])
    where = (scene.app.token, connection.token)
    assert (await intake.accept(*where, signed(clock, event(), "own"), event())).status == 200
    assert (await intake.accept(*where, signed(clock, event()), event())).status == 400
    assert (await sort_all(db)).filed == 1


async def test_either_secret_verifies_during_a_roll(
    db: Database, vault: Vault, clock: FakeClock, scene: Scene, intake: Intake
) -> None:
    await set_app_secrets(db, vault, scene.app, ["new", SECRET])
    fresh = Intake(db, vault, provider=lambda _slug: SHOP, clock=clock)
    for secret in ("new", SECRET):
        answer = await fresh.accept(scene.app.token, "", signed(clock, event(), secret), event())
        assert answer.status == 200


async def test_without_a_database_the_answer_is_503_and_to_come_again(
    db: Database, intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    await db.close()
    answer = await intake.accept(scene.app.token, "", signed(clock, event()), event())
    assert (answer.status, answer.retry_after) == (503, 5)


async def test_an_empty_secret_is_refused(db: Database, vault: Vault, scene: Scene) -> None:
    with pytest.raises(InvalidInput, match="webhook secret: empty"):
        await set_app_secrets(db, vault, scene.app, [" "])


async def test_a_topic_that_nothing_listens_to_is_filed_as_ignored(
    db: Database, intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    await scene.connect("acme", "acct_1")
    body = event(type="balance.available")
    await intake.accept(scene.app.token, "", signed(clock, body), body)
    await sort_all(db)
    (filed,) = await arrivals.events(db, environment="test")
    assert filed.outcome == "ignored"
    assert await jobs(db) == []


async def test_a_topic_of_a_custom_object_has_its_record_read(
    db: Database, intake: Intake, clock: FakeClock, scene: Scene
) -> None:
    ours, others = await scene.connect("acme", "acct_1"), await scene.connect("evil", "acct_2")
    custom = Custom(db, provider=lambda _slug: SHOP)
    told: dict[str, Any] = {"topics": ("car.*",), "deletes": ["car.scrapped"]}
    with pytest.raises(InvalidInput, match="is about the resource customer, by"):
        await custom.set_object(ours, "car", path="/cars", like="customer", topics=["customer.new"])
    await custom.set_object(ours, "car", path="/cars", like="customer", **told)
    assert page_of(lambda _slug: SHOP, await _present(db, ours)).resource("car").one == "/cars/{id}"
    for number, (topic, account) in enumerate(
        [
            ("car.sold", "acct_1"),
            ("car.scrapped", "acct_1"),
            ("boat.sold", "acct_1"),
            ("car.sold", others.account),
        ]
    ):
        body = event(number, type=topic, account=account)
        assert (await intake.accept(scene.app.token, "", signed(clock, body), body)).status == 200
    await intake.settle()
    assert (await sort_all(db)).filed == 4
    fetches = [key for kind, key in await jobs(db) if kind == "fetch"]
    assert sorted(fetches) == ["cus_0", "cus_1"]
    (job, *_) = [row for row in await db.fetch(JOBS) if row["kind"] == "fetch"]
    assert job["key"].startswith(f"{ours.id}/car/")


async def _present(db: Database, connection: Connection) -> Connection:
    found = await connections.one(
        db, environment=connection.environment, tenant=connection.tenant, id=connection.id
    )
    assert found is not None
    return found
