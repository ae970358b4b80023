"""Receivers of our webhooks, written only with public libraries."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime
from typing import Any

import standardwebhooks
import stripe
import svix.webhooks

from landbridge import signing
from landbridge.errors import Forged
from landbridge.providers import get
from landbridge.signing import standard
from landbridge.wire import Headers
from tests.rows import RowResult, Trial, row


@row(
    "P02",
    title="standardwebhooks and svix verify what we sign, and refuse what was changed",
    goal="all accepted, no forged one",
)
def public_verifiers(trial: Trial) -> RowResult:
    count = trial.size.pick(small=200, medium=2000)
    accepted = refused = 0
    for number in range(count):
        secret = "whsec_" + base64.b64encode(os.urandom(24 + number % 41)).decode()
        body = json.dumps({"type": "invoice.paid", "n": number, "text": "ü\u2028"}).encode()
        headers = standard.sign(secret, f"evt_{number}", datetime.now(UTC), body)
        for verify in _verifiers(secret):
            accepted += _accepts(verify, body, headers)
            refused += not _accepts(verify, body + b" ", headers)
        trial.step(number + 1, count)
    wanted = 2 * count
    return RowResult(
        value=f"{accepted} accepted, {refused} forged refused, of {wanted} each",
        holds=accepted == refused == wanted,
        detail={"accepted": accepted, "refused": refused, "tried": wanted},
    )


def _verifiers(secret: str) -> list[Any]:
    return [standardwebhooks.Webhook(secret).verify, svix.webhooks.Webhook(secret).verify]


def _accepts(verify: Any, body: bytes, headers: dict[str, str]) -> bool:
    try:
        verify(body, headers)
    except (standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError):
        return False
    return True


@row(
    "P03",
    title="What the official stripe SDK signs, our verifier accepts; what it changed, not",
    goal="all accepted, no forged one",
)
def stripe_signatures(trial: Trial) -> RowResult:
    count = trial.size.pick(small=200, medium=2000)
    webhook = get("stripe").webhook
    assert webhook is not None
    accepted = refused = 0
    for number in range(count):
        secret = f"whsec_{number:032x}"
        body = json.dumps({"id": f"evt_{number}", "type": "invoice.paid"})
        now = datetime.now(UTC)
        header = stripe.WebhookSignature.generate_signature_header(
            body, secret, int(now.timestamp())
        )
        headers = Headers({"Stripe-Signature": header})
        signing.verify(webhook.signature, [secret], headers, body.encode(), now)
        accepted += 1
        try:
            signing.verify(webhook.signature, [secret], headers, body.encode() + b"\n", now)
        except Forged:
            refused += 1
        trial.step(number + 1, count)
    return RowResult(
        value=f"{accepted} accepted, {refused} forged refused, of {count} each",
        holds=accepted == refused == count,
        detail={"accepted": accepted, "refused": refused, "tried": count},
    )
