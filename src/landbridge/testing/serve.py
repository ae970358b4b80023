"""Runs a simulator as a server: `python -m landbridge.testing.serve stripe --port 0`.

Listens on loopback only. Prints one line of JSON when it answers, `{"name", "url", "pid", ...}`,
and ends on SIGTERM. Port 0 takes a free port.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from landbridge.errors import LandbridgeError
from landbridge.testing.asgi import App
from landbridge.testing.conduct import Conduct
from landbridge.testing.running import address, listening, run_here
from landbridge.testing.stage import starting_at

_Build = Callable[[argparse.Namespace], tuple[App, dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What can be served: in words, the options that are its own, and what makes it."""

    what: str
    options: Callable[[argparse.ArgumentParser], None]
    build: _Build


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when it was told to end, 2 when it could not start."""
    asked = _parser().parse_args(arguments)
    try:
        listener = listening(asked.port)
        with listener:
            app, more = KINDS[asked.simulator].build(asked)
            ready = {"name": asked.simulator, "url": address(listener), "pid": os.getpid()}
            run_here(app, listener, ready | more, on_eof=asked.stop_on_eof)
    except LandbridgeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def build(name: str, *arguments: str, conduct: Conduct | None = None) -> tuple[App, dict[str, Any]]:
    """The simulator of KINDS with these options, not served yet, and what has to be known of it.

    `conduct` says how it behaves badly; a receiver of webhooks has options of its own for that.
    """
    asked = _parser().parse_args([name, *arguments])
    asked.conduct = conduct or Conduct()
    return KINDS[name].build(asked)


def places(name: str, url: str) -> dict[str, str]:
    """The settings of a connection that lead to this simulator at `url`; none for a receiver."""
    lead = getattr(import_module(f"landbridge.testing.{name}"), "places", None)
    return lead(url) if lead else {}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m landbridge.testing.serve")
    parser.set_defaults(conduct=Conduct())
    kinds = parser.add_subparsers(dest="simulator", required=True)
    for name, kind in KINDS.items():
        kind.options(_common(kinds.add_parser(name, help=kind.what, description=kind.what)))
    return parser


def _common(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--journal", type=Path, help="append a JSON line per request here")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same content")
    parser.add_argument("--now", type=float, help="begin at this unix time, not at the real one")
    parser.add_argument(
        "--stop-on-eof", action="store_true", help="end when standard input is closed"
    )
    return parser


def _base(asked: argparse.Namespace) -> Callable[[], float] | None:
    return None if asked.now is None else starting_at(asked.now)


def _counted(
    name: str, *, minute: int = 0, each: str = ""
) -> Callable[[argparse.ArgumentParser], None]:
    """Options for how much there is, and how many calls a minute are served (0: any number)."""

    def options(parser: argparse.ArgumentParser) -> None:
        amounts = import_module(f"landbridge.testing.{name}").Amounts()
        for field in fields(amounts):
            option = f"--{field.name.replace('_', '-')}"
            parser.add_argument(option, type=int, default=getattr(amounts, field.name))
        if minute:
            told = f"calls a minute and {each}"
            parser.add_argument("--minute", type=int, default=minute, help=told)

    return options


def _begun(asked: argparse.Namespace, amounts: type[Any]) -> dict[str, Any]:
    """The settings that most simulators have."""
    return {
        "seed": asked.seed,
        "amounts": amounts(**{each.name: getattr(asked, each.name) for each in fields(amounts)}),
        "conduct": asked.conduct,
        "journal": asked.journal,
        "base": _base(asked),
    }


def _stripe_options(parser: argparse.ArgumentParser) -> None:
    from landbridge.testing.stripe import KEY  # noqa: PLC0415 - only what is served

    _counted("stripe")(parser)
    parser.add_argument("--key", action="append", help=f"accepted API key (default {KEY})")
    parser.add_argument("--webhook-url", help="register this endpoint for all events")
    parser.add_argument("--webhook-secret", help="its whsec_... (default: a random one)")
    parser.add_argument(
        "--webhook-retries", default="0.2,0.5,1,2", help="pauses in seconds after failed tries"
    )


def _stripe(asked: argparse.Namespace) -> tuple[App, dict[str, Any]]:
    from landbridge.testing.stripe import KEY, Amounts, Settings, Simulator  # noqa: PLC0415

    settings = Settings(
        **_begun(asked, Amounts),
        keys=tuple(asked.key or [KEY]),
        webhook_url=asked.webhook_url,
        webhook_secret=asked.webhook_secret,
        webhook_retries=tuple(float(each) for each in asked.webhook_retries.split(",") if each),
    )
    simulator = Simulator(settings)
    return simulator.app, {"key": settings.keys[0], "account": simulator.world.account["id"]}


def _caldav_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=60, help="in the first calendar")
    parser.add_argument("--user", default="user")
    parser.add_argument("--password", default="password")
    parser.add_argument("--dialect", choices=("radicale", "xandikos"), default="radicale")
    parser.add_argument("--max-sync-token-age", type=float, default=30 * 86_400.0)


def _caldav(asked: argparse.Namespace) -> tuple[App, dict[str, Any]]:
    from landbridge.testing.caldav import Settings, Simulator  # noqa: PLC0415

    settings = Settings(
        seed=asked.seed,
        events=asked.events,
        user=asked.user,
        password=asked.password,
        dialect=asked.dialect,
        max_sync_token_age=asked.max_sync_token_age,
        conduct=asked.conduct,
        journal=asked.journal,
        base=_base(asked),
    )
    simulator = Simulator(settings)
    more = {"username": asked.user, "password": asked.password, "calendar": simulator.calendar}
    return simulator.app, more


def _xero(asked: argparse.Namespace) -> tuple[App, dict[str, Any]]:
    from landbridge.testing import xero  # noqa: PLC0415 - only what is served

    settings = xero.Settings(**_begun(asked, xero.Amounts), limits=xero.Limits(minute=asked.minute))
    simulator = xero.Simulator(settings)
    organisations = {tenant: books.name for tenant, books in simulator.books.items()}
    shown = {"client_id": xero.CLIENT, "client_secret": xero.SECRET}
    return simulator.app, {**shown, "organisations": organisations}


def _paypal(asked: argparse.Namespace) -> tuple[App, dict[str, Any]]:
    from landbridge.testing import paypal  # noqa: PLC0415 - only what is served

    settings = paypal.Settings(**_begun(asked, paypal.Amounts))
    simulator = paypal.Simulator(settings)
    return simulator.app, {"client_id": paypal.CLIENT, "client_secret": paypal.SECRET}


def _freshbooks(asked: argparse.Namespace) -> tuple[App, dict[str, Any]]:
    from landbridge.testing import freshbooks  # noqa: PLC0415 - only what is served

    settings = freshbooks.Settings(**_begun(asked, freshbooks.Amounts), minute=asked.minute)
    simulator = freshbooks.Simulator(settings)
    businesses = {account: books.name for account, books in simulator.books.items()}
    shown = {"client_id": freshbooks.CLIENT, "client_secret": freshbooks.SECRET}
    return simulator.app, {**shown, "businesses": businesses}


def _square(asked: argparse.Namespace) -> tuple[App, dict[str, Any]]:
    from landbridge.testing import square  # noqa: PLC0415 - only what is served

    settings = square.Settings(**_begun(asked, square.Amounts))
    simulator = square.Simulator(settings)
    shown = {"client_id": square.APPLICATION, "client_secret": square.SECRET}
    return simulator.app, {**shown, "merchant": simulator.shop.merchant["id"]}


def _quickbooks(asked: argparse.Namespace) -> tuple[App, dict[str, Any]]:
    from landbridge.testing import quickbooks  # noqa: PLC0415 - only what is served

    settings = quickbooks.Settings(
        **_begun(asked, quickbooks.Amounts), limits=quickbooks.Limits(minute=asked.minute)
    )
    simulator = quickbooks.Simulator(settings)
    companies = {realm: books.name for realm, books in simulator.books.items()}
    shown = {"client_id": quickbooks.CLIENT, "client_secret": quickbooks.SECRET}
    return simulator.app, {**shown, "companies": companies}


def _receiver_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--endpoint", action="append", default=[], help="NAME=whsec_...; served at /hook/NAME"
    )
    parser.add_argument(
        "--fail-first",
        action="append",
        default=[],
        help="like tries=2,answer=503,retry-after=1,every=10,type=invoice.*,endpoint=NAME;"
        " answer is a status, hang, slow or drop",
    )


def _receiver(asked: argparse.Namespace) -> tuple[App, dict[str, Any]]:
    from landbridge.testing.receiver import Receiver, Settings  # noqa: PLC0415

    settings = Settings(
        endpoints=tuple(asked.endpoint),
        fail_first=tuple(asked.fail_first),
        journal=asked.journal,
        base=_base(asked),
    )
    receiver = Receiver(settings)
    return receiver.app, {"endpoints": receiver.hooks()}


KINDS: Mapping[str, Kind] = {
    "stripe": Kind(what="a Stripe account", options=_stripe_options, build=_stripe),
    "caldav": Kind(what="a small CalDAV server", options=_caldav_options, build=_caldav),
    "paypal": Kind(what="a PayPal merchant", options=_counted("paypal"), build=_paypal),
    "xero": Kind(
        what="Xero with some organisations",
        options=_counted("xero", minute=60, each="organisation"),
        build=_xero,
    ),
    "freshbooks": Kind(
        what="FreshBooks with some businesses",
        options=_counted("freshbooks", minute=600, each="business"),
        build=_freshbooks,
    ),
    "square": Kind(what="Square with one merchant", options=_counted("square"), build=_square),
    "quickbooks": Kind(
        what="QuickBooks Online",
        options=_counted("quickbooks", minute=500, each="company"),
        build=_quickbooks,
    ),
    "receiver": Kind(what="a receiver of webhooks", options=_receiver_options, build=_receiver),
}
"""By name, in an order that stays: a new one goes to the end."""


if __name__ == "__main__":
    sys.exit(main())
