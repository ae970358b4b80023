"""`landbridge map`: the unified record, the provider's body, or the field at fault."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from landbridge.formats import icalendar
from tests.cli.conftest import Cli

EVENT = """BEGIN:VEVENT
UID:1@example.com
DTSTART;TZID=Europe/Vienna:20260105T090000
DURATION:PT1H
SUMMARY:Team
X-MARK:kept
END:VEVENT
"""
UNIFIED = {
    "uid": "1@example.com",
    "title": "Team",
    "start": {"local": "2026-01-05T09:00:00", "zone": "Europe/Vienna"},
    "end": {"local": "2026-01-05T10:00:00", "zone": "Europe/Vienna"},
}
CALENDAR = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{EVENT}END:VCALENDAR\n"
CUSTOMER = {
    "id": "cus_1",
    "object": "customer",
    "created": 1_767_225_600,
    "email": "jo@example.com",
    "name": "Jo",
    "livemode": False,
    "metadata": {"plan": "a"},
}


def customer(cli: Cli, **more: Any) -> Any:
    return cli.ok("map", "stripe", "customer", stdin=json.dumps({**CUSTOMER, **more})).json


@pytest.mark.parametrize(
    "given", [EVENT, CALENDAR, CALENDAR.replace("\n", "\r\n"), json.dumps({"data": CALENDAR})]
)
def test_an_event_is_read_from_any_form_of_its_text(bare_cli: Cli, given: str) -> None:
    assert bare_cli.ok("map", "caldav", "VEVENT", stdin=given).json == UNIFIED


def test_the_stored_record_of_an_event_is_read_with_its_place(bare_cli: Cli) -> None:
    stored = {"href": "/c/1.ics", "etag": '"1"', "calendar": "/c/", "data": CALENDAR}
    found = bare_cli.ok("map", "caldav", "VEVENT", stdin=json.dumps(stored)).json
    assert found == {"id": "/c/1.ics", "calendar": "/c/", **UNIFIED}


def test_an_event_is_written_whole_onto_its_base(bare_cli: Cli, tmp_path: Path) -> None:
    changed = json.dumps({**UNIFIED, "title": "Neu"})
    new = bare_cli.ok("map", "caldav", "VEVENT", "--write", stdin=changed).out
    assert icalendar.parse(new)["SUMMARY"] == "Neu"
    assert "X-MARK" not in new
    base = tmp_path / "base"
    words = ("map", "caldav", "VEVENT", "--write", "--base", str(base))
    for text in (EVENT, CALENDAR, json.dumps({"data": CALENDAR})):
        base.write_text(text, encoding="utf-8")
        out = bare_cli.ok(*words, stdin=changed).out
        assert icalendar.parse(out)["SUMMARY"] == "Neu"
        assert "X-MARK:kept\n" in out.replace("\r\n", "\n")
        assert "DURATION:PT1H" in out
        as_json = bare_cli.ok(*words, "--json", stdin=changed).json
        assert icalendar.parse(as_json["body"])["SUMMARY"] == "Neu"
    base.write_text(json.dumps(UNIFIED), encoding="utf-8")
    out = bare_cli.ok(*words, stdin=changed).out
    assert icalendar.parse(out)["SUMMARY"] == "Neu"


def test_a_json_record_is_read_with_stable_keys(bare_cli: Cli) -> None:
    done = bare_cli.ok("map", "stripe", "customer", stdin=json.dumps(CUSTOMER))
    assert done.json["email"] == "jo@example.com"
    assert done.out == json.dumps(done.json, indent=2, sort_keys=True) + "\n"
    shuffled = dict(reversed(CUSTOMER.items()))
    assert bare_cli("map", "stripe", "customer", stdin=json.dumps(shuffled)).out == done.out


def test_with_a_base_only_what_differs_is_written(bare_cli: Cli, tmp_path: Path) -> None:
    unified = customer(bare_cli)
    changed = json.dumps({**unified, "name": "Joan"})
    base = tmp_path / "base.json"
    words = ("map", "stripe", "customer", "--write")
    whole = bare_cli.ok(*words, stdin=changed).json
    assert whole["name"] == "Joan"
    assert whole["email"] == "jo@example.com"
    for known in (CUSTOMER, unified):
        base.write_text(json.dumps(known), encoding="utf-8")
        assert bare_cli.ok(*words, "--base", str(base), stdin=changed).json == {"name": "Joan"}
        same = bare_cli.ok(*words, "--base", str(base), stdin=json.dumps(unified))
        assert same.json == {}


@pytest.mark.parametrize(
    ("words", "given", "why"),
    [
        (["stripe", "customer"], "", "standard input is empty: it takes one record as JSON"),
        (
            ["stripe", "customer"],
            '{"id": 1,\n "x" 2}',
            "standard input is not JSON: line 2, column 6: Expecting ':' delimiter",
        ),
        (["stripe", "customer"], '{"x": NaN}', "standard input is not JSON: NaN is no number"),
        (["stripe", "customer"], "[1]", "standard input is not a JSON object"),
        (
            ["stripe", "invoice"],
            '{"id": "in_1", "status": "open"}',
            "Invoice.currency: nothing at currency",
        ),
        (["stripe", "invoice", "--write"], '{"nmber": 1}', "payments.invoice has no field 'nmber'"),
        (["caldav", "VEVENT"], "{", "standard input is not JSON: line 1, column 2"),
        (["caldav", "VEVENT"], "hello", "VEVENT: the line 'hello' has no colon"),
        (["caldav", "VEVENT"], "", "standard input is empty"),
        (
            ["caldav", "VEVENT"],
            EVENT.replace("DTSTART;TZID=Europe/Vienna:2026", "DTSTART:soon"),
            "VEVENT.DTSTART: 'soon0105T090000' is no date or time",
        ),
        (
            ["caldav", "VEVENT"],
            EVENT.replace("DTSTART", "X-START").replace("DURATION", "X-D"),
            "Event.start: nothing at DTSTART",
        ),
        (
            ["caldav", "VEVENT", "--write"],
            '{"start": {"local": "2026-01-05T09:00:00", "zone": "Mars/Base"}}',
            "VEVENT.DTSTART: 'Mars/Base' is not an IANA time zone",
        ),
    ],
)
def test_the_field_at_fault_is_named(bare_cli: Cli, words: list[str], given: str, why: str) -> None:
    done = bare_cli("map", *words, stdin=given)
    assert done.status == 1
    assert done.out == ""
    assert done.err.startswith(f"error: {why}")
    assert done.err.count("\n") == 1
    told = bare_cli("map", *words, "--json", stdin=given)
    assert told.status == 1
    assert told.json["error"]["message"].startswith(why)


def test_a_base_that_cannot_be_read_is_named_as_the_base(bare_cli: Cli, tmp_path: Path) -> None:
    base = tmp_path / "base.json"
    unified = json.dumps(customer(bare_cli))
    for text, why in (
        ("[", "the base is not JSON: line 1, column 2"),
        ('{"email": 1}', "the base: Customer.email: expected text at email, found a number"),
    ):
        base.write_text(text, encoding="utf-8")
        done = bare_cli("map", "stripe", "customer", "--write", "--base", str(base), stdin=unified)
        assert done.status == 1
        assert done.err.startswith(f"error: {why}")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["stirpe", "invoice"], "'stirpe' is no provider. Did you mean 'stripe'?"),
        (["stripe", "invoce"], "'invoce'"),
        (["stripe", "dispute", "--write"], "stripe dispute is only read"),
        (["caldav", "calendar", "--write"], "caldav calendar is only read"),
        (["stripe", "customer", "--base", __file__], "--base goes with --write"),
        (["stripe", "customer", "--write", "--base", "/nowhere"], "Invalid value for"),
    ],
)
def test_a_wrong_call_ends_with_status_2(bare_cli: Cli, words: list[str], why: str) -> None:
    done = bare_cli("map", *words, stdin="{}")
    assert done.status == 2
    assert why in done.err
    assert done.err.count("\n") == 1


def test_half_of_a_surrogate_pair_is_refused_in_one_sentence() -> None:
    command = [sys.executable, "-m", "landbridge.cli", "map", "stripe", "customer"]
    given = b'{"id": "cus_1", "name": "\\ud800"}'
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: standard input holds half of a surrogate pair")


def test_a_record_of_another_resource_of_the_collection_is_told_apart(bare_cli: Cli) -> None:
    bill = {"InvoiceID": "i", "Type": "ACCPAY", "Contact": {"ContactID": "c"}, "Status": "PAID"}
    given = json.dumps({**bill, "CurrencyCode": "NZD", "Date": "2026-01-02"})
    read = bare_cli.ok("map", "xero", "Bills", stdin=given).json
    assert (read["direction"], read["status"]) == ("purchase", "paid")
    refused = bare_cli("map", "xero", "Invoices", stdin=given)
    assert refused.status == 1
    assert "no record of Invoices: 'ACCPAY' at Type is not ACCREC; name the" in refused.err
