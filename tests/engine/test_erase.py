"""Erasure: everything of a tenant or a person, nothing of others, and a report that is true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from landbridge import ids
from landbridge.engine.erase import Erasing, Erasures
from landbridge.engine.replay import sort_again
from landbridge.errors import InvalidInput, NotFound
from landbridge.jobs import Cancel, Done, Lease
from landbridge.store import due, erasing, erasures
from landbridge.store.database import Database, Tx
from landbridge.store.due import LeaseLost
from landbridge.store.erasing_subjects import NOBODY, OF_SUBJECT, WITHOUT
from tests.engine.past import Past
from tests.store.two_tenants import columns, fill, mark

ANN = "ann@example.com"


@pytest.fixture
def past(db: Database) -> Past:
    return Past(db=db)


@pytest.fixture
def orders(db: Database) -> Erasures:
    return Erasures(db, environment="test")


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def erase(past: Past, id: str, *, batch: int = 1000) -> Any:
    """Does it as a worker does; its report."""
    claim, lease = await past.take("erase", id)
    assert isinstance(await Erasing(past.db, batch=batch).run(claim, lease), Done)
    assert await due.settle(past.db, past.owner, [claim]) == {claim.id}
    return (await Erasures(past.db, environment="test").get(id)).report


async def digests(connection: asyncpg.Connection, whose: str) -> dict[str, Any]:
    """A digest of the rows of each table for which this holds, by table."""
    return {
        table: await connection.fetchval(
            f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM landbridge.{table} AS t"
            f" WHERE {whose}"
        )
        for table, its in (await columns(connection)).items()
        if any(each.name == "tenant" for each in its)
    }


async def rows(connection: asyncpg.Connection, table: str, whose: str) -> int:
    """How many rows of a table there are for which this holds."""
    found: int = await connection.fetchval(
        f"SELECT count(*) FROM landbridge.{table} AS t WHERE {whose}"
    )
    return found


# Every table


async def taken_from(past: Past, statements: Any) -> set[str]:
    """The tables that these statements say they take from."""
    tables: set[str] = {"arrival"}
    for statement in statements:
        order = erasures.Erasure(
            environment="test",
            tenant="nobody",
            id="era_1",
            subject="nobody",
            state="running",
            report={},
            created_at=None,  # type: ignore[arg-type]  # it is not read
            ended_at=None,
        )
        async with past.db.transaction() as tx:
            row = await tx.row(statement, **erasures._binds(order, statement, 10))
        assert row is not None
        tables |= set(row.keys())
    return tables


async def test_every_table_with_a_tenant_has_its_rule(
    past: Past, connection: asyncpg.Connection
) -> None:
    """A table that is added later has to be erased as well, or to be kept for a reason."""
    there = {
        table
        for table, its in (await columns(connection)).items()
        if any(each.name == "tenant" for each in its)
    }
    of_tenant = await taken_from(past, erasing.OF_TENANT.values())
    assert there == (of_tenant - {"arrival"}) | erasing.KEPT.keys()
    assert not of_tenant & erasing.KEPT.keys()
    of_subject = await taken_from(past, OF_SUBJECT.values())
    assert there == (of_subject - {"arrival"}) | WITHOUT.keys() | erasing.KEPT.keys()
    assert not of_subject & WITHOUT.keys()


async def test_every_table_with_a_subject_is_looked_into(connection: asyncpg.Connection) -> None:
    there = {
        table
        for table, its in (await columns(connection)).items()
        if any(each.name == "subject" for each in its)
    }
    read = {
        table
        for table, statement in OF_SUBJECT.items()
        if f"lb.{table} AS" in statement.text and ".subject = $" in statement.text
    }
    assert there - {"erasure"} == read


# A tenant


async def test_a_tenant_goes_whole_and_no_other_is_touched(
    past: Past, orders: Erasures, connection: asyncpg.Connection
) -> None:
    await fill(connection, everyone=True)
    own, others = "environment = 'test' AND tenant = 'acme'", "environment || tenant <> 'testacme'"
    await connection.execute("UPDATE landbridge.due SET lane = 'pull', shard = landbridge.shard"
                             "(environment, tenant)")  # fmt: skip
    before = await digests(connection, others)
    expected = {table: await rows(connection, table, own) for table in before}
    order = await orders.order(tenant="acme")
    report = await erase(past, order, batch=2)
    assert await digests(connection, others) == before
    left = {table for table, digest in (await digests(connection, own)).items() if digest}
    assert left == {"erasure"}
    assert expected.pop("erasure") == 1
    assert {table: report.get(table, 0) for table in expected} == expected
    own_mark = f"t::text LIKE '%{mark(('test', 'acme'))}%'"
    for table in before.keys() - {"erasure"}:
        assert await rows(connection, table, own_mark) == 0, table


async def test_a_dry_run_counts_and_changes_nothing(
    orders: Erasures, connection: asyncpg.Connection
) -> None:
    await fill(connection, everyone=True)
    before = await digests(connection, "true")
    counted = await orders.preview(tenant="acme")
    assert counted["record"] == 3
    assert counted.keys() <= erasing.OF_TENANT.keys()
    assert (await orders.preview(tenant="acme", subject="subject"))["record"] == 3
    assert await orders.preview(tenant="nobody") == {}
    assert await digests(connection, "true") == before


class _Killed(Exception):
    pass


class _Dying(Lease):
    """A lease whose worker dies as it begins its `left`-th transaction."""

    left = 0

    async def hold(self, tx: Tx) -> None:
        await super().hold(tx)
        self.left -= 1
        if self.left < 0:
            raise _Killed


async def test_a_killed_one_goes_on_and_its_report_adds_up(past: Past, orders: Erasures) -> None:
    await past.endpoint()
    await past.emit(20)
    await past.ended("delivered", of=await past.emit(20))
    order = await orders.order(tenant="acme")
    claim, _ = await past.take("erase", order)
    outcome, deaths = None, 0
    while outcome is None:
        lease = _Dying(past.owner, claim)
        lease.left = 40 + deaths
        try:
            outcome = await Erasing(past.db, batch=2).run(claim, lease)
        except _Killed:
            deaths += 1
    assert deaths > 1
    found = await orders.get(order)
    assert found.state == "done"
    assert found.report == {"endpoint": 1, "due": 20, "event": 40, "attempt": 20}


async def test_who_holds_a_lease_settles_nothing(past: Past, orders: Erasures) -> None:
    await past.endpoint()
    await past.emit(1)
    (claim,) = await due.claim(
        past.db, owner="other", lanes=["deliver"], limit=1, per_shard=1, lease=timedelta(minutes=1)
    )
    await erase(past, await orders.order(tenant="acme"))
    assert await due.settle(past.db, "other", [claim]) == set()
    with pytest.raises(LeaseLost):
        async with past.db.transaction() as tx:
            await due.hold(tx, "other", claim)


async def test_one_that_lost_its_lease_erases_nothing(past: Past, orders: Erasures) -> None:
    await past.emit(1)
    order = await orders.order(tenant="acme")
    claim, lease = await past.take("erase", order)
    await past.sql("UPDATE landbridge.due SET due_at = now() - interval '1 s' WHERE kind = 'erase'")
    await past.take("erase", order, owner="second")
    with pytest.raises(LeaseLost):
        await Erasing(past.db).run(claim, lease)
    assert await past.count("event") == 1


# A subject


async def test_a_subject_goes_with_all_that_hangs_on_its_events(
    past: Past, orders: Erasures
) -> None:
    await past.endpoint()
    hers = await past.emit(2, subject=ANN, attachment=b"large", idempotency_key=None)
    await past.ended("delivered", of=hers[:1])
    keyed = await past.emit(1, subject=ANN, idempotency_key="ann-1")
    others = await past.emit(2, subject="bob@example.com", idempotency_key=None)
    await past.ended("delivered", of=others[:1])
    foreign = await past.emit(1, subject=ANN, tenant="globex")
    deleted_endpoint = ids.new("end")
    await past.sql("UPDATE landbridge.attempt SET endpoint = $1", deleted_endpoint)
    await past.sql(
        """INSERT INTO landbridge.line (environment, tenant, endpoint, ordering_key, number, event,
               delivery)
           SELECT 'test', 'acme', 'end_1', e.id, e.number, e.id, 'dlv'
           FROM landbridge.event AS e""",
    )
    await past.sql("UPDATE landbridge.line SET tenant = 'globex' WHERE event = $1", foreign[0])
    report = await erase(past, await orders.order(tenant="acme", subject=ANN))
    assert report == {
        "event": 3, "attachment": 2, "attempt": 1, "due": 2, "line": 3, "emit_key": 1,
    }  # fmt: skip
    rows = await past.sql("SELECT id FROM landbridge.event")
    assert {row["id"] for row in rows} == {*others, *foreign}
    assert {row["event"] for row in await past.sql("SELECT event FROM landbridge.attempt")} == {
        others[0]
    }
    assert {row["ref"] for row in await past.due()} == {others[1]}
    assert not {*hers, *keyed} & {row["id"] for row in rows}


async def test_a_subjects_records_go_with_their_past(past: Past, orders: Erasures) -> None:
    for key, subject in (("cus_1", ANN), ("cus_2", "bob@example.com")):
        await past.sql(
            """WITH r AS (INSERT INTO landbridge.record (environment, tenant, connection, resource,
                   key, raw, digest, subject) VALUES ('test', 'acme', 'con_1', 'customer', $1, '',
                   '', $2)),
               p AS (INSERT INTO landbridge.parked (environment, tenant, id, what, place, resource,
                   key, reason) VALUES
                   ('test', 'acme', 'prk_1' || $1, 'record', 'con_1', 'customer', $1, 'unreadable'),
                   ('test', 'acme', 'prk_2' || $1, 'change', 'shop.on_customer', 'con_1/customer',
                    $1, 'refused')),
               i AS (INSERT INTO landbridge.intent (environment, tenant, id, connection, resource,
                   action, key) VALUES ('test', 'acme', 'int_' || $1, 'con_1', 'customer',
                   'update', $1))
               INSERT INTO landbridge.change (environment, tenant, id, connection, resource, key,
                   subject)
               SELECT 'test', 'acme', 'chg_' || substr($3, 5) || n, 'con_1', 'customer', $1,
                   CASE WHEN n = 1 THEN $2 END FROM generate_series(1, 3) AS n""",
            key, subject, ids.new("chg"),
        )  # fmt: skip
    report = await erase(past, await orders.order(tenant="acme", subject=ANN))
    assert report == {"record": 1, "change": 3, "parked": 2, "intent": 1}
    for table, left in (("record", 1), ("change", 3), ("parked", 2), ("intent", 1)):
        assert await past.count(table) == left, table


async def test_the_bytes_of_a_webhook_go_whoever_else_is_in_it(
    past: Past, orders: Erasures
) -> None:
    """The others' events are rows of their own; what could not be sorted goes with the bytes."""
    arrival, lone = ids.new("arr"), ids.new("arr")
    for each in (arrival, lone):
        await past.sql(
            """INSERT INTO landbridge.arrival (environment, id, app, headers, body)
               VALUES ('test', $1, 'app_1', 'headers', 'Ann and Bob')""",
            each,
        )
    for subject, came in ((ANN, arrival), ("bob@example.com", arrival), ("bob", lone)):
        await past.sql(
            """INSERT INTO landbridge.inbox_event (environment, tenant, id, app, connection,
                   arrival, vendor_id, topic, outcome, subject)
               VALUES ('test', 'acme', $1, 'app_1', 'con_1', $2, 'evt', 'customer', 'pull', $3)""",
            ids.new("inb"), came, subject,
        )  # fmt: skip
    await past.sql(
        """INSERT INTO landbridge.parked (environment, tenant, id, what, place, key, reason, raw)
           VALUES ('test', $2, 'prk_1', 'arrival', 'app_1', $1, 'whose?', 'Ann and Bob')""",
        arrival, NOBODY,
    )  # fmt: skip
    report = await erase(past, await orders.order(tenant="acme", subject=ANN))
    assert report == {"inbox_event": 1, "arrival": 1, "parked": 1}
    kept = {
        row["id"]: (row["body"], row["source"])
        for row in await past.sql("SELECT id, body, source FROM landbridge.arrival")
    }
    assert kept == {arrival: (b"", "erased"), lone: (b"Ann and Bob", "webhook")}
    assert await past.count("inbox_event") == 2
    with pytest.raises(InvalidInput, match="its bytes were erased"):
        await sort_again(past.db, environment="test", arrival=arrival)


