"""Links: what one side changed is on the other, what both changed is asked, nothing goes round."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from landbridge.client import Client
from landbridge.engine.custom import Custom
from landbridge.errors import InvalidInput, NotFound
from landbridge.merge import Policy, Take
from landbridge.models.payments import Customer
from landbridge.spec import lookup, map_to
from landbridge.store import connections, parked
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import Vault
from tests.engine.linkstage import HALL, OURS, Hall, Office, hall, office

ADA = {"name": "Ada", "email": "ada@acme.example"}


@pytest.fixture
async def there() -> AsyncIterator[Hall]:
    async with hall() as made:
        yield made


@pytest.fixture
async def here(db: Database, client: Client, vault: Vault, there: Hall) -> AsyncIterator[Office]:
    async with office(db, client, vault, there) as made:
        yield made


async def live(here: Office, there: Hall) -> tuple[str, str]:
    """A link with one pair: its local id and remote key."""
    there.put("a", **ADA)
    await here.pull()
    await here.rest()
    (local,) = await here.rows()
    return local, "a"


async def quiet(here: Office, there: Hall) -> None:
    """Nothing more is written on either side, also after everything was read once more."""
    writes, rows = there.writes, await here.sql("SELECT xmin::text, id FROM public.customers")
    await here.pull()
    await here.rest()
    assert there.writes == writes
    assert await here.sql("SELECT xmin::text, id FROM public.customers") == rows


async def test_a_remote_record_becomes_a_row_and_no_write_goes_back(
    here: Office, there: Hall
) -> None:
    await live(here, there)
    assert list((await here.rows()).values()) == [ADA]
    assert there.writes == 0
    await quiet(here, there)


async def test_a_row_becomes_a_remote_record_once(here: Office, there: Hall) -> None:
    await here.pull()
    local = await here.insert(**ADA)
    await here.rest()
    assert list(there.members.values()) == [{"id": "m1", **ADA}]
    assert there.counts["POST"] == 1
    await quiet(here, there)
    assert list(await here.rows()) == [local]


async def test_edits_of_different_fields_meet(here: Office, there: Hall) -> None:
    local, key = await live(here, there)
    await here.update(local, name="Ada L.")
    there.put(key, phone="+1 555")
    await here.pull()
    await here.rest()
    both = {**ADA, "name": "Ada L.", "phone": "+1 555"}
    assert (await here.rows())[local] == both
    assert there.members[key] == {"id": key, **both}
    assert there.counts["PATCH"] == 1
    await quiet(here, there)


async def test_a_remote_edit_that_was_not_pulled_yet_is_kept(here: Office, there: Hall) -> None:
    local, key = await live(here, there)
    there.put(key, phone="+1 555")
    await here.update(local, name="Ada L.")
    await here.rest()
    assert there.members[key]["phone"] == "+1 555"
    assert (await here.rows())[local] == {**ADA, "name": "Ada L.", "phone": "+1 555"}
    await quiet(here, there)


@pytest.mark.parametrize("pulled", [True, False])
async def test_both_values_of_a_conflict_are_kept_until_one_is_taken(
    here: Office, there: Hall, pulled: bool
) -> None:
    local, key = await live(here, there)
    await here.update(local, name="Ada L.", description="ours")
    there.put(key, name="Lady Ada")
    if pulled:
        await here.pull()
    await here.rest()
    (conflict,) = await here.conflicts.list()
    assert (conflict.field, conflict.baseline) == ("name", "Ada")
    assert (conflict.ours, conflict.theirs) == ("Ada L.", "Lady Ada")
    assert (conflict.local, conflict.key) == (local, key)
    assert there.members[key]["note"] == "ours"
    assert (await here.rows())[local]["name"] == "Ada L."
    await quiet(here, there)
    await conflict.resolve(take="theirs")
    await here.rest()
    assert (await here.rows())[local]["name"] == there.members[key]["name"] == "Lady Ada"
    assert await here.conflicts.list() == []
    over = await here.conflicts.get(conflict.id)
    with pytest.raises(InvalidInput, match="is over since"):
        await over.resolve(take="ours")
    await quiet(here, there)


async def test_a_conflict_stays_while_other_fields_go_on(here: Office, there: Hall) -> None:
    local, key = await live(here, there)
    await here.update(local, name="Ada L.")
    there.put(key, name="Lady Ada", phone="1")  # the phone is written here, beside the conflict
    await here.pull()
    await here.rest()
    there.put(key, phone="2")
    await here.pull()
    await here.rest()
    assert [each.field for each in await here.conflicts.list()] == ["name"]
    assert (await here.rows())[local] == {**ADA, "name": "Ada L.", "phone": "2"}
    assert there.members[key]["name"] == "Lady Ada"


async def test_a_choice_between_values_that_are_no_longer_there_does_not_count(
    here: Office, there: Hall
) -> None:
    local, key = await live(here, there)
    await here.update(local, name="Ada L.")
    there.put(key, name="Lady Ada")
    await here.pull()
    await here.rest()
    (conflict,) = await here.conflicts.list()
    await here.update(local, name="Countess")
    await here.rest()
    await conflict.resolve(take="ours")
    there.put(key, name="A. Lovelace")
    await here.pull()
    await here.rest()
    (still,) = await here.conflicts.list()
    assert (still.id, still.ours, still.theirs) == (conflict.id, "Countess", "A. Lovelace")
    await still.resolve(take="ours")
    await here.rest()
    assert there.members[key]["name"] == "Countess"


async def test_the_policy_says_who_counts(
    db: Database, client: Client, vault: Vault, there: Hall
) -> None:
    policy = Policy(by_field={"name": Take.OURS, "email": Take.THEIRS})
    async with office(db, client, vault, there, policy=policy) as here:
        local, key = await live(here, there)
        await here.update(local, name="Ours", email="ours@acme.example")
        there.put(key, name="Theirs", email="theirs@acme.example")
        await here.pull()
        await here.rest()
        assert (await here.rows())[local] == {"name": "Ours", "email": "theirs@acme.example"}
        assert there.members[key] == {"id": key, "name": "Ours", "email": "theirs@acme.example"}
        assert await here.conflicts.list() == []


async def test_a_form_of_the_providers_own_is_no_edit(here: Office, there: Hall) -> None:
    there.tidies = True
    local, key = await live(here, there)
    await here.update(local, email=" ADA@acme.example")
    await here.rest()
    assert there.members[key]["email"] == "ada@acme.example"
    assert (await here.rows())[local]["email"] == " ADA@acme.example"
    await quiet(here, there)
    there.put(key, email="Lovelace@acme.example")
    await here.pull()
    await here.rest()
    assert (await here.rows())[local]["email"] == "lovelace@acme.example"
    await quiet(here, there)


async def test_a_value_can_be_taken_away(here: Office, there: Hall) -> None:
    local, key = await live(here, there)
    await here.update(local, name=None)
    await here.rest()
    assert there.members[key].get("name") is None
    there.put(key, email=None)
    await here.pull()
    await here.rest()
    assert (await here.rows())[local] == {}
    await quiet(here, there)


async def test_deletions_follow_and_are_asked_for_where_the_other_side_was_edited(
    here: Office, there: Hall
) -> None:
    local, _key = await live(here, there)
    await here.delete(local)
    await here.rest()
    assert there.members == {}
    assert await here.links.pairs() == []
    there.put("b", name="Bo", email="bo@acme.example")
    await here.pull()
    await here.rest()
    (local,) = await here.rows()
    del there.members["b"]
    await here.update(local, name="Bob")
    await here.pull()
    await here.rest()
    (conflict,) = await here.conflicts.list()
    assert (conflict.field, conflict.theirs) == ("*", None)
    await conflict.resolve(take="ours")
    await here.rest()
    assert [each["name"] for each in there.members.values()] == ["Bob"]
    await quiet(here, there)


async def test_a_record_that_comes_back_has_a_row_again(here: Office, there: Hall) -> None:
    there.put("a", **ADA)
    there.put("b", name="Bob")
    await here.pull()
    await here.rest()
    gone = there.members.pop("a")
    await here.pull()
    await here.rest()
    assert [row["name"] for row in (await here.rows()).values()] == ["Bob"]
    there.members["a"] = gone
    await here.pull()
    await here.rest()
    assert sorted(row["name"] for row in (await here.rows()).values()) == ["Ada", "Bob"]
    assert there.writes == 0
    await quiet(here, there)


@pytest.mark.parametrize("drop", ["before", "after"])
@pytest.mark.parametrize("makes", [True, False])
async def test_a_write_whose_answer_is_lost_has_one_effect(
    here: Office, there: Hall, drop: str, makes: bool
) -> None:
    local, _key = await live(here, there)
    there.drops = [drop, drop]
    if makes:
        await here.insert(name="Bo", email="bo@acme.example")
    else:
        await here.update(local, name="Ada L.")
    await here.rest()
    assert there.writes == 1
    assert len(there.members) == len(await here.rows()) == (2 if makes else 1)
    await quiet(here, there)


async def test_a_lost_answer_in_the_providers_own_form_is_no_conflict(
    here: Office, there: Hall
) -> None:
    there.tidies = True
    local, key = await live(here, there)
    there.drops = ["after"]
    await here.update(local, email=" LADY@acme.example")
    await here.rest()
    assert await here.conflicts.list() == []
    assert (await here.rows())[local]["email"] == " LADY@acme.example"
    assert there.members[key]["email"] == "lady@acme.example"
    await quiet(here, there)


async def test_what_is_made_there_meanwhile_is_not_made_twice_here(
    here: Office, there: Hall
) -> None:
    """The creation's own echo comes in before its answer was taken in."""
    await here.pull()
    await here.rest()
    await here.insert(name="Bo", email=None)
    there.drops = ["after"]
    for _ in range(3):
        await here.turn()
    assert len(there.members) == 1
    await here.pull()
    await here.rest()
    assert len(there.members) == len(await here.rows()) == 1


