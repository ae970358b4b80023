"""pytest fixtures: a fresh simulator per test, running, with its control client.

Switch them on in your conftest.py: `pytest_plugins = ["landbridge.testing.pytest_plugin"]`.
Override a simulator's settings, like `stripe_settings` or `receiver_settings`, to begin otherwise;
`@pytest.mark.simulator(quota="10/s", late=2, duplicate=0.5, token_life=60)` has them behave badly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import pytest

from landbridge.errors import SettingsError
from landbridge.testing import (
    Conduct,
    caldav,
    freshbooks,
    paypal,
    quickbooks,
    receiver,
    square,
    stripe,
    xero,
)
from landbridge.testing.asgi import App
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.testing.serve import places
from landbridge.testing.stage import Stage


@dataclass(frozen=True, kw_only=True)
class StripeSimulator:
    """A Stripe account at `url` that accepts `key`."""

    url: str
    key: str
    control: Control
    simulator: stripe.Simulator


@dataclass(frozen=True, kw_only=True)
class CalDAVSimulator:
    """A CalDAV server at `url` with one calendar at `calendar_url`."""

    url: str
    user: str
    password: str
    calendar_url: str
    control: Control
    simulator: caldav.Simulator


S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class _AppSimulator(Generic[S]):
    """A simulator at `url`, where one app is registered as `client_id`."""

    NAME: ClassVar[str]

    url: str
    client_id: str
    client_secret: str
    control: Control
    simulator: S

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a connection that lead to it: `connect` and `begin_consent` take them."""
        return places(self.NAME, self.url)


class XeroSimulator(_AppSimulator[xero.Simulator]):
    """Xero at `url`, where one app is registered as `client_id`."""

    NAME = "xero"


class PayPalSimulator(_AppSimulator[paypal.Simulator]):
    """A PayPal merchant at `url`, whose app is `client_id`."""

    NAME = "paypal"


class FreshBooksSimulator(_AppSimulator[freshbooks.Simulator]):
    """FreshBooks at `url`, where one app is registered as `client_id`."""

    NAME = "freshbooks"


class SquareSimulator(_AppSimulator[square.Simulator]):
    """Square at `url`, where one app is registered as `client_id`."""

    NAME = "square"


class QuickBooksSimulator(_AppSimulator[quickbooks.Simulator]):
    """QuickBooks Online at `url`, where one app is registered as `client_id`."""

    NAME = "quickbooks"


@dataclass(frozen=True, kw_only=True)
class WebhookReceiver:
    """A receiver at `url`; `hook(name)` adds an endpoint."""

    url: str
    control: Control
    receiver: receiver.Receiver

    def hook(self, name: str, secret: str | None = None) -> tuple[str, str]:
        """The address and the secret of an endpoint, made now."""
        return f"{self.url}/hook/{name}", self.receiver.add(name, secret)


A = TypeVar("A", bound=_AppSimulator[Any])


class _Staged(Protocol):
    app: App
    stage: Stage


@contextmanager
def _running(simulator: _Staged) -> Iterator[tuple[str, Control]]:
    """Where it answers, and its control client; its journal is closed after that."""
    with in_thread(simulator.app) as url, Control(url) as control:
        yield url, control
    simulator.stage.journal.close()


