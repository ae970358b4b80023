"""WebDAV bodies: read by namespace whatever the prefixes, hrefs decoded so that they compare."""

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from landbridge.formats import dav
from landbridge.formats.dav import CALDAV, DAV

URL = "https://cal.example.com/dav/home/"

ANSWER = b"""<?xml version="1.0"?>
<x:multistatus xmlns:x="DAV:" xmlns:q="urn:ietf:params:xml:ns:caldav">
  <x:response>
    <x:href> a%20b.ics </x:href>
    <x:propstat>
      <x:prop><q:calendar-data/></x:prop><x:status>HTTP/1.1 404 Not Found</x:status>
    </x:propstat>
    <x:propstat>
      <x:prop><x:getetag> "1" </x:getetag></x:prop><x:status>HTTP/1.1 200 OK</x:status>
    </x:propstat>
  </x:response>
  <x:response>
    <x:href>/dav/home/gone.ics</x:href><x:status>HTTP/1.1 404 Not Found</x:status>
  </x:response>
  <x:response>
    <x:href>https://other.example.com/z</x:href><x:href>b</x:href><x:status>HTTP/2 200</x:status>
  </x:response>
  <x:response>
    <x:href>/dav/home/</x:href><x:status>HTTP/1.1 507 Insufficient Storage</x:status>
  </x:response>
  <x:sync-token> urn:token:2 </x:sync-token>
</x:multistatus>"""


def test_an_answer_is_read_propstat_by_propstat() -> None:
    found = dav.parse(ANSWER, URL)
    first, gone, other, second, whole = found.members
    assert (first.key, first.href, first.status) == ("/dav/home/a b.ics", "a%20b.ics", 200)
    assert first.text(dav.ETAG) == '"1"'
    assert dav.CALENDAR_DATA not in first.found
    assert (gone.key, gone.status) == ("/dav/home/gone.ics", 404)
    assert other.key == "https://other.example.com/z"
    assert second.key == "/dav/home/b"
    assert (whole.key, whole.status) == ("/dav/home/", 507)
    assert found.token == "urn:token:2"


def test_keys_carry_the_host_only_when_it_is_another() -> None:
    found = dav.parse(ANSWER, URL, "https://other.example.com/")
    assert found.members[0].key == "https://cal.example.com/dav/home/a b.ics"
    assert found.members[2].key == "/z"


def test_properties_inside_properties() -> None:
    body = b"""<multistatus xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><response>
      <href>/</href><propstat><prop>
      <resourcetype><collection/><c:calendar/></resourcetype>
      <c:calendar-home-set><href>/h1/</href><href> /h2/ </href></c:calendar-home-set>
      </prop></propstat></response></multistatus>"""
    (member,) = dav.parse(body, URL).members
    assert member.has(dav.RESOURCE_TYPE, f"{CALDAV}calendar")
    assert not member.has(dav.RESOURCE_TYPE, f"{DAV}principal")
    assert member.hrefs(f"{CALDAV}calendar-home-set") == ["/h1/", "/h2/"]
    assert member.hrefs(f"{DAV}nothing") == []
    assert member.text(f"{DAV}nothing") == ""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not XML"),
        (b"<html></html>", "expected a DAV:multistatus, found html"),
        (b"<multistatus/>", "expected a DAV:multistatus, found multistatus"),
        (b"<a xmlns='DAV:'>\x0b</a>", "not XML"),
        (b"\xff\xfe", "not XML"),
        (b"<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", "not XML"),
    ],
)
def test_what_is_no_multistatus_says_so(body: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dav.parse(body, URL)


def test_conditions_are_found_by_their_element_at_any_depth() -> None:
    body = b'<e:error xmlns:e="DAV:"><e:valid-sync-token/></e:error>'
    assert dav.preconditions(body) == {dav.VALID_SYNC_TOKEN}
    body = b"""<error xmlns="DAV:"><n:no-uid-conflict xmlns:n="urn:ietf:params:xml:ns:caldav">
      <href>/x</href></n:no-uid-conflict></error>"""
    assert dav.NO_UID_CONFLICT in dav.preconditions(body)
    for other in (b"", b"valid-sync-token", b"<valid-sync-token xmlns='DAV:'/>", b"<error/>"):
        assert dav.preconditions(other) == frozenset()


@pytest.mark.parametrize(
    ("href", "key"),
    [
        ("/a/b.ics", "/a/b.ics"),
        ("b.ics", "/dav/home/b.ics"),
        ("../b.ics", "/dav/b.ics"),
        ("/a/%62%2Eics", "/a/b.ics"),
        ("/a/a%20b+c@d.ics", "/a/a b+c@d.ics"),
        ("/a/Z%C3%BCrich.ics", "/a/Zürich.ics"),
        ("/a/Z%c3%bcrich.ics", "/a/Zürich.ics"),
        ("/a/%E9.ics", "/a/%E9.ics"),
        ("/a/x%2fy%25z.ics", "/a/x%2Fy%25z.ics"),
        ("/a/%00.ics", "/a/%00.ics"),
        ("https://CAL.example.com/a", "/a"),
        ("http://evil.example.com/a", "http://evil.example.com/a"),
        ("", "/dav/home/"),
    ],
)
def test_hrefs_become_keys(href: str, key: str) -> None:
    assert dav.key_of(href, URL) == key


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_a_key_leads_back_to_its_address(name: str) -> None:
    key = dav.key_of(dav.url_of(f"/a/{name}", URL), URL)
    assert dav.key_of(dav.url_of(key, URL), URL) == key


@pytest.mark.parametrize("name", ["a b", "a?b", "a#b", "a;b", "Zürich", "a%2Fb", "a@b+c", "日本"])
def test_names_that_need_encoding_are_not_confused(name: str) -> None:
    url = dav.url_of(f"/a/{name}.ics", URL)
    assert url.startswith("https://cal.example.com/a/")
    assert url.isascii()
    assert "?" not in url
    assert "#" not in url
    assert dav.key_of(url, URL) == f"/a/{name}.ics"


def test_an_address_on_another_host_is_kept() -> None:
    assert dav.url_of("https://p1.example.com/a b", URL) == "https://p1.example.com/a%20b"
    assert dav.collection_of("/a/b/c.ics") == "/a/b/"
    assert dav.collection_of("/a/b/") == "/a/"


def test_questions_are_well_formed_and_never_limited() -> None:
    asked = fromstring(dav.sync_collection("", dav.ETAG))
    assert asked.tag == f"{DAV}sync-collection"
    assert asked.findtext(f"{DAV}sync-token") == ""
    assert asked.findtext(f"{DAV}sync-level") == "1"
    assert asked.find(f"{DAV}limit") is None
    assert fromstring(dav.sync_collection("<&>")).findtext(f"{DAV}sync-token") == "<&>"
    many = fromstring(dav.multiget(["/a", "/b&"], dav.ETAG, dav.CALENDAR_DATA))
    assert [href.text for href in many.findall(f"{DAV}href")] == ["/a", "/b&"]
    assert [prop.tag for prop in many[0]] == [dav.ETAG, dav.CALENDAR_DATA]
    assert fromstring(dav.propfind(dav.ETAG)).tag == f"{DAV}propfind"
