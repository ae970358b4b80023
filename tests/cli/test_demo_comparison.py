"""What the demonstration's comparisons find: every way in which two sides can disagree."""

from __future__ import annotations

from typing import Any

import pytest

from landbridge.cli.demo import ledger, mirror
from landbridge.cli.demo.ledger import Emitted, Hook
from landbridge.cli.demo.mirror import Side
from landbridge.cli.demo.outcome import Finding, Line, Outcome

PAID = Emitted(id="evt_1", type="invoice.paid", tenant="acme")
CREATED = Emitted(id="evt_2", type="customer.created", tenant="acme")
FOREIGN = Emitted(id="evt_3", type="invoice.paid", tenant="globex")
ALL = Hook(name="all", tenant="acme", types=("*",))
BILLS = Hook(name="bills", tenant="acme", types=("invoice.*",))


def came(endpoint: str, event: str, **other: Any) -> dict[str, Any]:
    """A line of the receiver's journal."""
    return {
        "endpoint": endpoint,
        "webhook_id": event,
        "verified": True,
        "reason": None,
        "status": 200,
        "failed": None,
        "body_sha256": f"of {event}",
    } | other


COMPLETE = (came("all", "evt_1"), came("all", "evt_2"), came("bills", "evt_1"))


def found(*journal: dict[str, Any]) -> ledger.Deliveries:
    return ledger.deliveries(journal, [PAID, CREATED, FOREIGN], [ALL, BILLS])


def test_each_event_at_each_endpoint_that_wants_it_is_a_match() -> None:
    result = found(*COMPLETE)
    assert (result.promised, result.arrived, result.events) == (3, 3, 2)
    assert result.finding == Finding()


def test_a_second_success_is_a_duplicate_and_a_failed_try_is_none() -> None:
    again = came("all", "evt_1")
    failed = came("bills", "evt_1", status=503, failed="503")
    result = found(failed, *COMPLETE, again)
    assert (result.duplicated, result.failed) == (1, 1)
    assert result.finding == Finding()


def test_a_delivery_that_never_succeeded_is_lost() -> None:
    result = found(*COMPLETE[:2], came("bills", "evt_1", status=None, failed="drop"))
    assert result.finding.lost == 1
    assert result.finding.differences == ("event evt_1 never arrived at 'bills'",)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (came("all", "evt_9"), "event evt_9 arrived at 'all', not promised to it"),
        (came("bills", "evt_2"), "event evt_2 arrived at 'bills', not promised to it"),
        (came("all", "evt_3"), "event evt_3 arrived at 'all', not promised to it"),
        (
            came("all", "evt_1", verified=False, reason="no signature matches"),
            "a delivery to 'all' is not genuine: no signature matches",
        ),
        (
            came("all", "evt_1", body_sha256="another"),
            "event evt_1 arrived with 2 different bodies",
        ),
    ],
    ids=["rolled back", "unwanted type", "another tenant's", "not verified", "changed body"],
)
def test_what_must_not_arrive_is_a_difference(line: dict[str, Any], said: str) -> None:
    result = found(*COMPLETE, line)
    assert result.finding == Finding(differences=(said,))


def posted(event: str, status: int | None) -> dict[str, Any]:
    """A line of the sender's journal."""
    return {"event": event, "status": status}


def test_webhooks_match_when_each_accepted_one_is_held_once() -> None:
    journal = [posted("evt_a", 503), posted("evt_a", 200), posted("evt_a", 200), posted("bad", 400)]
    result = ledger.webhooks(journal, {"evt_a"}, ["evt_a"], stored=2)
    assert (result.accepted, result.repeated, result.refused) == (1, 1, 1)
    assert result.finding == Finding()


@pytest.mark.parametrize(
    ("journal", "inbox", "lost", "said"),
    [
        ([posted("evt_a", 200)], [], 1, "event evt_a was accepted and is not in the inbox"),
        ([posted("evt_a", 200)], ["evt_a", "evt_a"], 0, "event evt_a is in the inbox 2 times"),
        ([posted("evt_a", 503)], [], 0, "event evt_a was sent and never accepted"),
        ([], ["evt_b"], 0, "the inbox holds evt_b, which was never accepted from its sender"),
        (
            [posted("bad", 200)],
            [],
            0,
            "the webhook bad, which no event stands behind, was accepted",
        ),
    ],
    ids=["lost", "kept twice", "never accepted", "from nowhere", "forged"],
)
def test_a_webhook_out_of_order_is_a_difference(
    journal: list[dict[str, Any]], inbox: list[str], lost: int, said: str
) -> None:
    stored = sum(line["status"] == 200 for line in journal)
    result = ledger.webhooks(journal, {"evt_a", "evt_b"}, inbox, stored=stored)
    assert result.finding == Finding(lost=lost, differences=(said,))


