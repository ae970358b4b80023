"""The three-way merge by its laws, on records made up at random, and by examples."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from landbridge.errors import InvalidInput
from landbridge.merge import (
    WHOLE,
    Conflict,
    Merged,
    Policy,
    Take,
    Values,
    resolve,
    values_of,
)
from landbridge.merge import merge as merge_values
from landbridge.models import Address, Model

NOW = datetime(2026, 11, 27, 7, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)


class Member(Model, frozen=True, kw_only=True):
    """A record with a field of each sort: required, optional, a part, a list, a number."""

    kind: ClassVar[str] = "test.member"

    number: str
    name: str | None = None
    address: Address | None = None
    tags: tuple[str, ...] = ()
    rate: Decimal | None = None


FIELDS = ("number", "name", "address", "tags", "rate")

custom = st.dictionaries(
    st.sampled_from(["region", "a.b"]), st.sampled_from([True, 1, 0, [], [1], None]), max_size=2
)
members = st.builds(
    Member,
    number=st.sampled_from("xy"),
    name=st.sampled_from([None, "Ada", "Bo"]),
    address=st.sampled_from([None, Address(city="Bern"), Address(city="Bonn", line1="1")]),
    tags=st.lists(st.sampled_from("abcd"), max_size=4).map(tuple),
    rate=st.sampled_from([None, Decimal("1.0"), Decimal("1.00"), Decimal(2)]),
    extra=custom,
)
sides = st.none() | members
instants = st.sampled_from([None, NOW, LATER])
covers = st.none() | st.frozensets(st.sampled_from([*FIELDS, "extra"]))


def policies(takes: list[Take]) -> st.SearchStrategy[Policy]:
    """Policies that use only these."""
    no_list = [take for take in takes if take is not Take.MERGE]
    named = {name: st.sampled_from(no_list) for name in ("name", "address", "extra", "extra.a.b")}
    return st.builds(
        Policy,
        default=st.sampled_from(takes),
        by_field=st.fixed_dictionaries({}, optional=named | {"tags": st.sampled_from(takes)}),
        deleted=st.sampled_from(no_list),
        covers=covers,
    )


any_policy = policies(list(Take))
fair_policy = policies([Take.NEWEST, Take.MERGE, Take.ASK])


def merge(
    baseline: Member | Values | None,
    ours: Member | None,
    theirs: Member | None,
    policy: Policy,
    **more: Any,
) -> Merged[Member]:
    """The merge, of sides that held the same record when they agreed."""
    before = values_of(baseline, policy) if isinstance(baseline, Member) else baseline
    return merge_values(before, ours, theirs, policy, **more)


def values(record: Member | None, policy: Policy) -> dict[str, Any]:
    """The covered fields, with custom ones by themselves, in a form that tells true from 1."""
    if record is None:
        return {}
    plain = {
        name: getattr(record, name)
        for name in FIELDS
        if policy.covers is None or name in policy.covers
    }
    if policy.covers is None or "extra" in policy.covers:
        plain |= {f"extra.{k}": msgspec.json.encode(v) for k, v in record.extra.items()}
    return plain


@given(sides, sides, sides, any_policy, instants, instants)
def test_merging_what_was_merged_changes_nothing(
    baseline: Member | None,
    ours: Member | None,
    theirs: Member | None,
    policy: Policy,
    ours_at: datetime | None,
    theirs_at: datetime | None,
) -> None:
    once = merge(baseline, ours, theirs, policy, ours_at=ours_at, theirs_at=theirs_at)
    twice = merge(
        once.baseline,
        once.ours,
        once.theirs,
        policy,
        theirs_baseline=once.theirs_baseline,
        ours_at=ours_at,
        theirs_at=theirs_at,
    )
    assert twice == replace(once, ours_changed=(), theirs_changed=())


@given(members, sides, any_policy)
def test_where_only_one_side_changed_that_side_counts(
    baseline: Member, edited: Member | None, policy: Policy
) -> None:
    for merged in (
        merge(baseline, edited, baseline, policy),
        merge(baseline, baseline, edited, policy),
    ):
        assert merged.conflicts == ()
        for held in (merged.ours, merged.theirs):
            assert (held is None) == (edited is None)
            assert values(held, policy) == values(edited, policy)
        assert (merged.baseline is None) == (edited is None)
    assert merge(baseline, edited, baseline, policy).ours_changed == ()
    assert merge(baseline, baseline, edited, policy).theirs_changed == ()


@given(sides, sides, sides, fair_policy, instants, instants)
def test_the_sides_can_be_swapped_where_the_policy_names_neither(
    baseline: Member | None,
    ours: Member | None,
    theirs: Member | None,
    policy: Policy,
    ours_at: datetime | None,
    theirs_at: datetime | None,
) -> None:
    one = merge(baseline, ours, theirs, policy, ours_at=ours_at, theirs_at=theirs_at)
    other = merge(baseline, theirs, ours, policy, ours_at=theirs_at, theirs_at=ours_at)
    assert (one.ours, one.ours_changed) == (other.theirs, other.theirs_changed)
    assert (one.theirs, one.theirs_changed) == (other.ours, other.ours_changed)
    assert (one.baseline, one.theirs_baseline) == (other.theirs_baseline, other.baseline)
    assert one.conflicts == tuple(
        replace(each, ours=each.theirs, theirs=each.ours) for each in other.conflicts
    )


def lost(
    baseline: Member, ours: Member, theirs: Member, merged: Merged[Member], policy: Policy
) -> list[str]:
    """The fields whose edit, by one side or by both, is neither in the result nor kept to ask."""
    base, our, their, now = (values(each, policy) for each in (baseline, ours, theirs, merged.ours))
    asked = {conflict.field for conflict in merged.conflicts}
    found = []
    for name in base.keys() | our.keys() | their.keys():
        edits = {str(side.get(name)): side.get(name, UNSET) for side in (our, their)}
        edits = {k: v for k, v in edits.items() if v != base.get(name, UNSET)}
        if name not in asked and any(now.get(name, UNSET) != edit for edit in edits.values()):
            found.append(name)
    return found


asking = st.builds(Policy, covers=covers)


@given(members, members, members, asking)
def test_an_edit_is_in_the_result_or_among_the_conflicts(
    baseline: Member, ours: Member, theirs: Member, policy: Policy
) -> None:
    merged = merge(baseline, ours, theirs, policy)
    assert lost(baseline, ours, theirs, merged, policy) == []
    for conflict in merged.conflicts:
        assert conflict.ours != conflict.theirs or type(conflict.ours) is not type(conflict.theirs)


def test_last_write_wins_loses_an_edit() -> None:
    """The weaker pattern, held against the same judge: the whole record of the later side."""
    baseline = Member(number="1", name="Ada")
    ours = Member(number="1", name="Ada", rate=Decimal(2))
    theirs = Member(number="1", name="Bo")
    wins: Merged[Member] = Merged(
        ours=theirs,
        theirs=theirs,
        baseline=None,
        theirs_baseline=None,
        ours_changed=("name", "rate"),
        theirs_changed=(),
        conflicts=(),
    )
    assert lost(baseline, ours, theirs, wins, Policy()) == ["rate"]
    merged = merge(baseline, ours, theirs, Policy())
    assert merged.ours == merged.theirs == Member(number="1", name="Bo", rate=Decimal(2))
    assert (merged.ours_changed, merged.theirs_changed) == (("name",), ("rate",))


@given(members, members, members)
def test_lists_keep_what_either_added_and_lose_what_either_removed(
    baseline: Member, ours: Member, theirs: Member
) -> None:
    merged = merge(baseline, ours, theirs, Policy(by_field={"tags": Take.MERGE}))
    assert merged.ours is not None
    base, our, their = set(baseline.tags), set(ours.tags), set(theirs.tags)
    assert set(merged.ours.tags) == (base & our & their) | (our - base) | (their - base)


def test_additions_to_a_list_stand_in_one_order_whichever_side_made_them() -> None:
    baseline = Member(number="1", tags=("c", "a"))
    one = Member(number="1", tags=("z", "c", "a"))
    other = Member(number="1", tags=("c", "b"))
    policy = Policy(by_field={"tags": Take.MERGE})
    for ours, theirs in ((one, other), (other, one)):
        merged = merge(baseline, ours, theirs, policy)
        assert merged.ours is not None
        assert merged.ours.tags == ("c", "b", "z")


@given(sides, sides, sides, asking, st.sampled_from(["ours", "theirs"]))
def test_a_resolved_conflict_is_agreed_on_by_both_sides(
    baseline: Member | None,
    ours: Member | None,
    theirs: Member | None,
    policy: Policy,
    take: Any,
) -> None:
    merged = merge(baseline, ours, theirs, policy)
    settled = resolve(merged, take, policy)
    assert settled.conflicts == ()
    assert values(settled.ours, policy) == values(settled.theirs, policy)
    kept = settled.ours_changed if take == "ours" else settled.theirs_changed
    assert kept == ()


def test_conflicts_are_resolved_field_by_field() -> None:
    merged = merge(
        Member(number="1"),
        Member(number="1", name="Ada", rate=Decimal(1)),
        Member(number="1", name="Bo", rate=Decimal(2)),
        Policy(),
    )
    assert merged.conflicts[0] == Conflict(field="name", baseline=None, ours="Ada", theirs="Bo")
    partly = resolve(merged, {"name": "theirs"}, Policy())
    assert [each.field for each in partly.conflicts] == ["rate"]
    whole = resolve(partly, {"rate": "ours"}, Policy())
    assert whole.ours == whole.theirs == Member(number="1", name="Bo", rate=Decimal(1))


@pytest.mark.parametrize(
    ("take", "sentence"),
    [
        ({"rate": "ours"}, "take: 'rate' is in no conflict. There are: name."),
        ({"nam": "ours"}, "take: 'nam' is in no conflict. Did you mean 'name'? There are: name."),
        ({"name": "newest"}, "take: name is to be ours or theirs, not 'newest'"),
        ("both", "take: name is to be ours or theirs, not 'both'"),
    ],
)
def test_a_wrong_resolution_says_what_there_is(take: Any, sentence: str) -> None:
    merged = merge(None, Member(number="1", name="A"), Member(number="1", name="B"), Policy())
    with pytest.raises(InvalidInput) as caught:
        resolve(merged, take, Policy())
    assert str(caught.value) == sentence


def test_a_record_that_one_side_deleted_and_the_other_edited_is_asked_for() -> None:
    before, after = Member(number="1", id="c1"), Member(number="1", id="c1", name="Ada")
    merged = merge(before, None, after, Policy())
    base = values_of(before, Policy())
    assert merged.conflicts == (Conflict(field=WHOLE, baseline=base, ours=None, theirs=after),)
    assert (merged.ours, merged.theirs, merged.baseline) == (None, after, base)
    back = resolve(merged, "theirs", Policy())
    assert (back.ours, back.ours_changed) == (Member(number="1", name="Ada"), (WHOLE,))
    gone = resolve(merged, {WHOLE: "ours"}, Policy())
    assert (gone.theirs, gone.theirs_changed, gone.baseline) == (None, (WHOLE,), None)


def test_a_deletion_counts_although_the_other_side_changed_what_only_it_has() -> None:
    policy = Policy(covers=frozenset({"number", "name"}))
    merged = merge(Member(number="1"), None, Member(number="1", rate=Decimal(1)), policy)
    assert (merged.theirs, merged.theirs_changed, merged.conflicts) == (None, (WHOLE,), ())


def test_fields_that_one_side_lacks_are_left_alone() -> None:
    policy = Policy(covers=frozenset({"number", "name"}))
    theirs = Member(number="1", name="Ada", rate=Decimal(1), extra={"region": "EU"})
    ours = Member(number="1", name="Bo")
    merged = merge(theirs, ours, theirs, policy)
    assert merged.theirs == msgspec.structs.replace(theirs, name="Bo")
    assert merged.ours == ours
    assert merged.theirs_changed == ("name",)


def test_the_first_merge_fills_gaps_and_asks_where_both_have_a_value() -> None:
    ours = Member(number="1", name="Ada")
    theirs = Member(number="1", rate=Decimal(1))
    assert merge(None, ours, theirs, Policy()).ours == Member(
        number="1", name="Ada", rate=Decimal(1)
    )
    merged = merge(None, ours, Member(number="2", name="Ada"), Policy())
    assert merged.conflicts == (Conflict(field="number", baseline=UNSET, ours="1", theirs="2"),)
    assert "number" not in (merged.baseline or {})
    assert merge(merged.baseline, ours, Member(number="2", name="Bo"), Policy()).ours == Member(
        number="1", name="Bo"
    )


def test_a_value_in_a_form_of_its_own_is_no_edit() -> None:
    ours, theirs = Member(number="1", name="Ada "), Member(number="1", name="Ada")
    bases: Any = values_of(ours, Policy()), values_of(theirs, Policy())
    still = merge(bases[0], ours, theirs, Policy(), theirs_baseline=bases[1])
    assert (still.ours, still.theirs, still.conflicts) == (ours, theirs, ())
    assert (still.ours_changed, still.theirs_changed) == ((), ())
    edited = msgspec.structs.replace(theirs, name="Bo")
    merged = merge(bases[0], ours, edited, Policy(), theirs_baseline=bases[1])
    assert (merged.ours_changed, merged.theirs_changed) == (("name",), ())
    assert merged.ours == merged.theirs == edited


@pytest.mark.parametrize(
    ("ours_at", "theirs_at", "name"),
    [(NOW, LATER, "Bo"), (LATER, NOW, "Ada"), (NOW, NOW, None), (None, NOW, None)],
)
def test_the_newest_side_is_taken_and_unknown_ages_are_asked_for(
    ours_at: datetime | None, theirs_at: datetime | None, name: str | None
) -> None:
    merged = merge(
        Member(number="1"),
        Member(number="1", name="Ada"),
        Member(number="1", name="Bo"),
        Policy(default=Take.NEWEST),
        ours_at=ours_at,
        theirs_at=theirs_at,
    )
    if name is None:
        assert [each.field for each in merged.conflicts] == ["name"]
    else:
        assert merged.ours == merged.theirs == Member(number="1", name=name)


def test_an_address_is_one_value() -> None:
    merged = merge(
        Member(number="1", address=Address(city="Bern", line1="1")),
        Member(number="1", address=Address(city="Bern", line1="2")),
        Member(number="1", address=Address(city="Bonn", line1="1")),
        Policy(),
    )
    assert [each.field for each in merged.conflicts] == ["address"]


def test_true_in_a_custom_field_is_not_one() -> None:
    merged = merge(
        Member(number="1", extra={"vip": 1}),
        Member(number="1", extra={"vip": True}),
        Member(number="1", extra={"vip": 1}),
        Policy(),
    )
    assert merged.theirs_changed == ("extra.vip",)
    assert merged.theirs is not None
    assert merged.theirs.extra["vip"] is True


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (
            Policy(by_field={"nmae": Take.OURS}),
            "policy: a test.member has no field 'nmae' to merge. Did you mean 'name'?",
        ),
        (Policy(covers=frozenset({"id"})), "policy: a test.member has no field 'id' to merge."),
        (
            Policy(covers=frozenset({"extra.x"})),
            "policy: a test.member has no field 'extra.x' to merge. Did you mean 'extra'?",
        ),
        (
            Policy(by_field={"name": Take.MERGE}),
            (
                "policy: name is no list, so it cannot be merged; take one of"
                " ours, theirs, newest, ask"
            ),
        ),
        (
            Policy(deleted=Take.MERGE),
            "policy: deleted is one of ours, theirs, newest, ask",
        ),
    ],
)
def test_a_wrong_policy_says_what_there_is(policy: Policy, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        merge(None, Member(number="1"), Member(number="1"), policy)
    assert str(caught.value) == sentence


def test_an_instant_without_a_zone_is_refused() -> None:
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(InvalidInput, match="theirs_at: an instant with a zone is needed"):
        merge(None, Member(number="1"), Member(number="1"), Policy(), theirs_at=naive)