def _registered(
    kind: type[A], simulator: _Staged, client_id: str, client_secret: str
) -> Iterator[A]:
    """It, running, where this app is registered."""
    with _running(simulator) as (url, control):
        yield kind(
            url=url,
            client_id=client_id,
            client_secret=client_secret,
            control=control,
            simulator=simulator,
        )


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker `simulator` known."""
    config.addinivalue_line(
        "markers",
        "simulator(quota=, late=, duplicate=, token_life=, faults=): how simulators behave badly;"
        " see landbridge.testing.Conduct",
    )


@pytest.fixture
def simulator_conduct(request: pytest.FixtureRequest) -> Conduct:
    """How the simulators of a test behave badly: what its marker `simulator` says."""
    return conduct_of(request.node.get_closest_marker("simulator"))


def conduct_of(marker: pytest.Mark | None) -> Conduct:
    """What a marker `simulator` says, such as `@pytest.mark.simulator(quota="10/s")`.

    `SettingsError` names what it does not take, or takes otherwise.
    """
    if marker is None:
        return Conduct()
    known = [each.name for each in fields(Conduct) if each.init]
    if wrong := [*map(repr, marker.args), *(name for name in marker.kwargs if name not in known)]:
        raise SettingsError(
            f"the marker simulator takes {', '.join(known)} by their names, not {', '.join(wrong)}"
        )
    return Conduct(**marker.kwargs)


@pytest.fixture
def stripe_settings(simulator_conduct: Conduct) -> stripe.Settings:
    """How `stripe_simulator` begins."""
    return stripe.Settings(conduct=simulator_conduct)


@pytest.fixture
def caldav_settings(simulator_conduct: Conduct) -> caldav.Settings:
    """How `caldav_simulator` begins."""
    return caldav.Settings(conduct=simulator_conduct)


@pytest.fixture
def xero_settings(simulator_conduct: Conduct) -> xero.Settings:
    """How `xero_simulator` begins."""
    return xero.Settings(conduct=simulator_conduct)


@pytest.fixture
def paypal_settings(simulator_conduct: Conduct) -> paypal.Settings:
    """How `paypal_simulator` begins."""
    return paypal.Settings(conduct=simulator_conduct)


@pytest.fixture
def freshbooks_settings(simulator_conduct: Conduct) -> freshbooks.Settings:
    """How `freshbooks_simulator` begins."""
    return freshbooks.Settings(conduct=simulator_conduct)


@pytest.fixture
def square_settings(simulator_conduct: Conduct) -> square.Settings:
    """How `square_simulator` begins."""
    return square.Settings(conduct=simulator_conduct)


@pytest.fixture
def quickbooks_settings(simulator_conduct: Conduct) -> quickbooks.Settings:
    """How `quickbooks_simulator` begins."""
    return quickbooks.Settings(conduct=simulator_conduct)


@pytest.fixture
def receiver_settings() -> receiver.Settings:
    """How `webhook_receiver` begins."""
    return receiver.Settings()


@pytest.fixture
def stripe_simulator(stripe_settings: stripe.Settings) -> Iterator[StripeSimulator]:
    """A running Stripe simulator, new for each test."""
    simulator = stripe.Simulator(stripe_settings)
    with _running(simulator) as (url, control):
        key = stripe_settings.keys[0]
        yield StripeSimulator(url=url, key=key, control=control, simulator=simulator)


@pytest.fixture
def caldav_simulator(caldav_settings: caldav.Settings) -> Iterator[CalDAVSimulator]:
    """A running CalDAV simulator, new for each test."""
    simulator = caldav.Simulator(caldav_settings)
    with _running(simulator) as (url, control):
        yield CalDAVSimulator(
            url=url,
            user=caldav_settings.user,
            password=caldav_settings.password,
            calendar_url=url + simulator.calendar,
            control=control,
            simulator=simulator,
        )


@pytest.fixture
def xero_simulator(xero_settings: xero.Settings) -> Iterator[XeroSimulator]:
    """A running Xero simulator, new for each test."""
    simulator = xero.Simulator(xero_settings)
    yield from _registered(XeroSimulator, simulator, xero.CLIENT, xero.SECRET)


@pytest.fixture
def paypal_simulator(paypal_settings: paypal.Settings) -> Iterator[PayPalSimulator]:
    """A running PayPal simulator, new for each test."""
    simulator = paypal.Simulator(paypal_settings)
    client, secret = paypal_settings.clients[0]
    yield from _registered(PayPalSimulator, simulator, client, secret)


@pytest.fixture
def freshbooks_simulator(
    freshbooks_settings: freshbooks.Settings,
) -> Iterator[FreshBooksSimulator]:
    """A running FreshBooks simulator, new for each test."""
    simulator = freshbooks.Simulator(freshbooks_settings)
    yield from _registered(FreshBooksSimulator, simulator, freshbooks.CLIENT, freshbooks.SECRET)


@pytest.fixture
def square_simulator(square_settings: square.Settings) -> Iterator[SquareSimulator]:
    """A running Square simulator, new for each test."""
    simulator = square.Simulator(square_settings)
    yield from _registered(SquareSimulator, simulator, square.APPLICATION, square.SECRET)


@pytest.fixture
def quickbooks_simulator(
    quickbooks_settings: quickbooks.Settings,
) -> Iterator[QuickBooksSimulator]:
    """A running QuickBooks simulator, new for each test."""
    simulator = quickbooks.Simulator(quickbooks_settings)
    yield from _registered(QuickBooksSimulator, simulator, quickbooks.CLIENT, quickbooks.SECRET)


@pytest.fixture
def webhook_receiver(receiver_settings: receiver.Settings) -> Iterator[WebhookReceiver]:
    """A running receiver of webhooks, new for each test."""
    one = receiver.Receiver(receiver_settings)
    with _running(one) as (url, control):
        yield WebhookReceiver(url=url, control=control, receiver=one)