async def test_a_refusal_is_shown_and_the_next_edit_is_sent(here: Office, there: Hall) -> None:
    local, key = await live(here, there)
    there.refuses = "no@acme.example"
    await here.update(local, email="no@acme.example", phone="1")
    await here.rest()
    assert there.writes == 0
    (pair,) = await here.links.pairs(stuck=True)
    assert "this address is not taken" in pair.reason or "422" in pair.reason
    there.put(key, name="Lady Ada")
    await here.pull()
    await here.rest()
    assert there.writes == 0
    assert (await here.rows())[local]["name"] == "Lady Ada"
    await here.update(local, email="yes@acme.example")
    await here.rest()
    assert (there.members[key]["email"], there.members[key]["phone"]) == ("yes@acme.example", "1")
    assert await here.links.pairs(stuck=True) == []
    await quiet(here, there)


async def test_a_row_whose_code_has_no_line_waits_for_it_or_for_another_code(
    db: Database, client: Client, vault: Vault, there: Hall
) -> None:
    (member,) = HALL.resources
    assert member.maps is not None
    rows = {**member.maps.rows, "description": lookup("note", table="notes")}
    page = replace(HALL, resources=[replace(member, maps=map_to(Customer, **rows))])
    custom = Custom(db, provider=lambda _: page)
    async with office(db, client, vault, there, page=page) as here:
        await custom.set_codes(here.connection, "notes", {"1": "gold"})
        here.connection = await anew(here)
        local, key = await live(here, there)

        async def held() -> list[str]:
            return [one.key for one in await parked.every(db, environment="test", what="push")]

        await here.update(local, description="silver", phone="1")
        await here.rest()
        first = await held()
        await here.update(local, description="gold")
        await here.rest()
        assert (len(first), await held()) == (1, [])
        assert (there.members[key]["note"], there.members[key]["phone"]) == ("1", "1")
        assert there.counts["PATCH"] == 1

        await here.update(local, description="tin")
        await here.rest()
        again = await held()
        there.put(key, name="Lady Ada")
        await here.pull()
        await here.rest()
        assert len(again) == len(await held()) == 1
        await custom.set_codes(here.connection, "notes", {"2": "tin"})
        here.connection = await anew(here)
        await here.rest()
        assert await held() == []
        assert there.members[key]["note"] == "2"
        assert (await here.rows())[local]["name"] == "Lady Ada"
        assert there.counts["PATCH"] == 2
        await quiet(here, there)


