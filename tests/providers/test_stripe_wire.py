"""The Stripe simulator below the SDK: credentials, versions, form encoding, late commits."""

from collections.abc import Iterator

import httpx2
import pytest

from landbridge.testing.pytest_plugin import StripeSimulator
from landbridge.testing.stripe import Amounts, Settings
from tests.plain import PLAIN
from tests.specs import openapi


@pytest.fixture
def stripe_settings() -> Settings:
    return Settings(amounts=Amounts(customers=5, invoices=5, subscriptions=2))


@pytest.fixture
def http(stripe_simulator: StripeSimulator) -> Iterator[httpx2.Client]:
    head = {"authorization": f"Bearer {stripe_simulator.key}"}
    with httpx2.Client(
        base_url=stripe_simulator.url, headers=head, trust_env=False, verify=PLAIN
    ) as client:
        yield client


def form(http: httpx2.Client, text: bytes, path: str = "/v1/customers") -> httpx2.Response:
    head = {"content-type": "application/x-www-form-urlencoded"}
    return http.post(path, content=text, headers=head)


def test_a_key_comes_as_bearer_or_as_user_name(stripe_simulator: StripeSimulator) -> None:
    with httpx2.Client(base_url=stripe_simulator.url, trust_env=False, verify=PLAIN) as http:
        assert http.get("/v1/account", auth=(stripe_simulator.key, "")).status_code == 200
        for answer in (
            http.get("/v1/account"),
            http.get("/v1/account", auth=("sk_test_other", "")),
            http.get("/v1/account", headers={"authorization": "Digest x"}),
            http.get("/v1/account", headers={"authorization": "Basic %"}),
        ):
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Basic realm="Stripe"'
            problems = openapi.stripe().check("GET", "/v1/account", 401, answer.content)
            assert problems == []


def test_the_version_is_said_back_and_checked(http: httpx2.Client) -> None:
    assert http.get("/v1/account").headers["stripe-version"] == "2026-05-27.dahlia"
    pinned = http.get("/v1/account", headers={"stripe-version": "2026-10-28.endive"})
    assert pinned.headers["stripe-version"] == "2026-10-28.endive"
    assert pinned.headers["request-id"].startswith("req_")
    assert http.get("/v1/account", headers={"stripe-version": "new"}).status_code == 400


def test_an_unknown_address_and_a_json_body_are_refused_in_stripes_words(
    http: httpx2.Client,
) -> None:
    unknown = http.get("/v1/cats")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["message"].startswith("Unrecognized request URL (GET: /v1/cats)")
    assert http.delete("/v1/invoices").status_code == 404
    as_json = http.post("/v1/customers", json={"name": "x"})
    assert as_json.status_code == 400
    assert "application/x-www-form-urlencoded" in as_json.json()["error"]["message"]


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        (b"name=A+B%26C", "name", "A B&C"),
        (b"metadata[order id]=1&metadata[b]=%5B2%5D", "metadata", {"order id": "1", "b": "[2]"}),
        (b"preferred_locales[0]=de&preferred_locales[1]=fr", "preferred_locales", ["de", "fr"]),
        (b"preferred_locales[]=de&preferred_locales[]=fr", "preferred_locales", ["de", "fr"]),
        (b"preferred_locales[1]=b&preferred_locales[0]=a", "preferred_locales", ["a", "b"]),
        (b"name=%E5%B1%B1", "name", "山"),
        (b"balance=-5", "balance", -5),
        (b"name=", "name", None),
    ],
)
def test_forms_are_read_as_stripe_reads_them(
    http: httpx2.Client, text: bytes, field: str, value: object
) -> None:
    assert form(http, text).json()[field] == value


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (b"address=here", "address"),
        (b"name[a]=b", "name"),
        (b"a]=1", "a]"),
        (b"metadata[a][b]=1", "metadata[a]"),
        (b"metadata=x", "metadata"),
        (b"address[city]=x&address[cty]=y", "address[cty]"),
        (b"tax_exempt=maybe", "tax_exempt"),
        (b"balance=1.5", "balance"),
        (b"name=a&name[b]=c", "name[b]"),
        (b"metadata[" + b"k" * 41 + b"]=1", f"metadata[{'k' * 41}]"),
        (b"preferred_locales=de", "preferred_locales"),
    ],
)
def test_forms_that_make_no_sense_name_the_parameter(
    http: httpx2.Client, text: bytes, param: str
) -> None:
    answer = form(http, text)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert openapi.stripe().check("POST", "/v1/customers", 400, answer.content) == []


@pytest.mark.parametrize("text", [b"name=%ff", b"\xff=1"])
def test_bytes_that_are_no_text_are_refused(http: httpx2.Client, text: bytes) -> None:
    assert form(http, text).status_code == 400


def test_what_is_not_simulated_is_never_ignored(http: httpx2.Client) -> None:
    answer = form(http, b"source=tok_visa")
    assert answer.status_code == 501
    assert answer.json()["error"]["param"] == "source"
    listed = http.get("/v1/customers", params={"test_clock": "clock_1"})
    assert listed.status_code == 501


def test_an_object_can_appear_late_behind_a_cursor(
    http: httpx2.Client, stripe_simulator: StripeSimulator
) -> None:
    first = http.get("/v1/customers", params={"limit": "1"}).json()["data"][0]
    late = stripe_simulator.control.post(
        f"objects/customers?created={first['created'] - 1}", name="Late"
    )
    listed = http.get("/v1/customers", params={"limit": "100"}).json()["data"]
    ids = [each["id"] for each in listed]
    assert ids.index(late["id"]) > ids.index(first["id"])
    newer = {"created[gte]": str(first["created"]), "limit": "100"}
    seen = http.get("/v1/customers", params=newer).json()["data"]
    assert late["id"] not in {each["id"] for each in seen}