async def test_webhooks_that_were_never_sorted_go_with_their_tenant(
    past: Past, orders: Erasures
) -> None:
    for tenant, connection in (("acme", "con_1"), ("globex", "con_2")):
        await past.sql(
            """INSERT INTO landbridge.connection (environment, tenant, id, app, access_grant,
                   provider, token, state)
               VALUES ('test', $1, $2, 'app_1', 'grt_1', 'stripe', $2, 'active')""",
            tenant, connection,
        )  # fmt: skip
        for _ in range(3):
            await past.sql(
                """INSERT INTO landbridge.arrival (environment, id, app, connection, headers, body)
                   VALUES ('test', $1, 'app_1', $2, '', 'secret')""",
                ids.new("arr"), connection,
            )  # fmt: skip
    report = await erase(past, await orders.order(tenant="acme"), batch=2)
    assert report == {"arrival": 3, "connection": 1}
    rows = await past.sql("SELECT connection FROM landbridge.arrival")
    assert {row["connection"] for row in rows} == {"con_2"}


# The report


async def test_a_report_that_is_done_names_no_person(past: Past, orders: Erasures) -> None:
    await past.emit(1, subject=ANN)
    order = await orders.order(tenant="acme", subject=ANN)
    assert (await orders.get(order)).subject == ANN
    await erase(past, order)
    found = await orders.get(order)
    assert (found.state, found.report, found.subject) == (
        "done",
        {"event": 1},
        erasures.digest(order, ANN),
    )
    assert [each.id for each in await orders.list(tenant="acme")] == [order]
    rows = await past.sql("SELECT t::text FROM landbridge.erasure AS t")
    assert not any(ANN in row[0] for row in rows)


async def test_twice_is_harmless(past: Past, orders: Erasures) -> None:
    await past.emit(2)
    first, second = [await orders.order(tenant="acme") for _ in range(2)]
    assert await erase(past, first) == {"event": 2}
    assert await erase(past, second) == {}
    await past.sql("UPDATE landbridge.erasure SET state = 'running'")
    await past.sql("UPDATE landbridge.erasure SET state = 'done'")
    claim, lease = await past.take("erase", await orders.order(tenant="acme"))
    await past.sql("UPDATE landbridge.erasure SET state = 'done'")
    assert isinstance(await Erasing(past.db).run(claim, lease), Cancel)


async def test_a_wrong_order_is_refused(orders: Erasures) -> None:
    with pytest.raises(InvalidInput, match="tenant: empty"):
        await orders.order(tenant="")
    with pytest.raises(InvalidInput, match="subject: empty"):
        await orders.preview(tenant="acme", subject="")
    with pytest.raises(NotFound, match="'era_no' is no erasure in the environment 'test'"):
        await orders.get("era_no")
