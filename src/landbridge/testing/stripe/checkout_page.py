"""The page that a checkout session's `url` leads to, and what a customer does there.

| call | does |
|---|---|
| `GET /_sim/checkout/{session}` | the page, with a button for each way to pay |
| `POST /_sim/checkout/{session} {"pays": "card", "email": ".."}` | pays by `card`, by one that is |
|  | `declined`, or by a `bank` that takes its time; leads to `success_url` |
| `POST /_sim/checkout/{session}/settle {"succeeds": true}` | what the bank has decided |
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from urllib.parse import parse_qsl

from landbridge.testing.asgi import Answer, BadCall, Call, as_json
from landbridge.testing.stage import Stage, among
from landbridge.testing.stripe.checkout import WAYS, opened, pay, settle
from landbridge.testing.stripe.problems import Problem
from landbridge.testing.stripe.world import Obj, World
from landbridge.wire import Headers, Response

_EMAIL = "payer@example.com"


class CheckoutPage:
    """The routes of the table above, added to the stage's."""

    def __init__(self, stage: Stage, world: World):
        self._world = world
        place = "/_sim/checkout/{session}"
        stage.control.add("GET", place, self._show)
        stage.control.add("POST", place, self._pay)
        stage.control.add("POST", f"{place}/settle", self._settle)

    def _show(self, call: Call) -> Answer:
        """The page on which a customer pays a checkout session."""
        session = self._session(call)
        items = "".join(
            f"<li>{each['quantity']} &times; {escape(each['description'])}"
            for each in self._world.items_of[session["id"]]
        )
        buttons = "".join(f'<button name="pays" value="{way}">{way}</button>' for way in WAYS)
        back = session["cancel_url"]
        leave = f'<a href="{escape(back)}">Back</a>' if back else ""
        text = (
            f"<!doctype html><title>Pay</title><ul>{items}</ul>"
            f"<p>{session['amount_total']} {session['currency']} (minor units)"
            f'<form method="post">{buttons}</form>{leave}'
        )
        head = Headers([("content-type", "text/html; charset=utf-8")])
        return Response(status=200, headers=head, body=text.encode())

    def _pay(self, call: Call) -> Answer:
        """Pays a checkout session, as its customer."""
        session = self._session(call)
        form = "form" in call.headers.get("content-type", "")
        asked = dict(parse_qsl(call.body.decode())) if form else call.json()
        way = among("pays", str(asked.get("pays", "card")), WAYS)
        done = pay(self._world, session["id"], way, str(asked.get("email", _EMAIL)))
        if done["status"] == "open":
            return as_json({"status": "open", "error": "Your card was declined."}, 402)
        leads = done["success_url"].replace("{CHECKOUT_SESSION_ID}", done["id"])
        answer = as_json({"status": done["status"], "payment_status": done["payment_status"]}, 303)
        return Response(
            status=303, headers=answer.headers.having({"Location": leads}), body=answer.body
        )

    def _settle(self, call: Call) -> Answer:
        """Tells what the bank decided about a session that is complete and not yet paid."""
        succeeds = call.json().get("succeeds", True) is True
        with _in_words():
            return as_json(settle(self._world, call.place["session"], succeeds=succeeds))

    def _session(self, call: Call) -> Obj:
        with _in_words():
            return opened(self._world, call.place["session"])


@contextmanager
def _in_words() -> Iterator[None]:
    """What the vendor would refuse, as a call that makes no sense."""
    try:
        yield
    except Problem as problem:
        raise BadCall(str(problem)) from None
