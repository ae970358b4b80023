"""The receiver of webhooks: it believes what the public package signs, and remembers all of it."""

import base64
import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import httpx2
import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from landbridge.errors import InvalidInput, SettingsError
from landbridge.testing.control import Control
from landbridge.testing.pytest_plugin import WebhookReceiver
from landbridge.testing.receiver import Receiver, Settings
from landbridge.testing.receiver.verify import Verify, own, public_package
from landbridge.testing.running import spawn
from landbridge.wire import Headers
from tests.plain import PLAIN

BODY = json.dumps({"type": "invoice.paid", "data": {"id": "in_1"}}).encode()
SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four!").decode()


def signed(
    secret: str, *, message: str = "msg_1", body: bytes = BODY, at: int | None = None
) -> dict[str, str]:
    """The headers that the public package would send."""
    moment = datetime.fromtimestamp(int(time.time()) if at is None else at, UTC)
    signature = standardwebhooks.Webhook(secret).sign(message, moment, body.decode())
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(timeout=20, trust_env=False, verify=PLAIN) as client:
        yield client


class Post(Protocol):
    def __call__(
        self, url: str, headers: dict[str, str], body: bytes = BODY
    ) -> httpx2.Response: ...


@pytest.fixture
def post(http: httpx2.Client) -> Post:
    return lambda url, headers, body=BODY: http.post(url, content=body, headers=headers)


def test_what_the_public_package_signs_is_believed(
    webhook_receiver: WebhookReceiver, post: Post
) -> None:
    url, secret = webhook_receiver.hook("shop")
    assert post(url, signed(secret)).status_code == 200
    (entry,) = webhook_receiver.control.journal()
    assert entry["verified"]
    assert (entry["endpoint"], entry["webhook_id"], entry["type"], entry["status"]) == (
        "shop",
        "msg_1",
        "invoice.paid",
        200,
    )
    stats = webhook_receiver.control.get("stats")
    assert stats["verified_by"] == "standardwebhooks"
    assert (stats["messages"], stats["duplicates"], stats["refused"]) == (1, 0, 0)


def test_nothing_else_is(webhook_receiver: WebhookReceiver, post: Post) -> None:
    url, secret = webhook_receiver.hook("shop")
    other, _ = webhook_receiver.hook("other")
    good = signed(secret)
    assert post(url, good, BODY + b" ").status_code == 400
    assert post(other, good).status_code == 400
    assert post(url, {}).status_code == 400
    assert post(url, {**good, "webhook-signature": "nonsense"}).status_code == 400
    assert post(url, signed(secret, at=int(time.time()) - 400)).status_code == 400
    assert post(f"{url}-unknown", good).status_code == 404
    entries = webhook_receiver.control.journal()
    assert [each["verified"] for each in entries] == [False] * 6
    assert all(each["reason"] for each in entries)
    assert webhook_receiver.control.get("stats")["messages"] == 0


@pytest.mark.parametrize("read", [own, public_package])
def test_both_readings_of_the_scheme_agree(read: Any) -> None:
    verify: Verify = read(SECRET)
    now = int(time.time())
    good = signed(SECRET, at=now)
    assert verify(BODY, Headers(good), now) is None
    two = {**good, "webhook-signature": "v1,AAAA " + good["webhook-signature"]}
    assert verify(BODY, Headers(two), now) is None
    for change in (
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(now + 1)},
        {"webhook-timestamp": "now"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": good["webhook-signature"].replace("v1,", "v2,")},
        {"webhook-id": ""},
    ):
        assert verify(BODY, Headers({**good, **change}), now) is not None
    assert verify(BODY + b"\n", Headers(good), now) is not None
    late = Headers(signed(SECRET, at=now - 301))
    assert verify(BODY, late, now) is not None


def test_ed25519_signatures_are_checked_by_the_public_key(
    webhook_receiver: WebhookReceiver,
    post: Post,
) -> None:
    key = Ed25519PrivateKey.generate()
    public = "whpk_" + base64.b64encode(key.public_key().public_bytes_raw()).decode()
    url, _ = webhook_receiver.hook("signed", public)
    now = str(int(time.time()))
    mark = base64.b64encode(key.sign(f"msg_1.{now}.".encode() + BODY)).decode()
    head = {"webhook-id": "msg_1", "webhook-timestamp": now}
    assert post(url, {**head, "webhook-signature": f"v1a,{mark}"}).status_code == 200
    assert post(url, {**head, "webhook-signature": f"v1,{mark}"}).status_code == 400
    assert post(url, {**head, "webhook-signature": "v1a,AAAA"}).status_code == 400


