"""The reckoning of the rows about deliveries finds each kind of fault when there is one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.outbound import HOOKS, reckon

EVENTS = ("evt_1", "evt_2")


def entry(event: str, hook: str, **more: Any) -> dict[str, Any]:
    fields = {
        "kind": "delivery",
        "webhook_id": event,
        "endpoint": hook,
        "verified": True,
        "status": 200,
        "body_sha256": f"digest of {event}",
    }
    return fields | more


def journal() -> list[dict[str, Any]]:
    return [entry(event, hook) for event in EVENTS for hook in HOOKS]


def attempts() -> list[tuple[str, str, int, str]]:
    return [(event, f"{event}/{hook}", 1, "delivered") for event in EVENTS for hook in HOOKS]


def test_all_that_arrived_once_is_clean() -> None:
    found = reckon(EVENTS, journal(), attempts())
    assert found.clean
    assert (found.tried, found.duplicated) == (4, 0)
    assert str(found) == "4 tried, 0 lost, 0 duplicated"


def test_duplicates_are_counted_and_no_fault() -> None:
    found = reckon(EVENTS, [*journal(), entry("evt_1", "shop")], attempts())
    assert (found.clean, found.duplicated) == (True, 1)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda: (EVENTS, journal()[1:], attempts()), "lost"),
        (
            lambda: (EVENTS, [*journal()[1:], entry("evt_1", "shop", status=503)], attempts()),
            "lost",
        ),
        (
            lambda: (EVENTS, [*journal()[1:], entry("evt_1", "shop", status=None)], attempts()),
            "lost",
        ),
        (lambda: (EVENTS, [*journal(), entry("evt_3", "shop")], attempts()), "ghosts"),
        (
            lambda: (EVENTS, [*journal(), entry("evt_1", "shop", verified=False)], attempts()),
            "forged",
        ),
        (lambda: (EVENTS, journal(), attempts()[1:]), "unrecorded"),
        (lambda: (EVENTS, journal(), [*attempts(), ("evt_1", "a", 2, "delivered")]), "unrecorded"),
        (lambda: (EVENTS, journal(), [*attempts(), (*attempts()[0][:3], "failing")]), "twice"),
        (
            lambda: (EVENTS, [*journal(), entry("evt_1", "till", body_sha256="other")], attempts()),
            "changed",
        ),
    ],
)
def test_each_fault_is_found(change: Any, fault: str) -> None:
    found = reckon(*change())
    assert getattr(found, fault) == 1
    assert not found.clean


def test_nothing_tried_is_not_clean() -> None:
    assert not reckon([], [], []).clean
