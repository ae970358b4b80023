"""The VTIMEZONE that we write has the zone's own rules, as another library reads it."""

from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from icalendar import Timezone

from landbridge.formats._contentlines import read, write
from landbridge.formats.zones import iana_name, is_iana, vtimezone


def wall(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day)  # noqa: DTZ001 - a time on the wall


REGULAR = ["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Pacific/Auckland"]
STEADY = ["Asia/Kolkata", "America/Phoenix", "Asia/Kathmandu"]
IRREGULAR = ["Africa/Casablanca", "Africa/Cairo", "Asia/Jerusalem", "Europe/Moscow"]


@pytest.mark.parametrize("year", [1995, 2026])
@pytest.mark.parametrize("name", [*REGULAR, *STEADY, *IRREGULAR, "Asia/Gaza", "Europe/Lisbon"])
def test_offsets_equal_the_zones_own(name: str, year: int) -> None:
    made = Timezone.from_ical(write(vtimezone(name, year)))
    rules = made.to_tz(lookup_tzid=False)  # type: ignore[attr-defined]
    zone = ZoneInfo(name)
    rng = Random(year)
    hours = (wall(2037, 12, 1) - wall(year, 1, 1)) // timedelta(hours=1)
    for _ in range(60):
        at = wall(year, 1, 1) + timedelta(hours=rng.randrange(hours))
        around = {zone.utcoffset(at + timedelta(hours=step)) for step in (-2, -1, 0, 1, 2)}
        if len(around) == 1:  # readers differ in the hours that are skipped or come twice
            assert rules.utcoffset(at) == zone.utcoffset(at), at


@pytest.mark.parametrize("name", REGULAR)
def test_zones_with_yearly_rules_go_on_for_ever_in_few_lines(name: str) -> None:
    text = write(vtimezone(name, 2026))
    assert text.count("\r\n") < 25
    rules = Timezone.from_ical(text).to_tz(lookup_tzid=False)  # type: ignore[attr-defined]
    for at in (wall(2060, 1, 15), wall(2060, 7, 15)):
        assert rules.utcoffset(at) == ZoneInfo(name).utcoffset(at)


def test_a_steady_zone_has_one_rule() -> None:
    assert write(vtimezone("Asia/Kolkata", 2026)).count("BEGIN:STANDARD") == 1


def test_dates_outside_the_database_do_no_harm() -> None:
    for year in (1, 2037, 9999):
        assert read(write(vtimezone("Europe/Vienna", year))).name == "VTIMEZONE"


@pytest.mark.parametrize(
    ("tzid", "name"),
    [
        ("Europe/Vienna", "Europe/Vienna"),
        ("UTC", "UTC"),
        ("/mozilla.org/20050126_1/Europe/Vienna", "Europe/Vienna"),
        ("Eastern Standard Time", "America/New_York"),
        ("/x/America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("Customized Time Zone", None),
        ("../../etc/passwd", None),
        ("localtime", None),
        ("Europe", None),
        ("", None),
        ("x" * 400, None),
        ("a\x00b", None),
    ],
)
def test_what_a_label_names(tzid: str, name: str | None) -> None:
    assert iana_name(tzid) == name
    assert name is None or is_iana(name)