async def anew(here: Office) -> Connection:
    """Its connection with the code tables of now."""
    found = await connections.one(here.db, **OURS, id=here.connection.id)
    assert found is not None
    return found


async def test_a_refusal_is_sent_again_when_somebody_says_so(here: Office, there: Hall) -> None:
    local, key = await live(here, there)
    there.refuses = "no@acme.example"
    await here.update(local, email="no@acme.example")
    await here.rest()
    there.refuses = ""
    (pair,) = await here.links.pairs(stuck=True)
    await here.links.retry(pair.id)
    await here.rest()
    assert there.members[key]["email"] == "no@acme.example"


async def test_the_beginning_matches_makes_and_asks(here: Office, there: Hall) -> None:
    there.put("a", **ADA, phone="+1 555")
    there.put("b", name="Twin", email="twin@acme.example")
    there.put("c", name="Only there", email="c@acme.example")
    same = await here.insert(name="Ada", email="ADA@acme.example ")
    twins = [await here.insert(name=f"Twin {n}", email="twin@acme.example") for n in (1, 2)]
    ours = await here.insert(name="Only here", email="d@acme.example")
    await here.turn()
    assert (there.writes, len(await here.rows())) == (0, 4)
    await here.pull()
    plan = await here.links.plan("customers")
    assert dict(plan.counts) == {
        "match": 1,
        "make here": 1,
        "make there": 1,
        "review": 1,
        "conflicts": 1,
        "write here": 1,
    }
    assert (there.writes, len(await here.rows())) == (0, 4)
    await here.rest()
    pairs = {pair.key: pair for pair in await here.links.pairs()}
    assert pairs["a"].local == same
    assert (await here.rows())[same]["phone"] == "+1 555"
    assert pairs["c"].local not in (same, *twins, ours)
    assert {pair.key for pair in pairs.values() if pair.local == ours} == {"m1"}
    review = pairs["b"]
    assert (review.state, review.candidates) == ("review", tuple(twins))
    assert there.counts["POST"] == 1
    await here.links.match(review.id, local=twins[1])
    await here.rest()
    done = {pair.local: pair.key for pair in await here.links.pairs()}
    assert done[twins[1]] == "b"
    assert there.counts["POST"] == 2
    assert [at.state for at in await here.links.state()] == ["live"]
    with pytest.raises(InvalidInput, match="is in no review"):
        await here.links.match(review.id, local=None)
    with pytest.raises(NotFound, match="landbridge links pairs"):
        await here.links.match("lnk_x", local=None)


async def test_two_of_one_name_that_are_made_later_are_two(here: Office, there: Hall) -> None:
    await live(here, there)
    await here.insert(**ADA)
    there.put("z", **ADA)
    await here.rest()
    await here.pull()
    await here.rest()
    assert len(there.members) == len(await here.rows()) == 3
    await quiet(here, there)


async def test_a_process_that_does_not_know_a_link_leaves_its_jobs(
    here: Office, there: Hall
) -> None:
    local, key = await live(here, there)
    await here.update(local, name="Ada L.")
    await here.linker.step()
    known, here.linker.links = here.linker.links, {}
    for _ in range(3):
        await here.turn()
    assert there.writes == 0
    here.linker.links = known
    await here.rest()
    assert there.members[key]["name"] == "Ada L."
