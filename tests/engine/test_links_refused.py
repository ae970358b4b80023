"""Links whose table refuses a value, lost many rows at once, or is no longer as it was declared: it
is told, and the rest goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from landbridge.client import Client
from landbridge.engine.link import Functions, Ours
from landbridge.engine.linker import Linker, Stepped
from landbridge.engine.pull import Hold
from landbridge.errors import InvalidInput, LandbridgeError
from landbridge.models.payments import Customer
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed
from landbridge.store.links import Pair
from landbridge.store.user_table import UserTable
from landbridge.vault import Vault
from tests.engine.linkstage import Hall, Office, hall, office

ADA = {"name": "Ada", "email": "ada@acme.example"}


@pytest.fixture
async def there() -> AsyncIterator[Hall]:
    async with hall() as made:
        yield made


@pytest.fixture
async def here(db: Database, client: Client, vault: Vault, there: Hall) -> AsyncIterator[Office]:
    async with office(db, client, vault, there) as made:
        yield made


class _Told(Linker):
    """As workers have it that tried a few times: each failure of a job is one to try again."""

    async def run(self, claim: Claimed, hold: Hold) -> Stepped:
        """What it gives, or why it is to be tried again."""
        try:
            return await super().run(msgspec.structs.replace(claim, attempt=3), hold)
        except ValueError as error:
            raise LandbridgeError("it is tried again") from error


async def stuck(here: Office) -> Pair:
    """The one pair that does not go on."""
    (pair,) = await here.links.pairs(stuck=True)
    return pair


@pytest.mark.parametrize(
    ("rule", "values", "reason"),
    [
        (
            "ALTER COLUMN name SET NOT NULL",
            {"name": None},
            'your table refuses it: customers: null value in column "name"',
        ),
        (
            "ALTER COLUMN name TYPE varchar(5)",
            {"name": "Ada Lovelace"},
            "customers: name takes 5 characters, and name has 12",
        ),
        (
            "ADD CONSTRAINT no_ada CHECK (name <> 'Ada')",
            {},
            'violates check constraint "no_ada"',
        ),
        (
            "ADD CONSTRAINT one_name UNIQUE (name) DEFERRABLE INITIALLY DEFERRED",
            {"name": "Bob", "email": "another@acme.example"},
            'violates unique constraint "one_name"',
        ),
    ],
)
async def test_what_the_table_refuses_is_shown_and_the_others_go_on(
    here: Office, there: Hall, rule: str, values: dict[str, Any], reason: str
) -> None:
    await here.sql(f"ALTER TABLE public.customers {rule}")
    there.put("a", **{**ADA, **values})
    there.put("b", name="Bob", email="bob@acme.example")
    await here.pull()
    await here.insert(name="Cid", email="cid@acme.example")
    await here.rest()

    pair = await stuck(here)
    assert reason in pair.reason
    assert [each.state for each in await here.links.state()] == ["live"]
    assert {row["name"] for row in (await here.rows()).values()} == {"Bob", "Cid"}
    assert there.counts["POST"] == 1  # the row of ours went there too

    there.put(pair.key or "", name="Ann")
    await here.pull()
    await here.rest()
    assert "Ann" in {row["name"] for row in (await here.rows()).values()}
    assert await here.links.pairs(stuck=True) == []


async def test_a_refused_edit_is_written_once_the_table_takes_it(here: Office, there: Hall) -> None:
    there.put("a", **ADA)
    await here.pull()
    await here.rest()
    await here.sql("ALTER TABLE public.customers ALTER COLUMN name TYPE varchar(5)")
    there.put("a", name="Ada Lovelace")
    await here.pull()
    await here.rest()
    pair = await stuck(here)
    assert list((await here.rows()).values()) == [ADA]
    await here.sql("ALTER TABLE public.customers ALTER COLUMN name TYPE text")
    await here.links.retry(pair.id)
    await here.rest()
    assert [row[0] for row in await here.sql("SELECT name FROM customers")] == ["Ada Lovelace"]
    assert await here.links.pairs(stuck=True) == []


async def test_a_record_that_was_refused_is_given_a_row_by_hand(here: Office, there: Hall) -> None:
    await here.sql("ALTER TABLE public.customers ADD CONSTRAINT one UNIQUE (phone)")
    await here.pull()
    await here.rest()
    there.put("a", **ADA, phone="1")
    local = await here.insert(name="Ada", phone="1")
    await here.sql("DELETE FROM landbridge.local_change")
    await here.pull()
    await here.rest()
    pair = await stuck(here)
    await here.links.match(pair.id, local="999")
    await here.rest()
    assert (await stuck(here)).reason.startswith("there is no row 999; say which it is")
    await here.links.match(pair.id, local=local)
    await here.rest()
    assert await here.rows() == {local: {**ADA, "phone": "1"}}
    with pytest.raises(InvalidInput, match="in no review"):
        await here.links.match(pair.id, local=local)


async def test_a_column_that_is_gone_is_told_and_nothing_is_lost(here: Office, there: Hall) -> None:
    there.put("a", **ADA)
    await here.pull()
    await here.rest()
    await here.sql("ALTER TABLE public.customers RENAME COLUMN phone TO phones")
    there.put("a", name="Ann")
    await here.pull()
    with pytest.raises(AssertionError, match="still busy"):
        await here.rest(8)
    (state,) = await here.links.state()
    assert "customers has no column 'phone'. Did you mean 'phones'?" in state.reason
    assert await here.links.pairs(stuck=True) == []

    await here.sql("ALTER TABLE public.customers RENAME COLUMN phones TO phone")
    await here.rest()
    assert [row["name"] for row in (await here.rows()).values()] == ["Ann"]
    assert [each.reason for each in await here.links.state()] == [""]


async def test_a_trigger_that_names_other_columns_is_none(here: Office) -> None:
    table = here.link.table
    assert table is not None
    named = UserTable(name=table.name, id="visits", tenant=table.tenant, columns=table.columns)
    async with here.db.transaction() as tx:
        assert await table.noted(tx, here.link.name, "test")
        assert not await named.noted(tx, here.link.name, "test")


@pytest.mark.parametrize("kind", ["varchar(4)", "char(4)", "public.four"])
async def test_rows_of_a_tenant_whose_name_is_cut_by_the_column_are_not_anothers(
    here: Office, kind: str
) -> None:
    await here.sql("CREATE DOMAIN public.four AS varchar(4)")
    await here.insert(**ADA)
    await here.sql(f"ALTER TABLE public.customers ALTER COLUMN tenant TYPE {kind}")
    side = here.link.side
    async with here.db.transaction() as tx:
        (local,) = await side.scan(tx, "acme", "", 10)
        assert await side.scan(tx, "acme-two", "", 10) == []
        assert await side.read(tx, "acme-two", local) is None
        assert await side.find(tx, "acme-two", {"name": "Ada"}) == []


async def test_functions_that_fail_hold_up_no_other_pair(here: Office, there: Hall) -> None:
    table = here.link.side

    async def write(
        tx: Tx, tenant: str, local: str | None, record: Customer, fields: Any
    ) -> Ours[Customer]:
        if record.name == "Ada":
            raise ValueError("no Adas")
        return await table.write(tx, tenant, local, record, fields)

    side = Functions(
        read=table.read, write=write, delete=table.delete, fields=table.fields, scan=table.scan
    )
    link = replace(here.link, side=side)
    here.linker = _Told(
        here.db, {link.name: link}, provider=here.linker._provider, environment="test"
    )
    there.put("a", **ADA)
    there.put("b", name="Bob", email="bob@acme.example")
    await here.pull()
    with pytest.raises(AssertionError, match="still busy"):
        await here.rest(15)
    (state,) = await here.links.state()
    assert state.state == "live"
    assert "your side failed: ValueError at" in (await stuck(here)).reason


async def test_many_rows_that_are_gone_at_once_are_asked_for(here: Office, there: Hall) -> None:
    for number in range(12):
        there.put(f"a{number}", name=f"Ada {number}", email=f"{number}@acme.example")
    await here.pull()
    await here.rest()
    first, *_ = await here.rows()
    await here.delete(first)  # one of them is no mistake
    await here.rest()
    assert len(there.members) == 11

    await here.sql("DELETE FROM public.customers")
    await here.rest()
    assert len(there.members) == 11
    asked = await here.conflicts.list()
    assert [(each.field, each.ours) for each in asked] == [("*", None)] * 11
    await asked[0].resolve("ours")
    await asked[1].resolve("theirs")
    await here.rest()
    assert len(there.members) == 10
    assert [row["name"] for row in (await here.rows()).values()] == [asked[1].theirs["name"]]
    assert len(await here.conflicts.list()) == 9
    await quiet(here, there)


async def test_what_was_deleted_here_and_edited_there_can_be_made_here_again(
    here: Office, there: Hall
) -> None:
    there.put("a", **ADA)
    await here.pull()
    await here.rest()
    (local,) = await here.rows()
    await here.delete(local)
    there.put("a", name="Ann")
    await here.pull()
    await here.rest()
    (conflict,) = await here.conflicts.list()
    assert (conflict.field, conflict.ours) == ("*", None)
    await conflict.resolve(take="theirs")
    await here.rest()
    assert list((await here.rows()).values()) == [{**ADA, "name": "Ann"}]
    assert await here.links.pairs(stuck=True) == []
    await quiet(here, there)


async def quiet(here: Office, there: Hall) -> None:
    """Nothing more is written on either side."""
    before = there.writes, await here.rows()
    await here.pull()
    await here.rest()
    assert (there.writes, await here.rows()) == before