def test_a_webhook_that_was_refused_and_stored_all_the_same_is_a_difference() -> None:
    result = ledger.webhooks([posted("bad", 400)], set(), [], stored=1)
    assert result.finding.differences == ("1 webhooks are stored, but 0 were accepted",)


def side(live: dict[str, dict[str, Any]], *deleted: str) -> Side:
    return Side(live=live, deleted=frozenset(deleted))


def test_equal_sides_match() -> None:
    both = {"in_1": {"total": 5}}
    result = mirror.compare("invoice", ours=side(both, "in_0"), theirs=side(both, "in_0"))
    assert result.finding == Finding()


@pytest.mark.parametrize(
    ("ours", "theirs", "lost", "said"),
    [
        (side({}), side({"in_1": {}}), 1, "invoice in_1 is missing from the mirror"),
        (side({"in_1": {}}), side({}), 0, "invoice in_1 lives in the mirror only"),
        (side({"in_1": {}}), side({}, "in_1"), 0, "invoice in_1 lives in the mirror only"),
        (
            side({}),
            side({}, "in_1"),
            0,
            "invoice in_1 was deleted there, and the mirror does not know",
        ),
        (
            side({"in_1": {"total": 5, "paid": True}}),
            side({"in_1": {"total": 6, "paid": True}}),
            0,
            "invoice in_1 differs in total",
        ),
        (side({"in_1": {}}), side({"in_1": {"total": 6}}), 0, "invoice in_1 differs in total"),
    ],
    ids=["missing", "extra", "undead", "forgotten", "another value", "a field less"],
)
def test_sides_that_differ_are_told(ours: Side, theirs: Side, lost: int, said: str) -> None:
    result = mirror.compare("invoice", ours=ours, theirs=theirs)
    assert result.finding == Finding(lost=lost, differences=(said,))


def test_an_invoice_is_compared_raw_and_unified_but_for_lists_that_are_cut_short() -> None:
    invoice = {"id": "in_1", "total": 5, "number": "A-1", "lines": {"object": "list", "data": []}}
    unified = {"id": "in_1", "total": 5, "number": "A-1"}
    theirs = mirror.stripe_theirs("invoice", invoice | {"lines": {"object": "list", "data": [1]}})
    assert mirror.stripe_ours("invoice", invoice, unified) == theirs
    assert mirror.stripe_ours("invoice", invoice, unified | {"total": 6}) != theirs
    assert mirror.stripe_ours("invoice", invoice | {"total": 6}, unified) != theirs
    assert mirror.stripe_ours("invoice", invoice, None) != theirs


CALENDAR = (
    "BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\n"
    "UID:one@example.com\r\nSUMMARY;LANGUAGE=de:Br\u00fccke\\, ers\r\n ter Teil\\nzwei\r\n"
    "END:VEVENT\r\nEND:VCALENDAR\r\n"
)


def test_an_event_is_compared_by_its_own_text_whatever_the_order_of_lines() -> None:
    theirs = mirror.event_theirs("/a.ics", '"1"', CALENDAR)
    assert theirs["UID"] == "one@example.com"
    assert theirs["SUMMARY"] == "Br\u00fccke, erster Teil\nzwei"
    uid, served = "UID:one@example.com\r\n", CALENDAR
    served = served.replace(uid, "").replace("END:VEVENT", f"{uid}END:VEVENT")
    raw = {"href": "/a.ics", "data": served.replace("\r\n", "\n")}
    unified = {"uid": theirs["UID"], "title": theirs["SUMMARY"]}
    assert mirror.event_ours(raw, '"1"', unified) == theirs
    assert mirror.event_ours(raw, '"2"', unified) != theirs
    assert mirror.event_ours(raw, '"1"', unified | {"title": "Br\u00fccke"}) != theirs
    shorter = {"href": "/a.ics", "data": served.replace("zwei", "drei")}
    assert mirror.event_ours(shorter, '"1"', unified) != theirs


def outcome(*findings: Finding, line: Line | None = None) -> Outcome:
    lines = [line] if line else []
    return Outcome(lines=lines, findings=findings, duplicated=2, seconds=1.0, sides={})


def test_an_outcome_matches_only_without_differences_and_with_equal_counts() -> None:
    assert outcome(Finding()).matched
    lost = outcome(Finding(lost=2, differences=("a", "b")), Finding(lost=1, differences=("c",)))
    assert (lost.matched, lost.lost, lost.as_json()["differences"]) == (False, 3, ["a", "b", "c"])
    counted = outcome(line=Line(what="received", ours=3, theirs=4))
    assert not counted.matched
    assert counted.differences == ("received: Landbridge has 3, the journals have 4",)
    assert counted.as_json()["received"] == 3
    assert counted.as_json()["journals"] == {"received": 4}