def test_the_first_tries_of_selected_messages_fail(
    webhook_receiver: WebhookReceiver, post: Post
) -> None:
    url, secret = webhook_receiver.hook("shop")
    control = webhook_receiver.control
    control.post("failures", tries=2, answer="503", retry_after="7", type="invoice.*")
    first = post(url, signed(secret))
    assert (first.status_code, first.headers["retry-after"]) == (503, "7")
    assert [post(url, signed(secret)).status_code for _ in range(2)] == [503, 200]
    other = json.dumps({"type": "customer.made"}).encode()
    assert post(url, signed(secret, message="msg_2", body=other), other).status_code == 200
    assert [each["tries"] for each in control.journal()] == [1, 2, 3, 1]
    stats = control.get("stats")
    assert (stats["messages"], stats["failed"], stats["duplicates"]) == (2, 2, 0)
    assert post(url, signed(secret)).status_code == 200
    assert control.get("stats")["duplicates"] == 1


@pytest.mark.parametrize(("answer", "location"), [("410", None), ("302", "http://127.0.0.1:9/")])
def test_it_answers_as_it_is_told(
    webhook_receiver: WebhookReceiver, post: Post, answer: str, location: str | None
) -> None:
    url, secret = webhook_receiver.hook("shop")
    webhook_receiver.control.post("failures", answer=answer)
    got = post(url, signed(secret))
    assert (got.status_code, got.headers.get("location")) == (int(answer), location)


def test_it_hangs_up_without_an_answer(webhook_receiver: WebhookReceiver, post: Post) -> None:
    url, secret = webhook_receiver.hook("shop")
    webhook_receiver.control.post("failures", answer="drop")
    with pytest.raises(httpx2.TransportError):
        post(url, signed(secret))
    webhook_receiver.control.delete("failures")
    webhook_receiver.control.post("failures", answer="hang", seconds=0.2)
    with pytest.raises(httpx2.TransportError):
        post(url, signed(secret, message="msg_2"))
    assert [each["status"] for each in webhook_receiver.control.journal()] == [None, None]


def test_it_spreads_its_answer_over_time(
    webhook_receiver: WebhookReceiver, http: httpx2.Client
) -> None:
    url, secret = webhook_receiver.hook("shop")
    webhook_receiver.control.post("failures", answer="slow", seconds=0.5)
    head = signed(secret)
    with http.stream("POST", url, content=BODY, headers=head) as answer:
        pieces = list(answer.iter_raw())
    assert answer.status_code == 200
    assert len(pieces) > 3


def test_one_message_in_ten_is_always_the_same(
    webhook_receiver: WebhookReceiver, post: Post
) -> None:
    url, secret = webhook_receiver.hook("shop")
    webhook_receiver.control.post("failures", tries=1, every=10, answer="500")
    names = [f"msg_{number}" for number in range(60)]
    failed = {n for n in names if post(url, signed(secret, message=n)).status_code == 500}
    assert 0 < len(failed) < 30
    again = [post(url, signed(secret, message=name)).status_code for name in names]
    assert set(again) == {200}


def test_a_recorder_keeps_whatever_comes(webhook_receiver: WebhookReceiver, post: Post) -> None:
    url = f"{webhook_receiver.url}/raw/any?first=500"
    assert [post(url, {"x-mark": "1"}, b"\xff{").status_code for _ in range(2)] == [500, 200]
    first, _ = webhook_receiver.control.journal(path="/raw/*")
    assert (first["headers"]["x-mark"], first["body"]) == ("1", "�{")
    assert webhook_receiver.control.get("stats")["deliveries"] == 0


def test_the_journal_survives_a_kill_and_goes_on(tmp_path: Path, post: Post) -> None:
    journal = tmp_path / "journal.jsonl"
    asked = ["--journal", str(journal), "--endpoint", f"shop={SECRET}"]
    first = spawn("receiver", *asked, "--fail-first", "tries=2,answer=500")
    try:
        assert post(f"{first.url}/hook/shop", signed(SECRET)).status_code == 500
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
    finally:
        first.stop()
    with journal.open("a") as file:
        file.write('{"seq": 2, "cut off')
    second = spawn("receiver", *asked, "--fail-first", "tries=2,answer=500")
    try:
        assert post(f"{second.url}/hook/shop", signed(SECRET)).status_code == 500
        assert post(f"{second.url}/hook/shop", signed(SECRET)).status_code == 200
        with Control(second.url) as control:
            assert [each["seq"] for each in control.journal()] == [1, 2, 3]
            assert control.get("stats")["messages"] == 1
    finally:
        second.stop()
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [each["status"] for each in lines] == [500, 500, 200]
    assert second.process.returncode == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tries", "'tries' is not NAME=VALUE"),
        ("tries=x", "fail-first"),
        ("answer=maybe", "'maybe' is no status"),
        ("every=0", "less than 1"),
        ("retry=1", "'retry' is none of"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_name(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Receiver(Settings(fail_first=(text,)))


def test_a_wrong_secret_is_refused_without_being_shown(webhook_receiver: WebhookReceiver) -> None:
    with pytest.raises(InvalidInput) as caught:
        webhook_receiver.control.post("endpoints", name="x", secret="whsec_!canary!")
    assert "base64" in str(caught.value)
    assert "canary" not in str(caught.value)
