"""Poison that comes in: what W10 sends to the intake, and what became of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from landbridge import signing
from landbridge.errors import SignatureError
from landbridge.signing import Standard
from landbridge.signing.standard import new_secret
from landbridge.spec import (
    EchoBody,
    SecretHash,
    SharedToken,
    TimestampedHmac,
    hmac_base64,
    hmac_hex,
)
from landbridge.store import parked
from landbridge.wire import Headers
from tests.faults.inbound import SECRET, Inbound, event, inbound
from tests.rows import Trial

_DEEP = 50_000
_LARGE = 10_000_000

# Of each way of signing: what its headers may be when somebody means harm.
_TEXTS = (
    "",
    " ",
    "t=",
    "t=,v1=",
    "v1=;;t",
    "t=1",
    "t=x,v1=00",
    "t=-1,v1=00",
    "t=1e9,v1=00",
    "t=99999999999999999999,v1=00",
    "t=\u00b2,v1=00",
    "t=1,v1=" + "0" * 100_000,
    "t=1," + "v1=00," * 10_000,
    "t=1,v1=\xff\xfe",
    "\x00",
    "v1," + "=" * 999,
    "v1,\xe9",
    "v1a,AAAA",
    "v1,AAAA " * 5_000,
)


async def poison_in(trial: Trial) -> tuple[dict[str, int], bool]:
    """Sends every poison, each followed by a webhook that is well.

    The counts: `sent`, answers by class (`2xx`, `4xx`, `5xx`), `parked` with a reason, `unknown`
    (neither refused, parked nor filed) and `lost` (webhooks that were well and were not filed). It
    holds when all poison was refused or parked, and nothing that was well was lost.
    """
    rounds = trial.size.pick(small=1, medium=10)
    counts: Counter[str] = Counter()
    handshake = EchoBody(challenge="challenge", when={"type": "url_verification"})
    async with inbound(processes=1, max_body=1_000_000, handshake=handshake) as stage:
        for turn in range(rounds):
            for number, body in enumerate(bodies()):
                await _send(stage, counts, body, None, turn * 1000 + number)
            right = stage.signature(b"{}").encode()
            for number, headers in enumerate(header_lists(b"shop-signature", right)):
                await _send(stage, counts, b"{}", headers, turn * 1000 + 500 + number)
            trial.step(turn + 1, rounds)
        held = await parked.every(stage.db, environment="test", what="arrival", most=10_000)
        counts["parked"] = sum(bool(one.reason) for one in held)
    counts["unverified"] = _unverified()
    holds = (
        counts["5xx"] == 0
        and counts["lost"] == 0
        and counts["unknown"] == 0
        and counts["parked"] == counts["2xx"] > 0
        and counts["4xx"] > 0
        and counts["unverified"] == 7 * len(_TEXTS)
    )
    return dict(counts), holds


def bodies(event: Callable[..., bytes] = event) -> Iterator[bytes]:
    """Bodies that no vendor sends, and that are signed all the same; `event` makes the vendor's."""
    yield b""
    yield b"\xff\xfe\x00"
    yield b'{"id": "\xff"}'
    yield b"\xef\xbb\xbf" + event(1)
    yield b'{"id": "evt\x00", "type": "a"}'
    yield event(1, id="evt_\x00")
    yield event(1, type="customer.\x00")
    yield event(1, account="acct_\x00")
    yield event(1, data={"id": "cus_\x00"})
    yield event(1, id="\ud800")
    yield event(1, type="\udfff.x")
    yield event(1, data={"id": "\ud800"})
    yield event(1, id="i" * 100_000)
    yield event(1, type="t" * 100_000)
    yield event(1, account="a" * 100_000)
    yield event(1, data={"id": "k" * 100_000})
    yield b'{"id": ' + b"9" * 100_000 + b', "type": "customer.updated", "account": "acct_1"}'
    yield b'{"id": 1e999, "type": 7}'
    yield b"[" * _DEEP + b"]" * _DEEP
    yield b'{"a":' * _DEEP + b"1" + b"}" * _DEEP
    yield b'{"data": ' * 500 + b"}" * 500
    yield b"x" * _LARGE
    yield json.dumps([1, 2, 3]).encode()
    yield b"null"
    yield b'"text"'
    yield b'{"id": "evt_1", "type": {"a": 1}, "account": ["acct_1"], "data": 5}'
    yield event(1, account={"a": 1})
    yield b'{"type": "url_verification", "challenge": "<script>"}'
    yield b'{"type": "url_verification", "challenge": ' + b"[" * 3000
    yield b"PK\x03\x04" + bytes(range(256))


def header_lists(name: bytes, signature: bytes) -> Iterator[list[tuple[bytes, bytes]]]:
    """Headers that no vendor sends, some beside the right `signature` for the body `{}`."""
    right = (name, signature)
    for text in _TEXTS:
        yield [(name, text.encode("latin-1", "replace"))]
    yield []
    yield [(name, b"\xff" * 5000)]
    yield [right, (name, b"t=1,v1=00")]
    yield [right, (b"content-encoding", b"gzip")]
    yield [right, (b"content-encoding", b"\xff")]
    yield [right, (b"content-length", b"9" * 5000)]
    yield [right, (b"content-length", b"\xb2\xb3")]
    yield [right, (b"x-\xff", b"\x00\xff"), (b"", b"")]
    yield [right, *((b"x-many", b"1") for _ in range(5000))]


async def _send(
    stage: Inbound,
    counts: Counter[str],
    body: bytes,
    headers: list[tuple[bytes, bytes]] | None,
    number: int,
) -> None:
    """One poison, and after it one that is well: the lane goes on."""
    counts["sent"] += 1
    try:
        status = await stage.post(body, headers=headers)
        counts[f"{status // 100}xx"] += 1
        done = await stage.sort()
        counts["unknown"] += status < 400 and done.parked + done.filed == 0
    except Exception:  # noqa: BLE001 - whatever came through, a server would answer with 500
        counts["5xx"] += 1
    well = await stage.post(event(10_000 + number))
    filed = (await stage.sort()).filed
    counts["lost"] += well != 200 or filed != 1


def _unverified() -> int:
    """How many malformed claims each way of signing refuses by the error that says so."""
    refused = 0
    now = datetime.now(UTC)
    for text in _TEXTS:
        for scheme, headers, secret in (
            (TimestampedHmac(header="S"), {"S": text}, SECRET),
            (hmac_hex("S"), {"S": text}, SECRET),
            (hmac_base64("S", key="base64"), {"S": text}, new_secret()[6:]),
            (
                hmac_base64("S", signs="{timestamp}{body}", timestamp="T"),
                {"S": "x", "T": text},
                SECRET,
            ),
            (SecretHash(header="S"), {"S": text}, SECRET),
            (SharedToken(header="S"), {"S": text}, SECRET),
            (
                Standard(tolerance=timedelta(days=99_999)),
                {"webhook-id": "m", "webhook-timestamp": "1", "webhook-signature": text},
                new_secret(),
            ),
        ):
            try:
                signing.verify(scheme, [secret], Headers(headers), b"{}", now)
            except SignatureError:
                refused += 1
    return refused
