"""What commands print: columns, JSON, and nothing that steers a terminal."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from landbridge.cli.output import cell, print_facts, print_json, print_rows, visible

MOMENT = datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)


def test_columns_are_lined_up(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [
        {"id": "a", "last_seen": MOMENT, "n": 5},
        {"id": "long", "last_seen": None, "n": 12},
    ]
    print_rows("things", rows, ["id", "last_seen", "n"], as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "id    last seen             n",
        "a     2026-11-22 09:05:07Z  5",
        "long                        12",
    ]


def test_no_rows_are_a_sentence_or_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("things", [], ["id"], as_json=False)
    print_rows("things", [], ["id"], as_json=False, none="there is nothing yet")
    print_rows("things", [], ["id"], as_json=True)
    assert capsys.readouterr().out == 'no things\nthere is nothing yet\n{\n  "things": []\n}\n'


def test_facts_leave_out_what_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts({"name": "x", "label": "", "reason": None, "is_new": False}, as_json=False)
    assert capsys.readouterr().out == "name    x\nis new  no\n"


def test_json_has_instants_and_amounts_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({
        "at": MOMENT, "on": date(2026, 1, 2), "price": Decimal("1.50"), "for": timedelta(seconds=3),
        "words": {"b", "a"}, "name": "Æ",
    })  # fmt: skip
    out = capsys.readouterr().out
    assert "Æ" in out
    assert json.loads(out) == {
        "at": "2026-11-22T09:05:07+00:00",
        "on": "2026-01-02",
        "price": "1.50",
        "for": 3.0,
        "words": ["a", "b"],
        "name": "Æ",
    }


def test_bytes_are_never_printed() -> None:
    with pytest.raises(TypeError, match="bytes has no form in JSON"):
        print_json({"secret": b"\x00"})


def test_what_a_stranger_sent_does_not_steer_the_terminal() -> None:
    assert visible("\x1b[2Jgone\r\n\x9b31m") == r"\x1b[2Jgone\r\n\x9b31m"
    assert visible("Zoë ✓") == "Zoë ✓"
    assert cell(["a\tb", {"k": "\x07"}]) == r'a\tb, {"k": "\u0007"}'
