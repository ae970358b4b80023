"""pytest fixtures: a fresh simulator per test, running, with its control client.

Switch them on in your conftest.py: `pytest_plugins = ["landbridge.testing.pytest_plugin"]`.
Override `quickbooks_settings`, `receiver_settings`, `stripe_settings` or `xero_settings` to begin
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from landbridge.testing import (
    caldav,
    freshbooks,
    paypal,
    quickbooks,
    receiver,
    square,
    stripe,
    xero,
)
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread


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


@dataclass(frozen=True, kw_only=True)
class XeroSimulator:
    """Xero at `url`, where one app is registered as `client_id`."""

    url: str
    client_id: str
    client_secret: str
    control: Control
    simulator: xero.Simulator

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a connection that lead to it: `begin_consent(..., settings=...)`."""
        return xero.places(self.url)


@dataclass(frozen=True, kw_only=True)
class PayPalSimulator:
    """A PayPal merchant at `url`, whose app is `client_id`."""

    url: str
    client_id: str
    client_secret: str
    control: Control
    simulator: paypal.Simulator

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a connection that lead to it: `connect(..., settings=...)`."""
        return paypal.places(self.url)


@dataclass(frozen=True, kw_only=True)
class FreshBooksSimulator:
    """FreshBooks at `url`, where one app is registered as `client_id`."""

    url: str
    client_id: str
    client_secret: str
    control: Control
    simulator: freshbooks.Simulator

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a connection that lead to it: `begin_consent(..., settings=...)`."""
        return freshbooks.places(self.url)


@dataclass(frozen=True, kw_only=True)
class SquareSimulator:
    """Square at `url`, where one app is registered as `client_id`."""

    url: str
    client_id: str
    client_secret: str
    control: Control
    simulator: square.Simulator

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a connection that lead to it: `begin_consent(..., settings=...)`."""
        return square.places(self.url)


@dataclass(frozen=True, kw_only=True)
class QuickBooksSimulator:
    """QuickBooks Online at `url`, where one app is registered as `client_id`."""

    url: str
    client_id: str
    client_secret: str
    control: Control
    simulator: quickbooks.Simulator

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a connection that lead to it: `begin_consent(..., settings=...)`."""
        return quickbooks.places(self.url)


@dataclass(frozen=True, kw_only=True)
class WebhookReceiver:
    """A receiver at `url`; `hook(name)` adds an endpoint."""

    url: str
    control: Control
    receiver: receiver.Receiver

    def hook(self, name: str, secret: str | None = None) -> tuple[str, str]:
        """The address and the secret of an endpoint, made now."""
        return f"{self.url}/hook/{name}", self.receiver.add(name, secret)


@pytest.fixture
def stripe_settings() -> stripe.Settings:
    """How `stripe_simulator` begins."""
    return stripe.Settings()


@pytest.fixture
def caldav_settings() -> caldav.Settings:
    """How `caldav_simulator` begins."""
    return caldav.Settings()


@pytest.fixture
def xero_settings() -> xero.Settings:
    """How `xero_simulator` begins."""
    return xero.Settings()


@pytest.fixture
def paypal_settings() -> paypal.Settings:
    """How `paypal_simulator` begins."""
    return paypal.Settings()


@pytest.fixture
def freshbooks_settings() -> freshbooks.Settings:
    """How `freshbooks_simulator` begins."""
    return freshbooks.Settings()


@pytest.fixture
def square_settings() -> square.Settings:
    """How `square_simulator` begins."""
    return square.Settings()


@pytest.fixture
def quickbooks_settings() -> quickbooks.Settings:
    """How `quickbooks_simulator` begins."""
    return quickbooks.Settings()


@pytest.fixture
def receiver_settings() -> receiver.Settings:
    """How `webhook_receiver` begins."""
    return receiver.Settings()


@pytest.fixture
def stripe_simulator(stripe_settings: stripe.Settings) -> Iterator[StripeSimulator]:
    """A running Stripe simulator, new for each test."""
    simulator = stripe.Simulator(stripe_settings)
    with in_thread(simulator.app) as url, Control(url) as control:
        key = stripe_settings.keys[0]
        yield StripeSimulator(url=url, key=key, control=control, simulator=simulator)
    simulator.stage.journal.close()


@pytest.fixture
def caldav_simulator(caldav_settings: caldav.Settings) -> Iterator[CalDAVSimulator]:
    """A running CalDAV simulator, new for each test."""
    simulator = caldav.Simulator(caldav_settings)
    with in_thread(simulator.app) as url, Control(url) as control:
        yield CalDAVSimulator(
            url=url,
            user=caldav_settings.user,
            password=caldav_settings.password,
            calendar_url=url + simulator.calendar,
            control=control,
            simulator=simulator,
        )
    simulator.stage.journal.close()


@pytest.fixture
def xero_simulator(xero_settings: xero.Settings) -> Iterator[XeroSimulator]:
    """A running Xero simulator, new for each test."""
    simulator = xero.Simulator(xero_settings)
    with in_thread(simulator.app) as url, Control(url) as control:
        yield XeroSimulator(
            url=url,
            client_id=xero.CLIENT,
            client_secret=xero.SECRET,
            control=control,
            simulator=simulator,
        )
    simulator.stage.journal.close()


@pytest.fixture
def paypal_simulator(paypal_settings: paypal.Settings) -> Iterator[PayPalSimulator]:
    """A running PayPal simulator, new for each test."""
    simulator = paypal.Simulator(paypal_settings)
    with in_thread(simulator.app) as url, Control(url) as control:
        client, secret = paypal_settings.clients[0]
        yield PayPalSimulator(
            url=url,
            client_id=client,
            client_secret=secret,
            control=control,
            simulator=simulator,
        )
    simulator.stage.journal.close()


@pytest.fixture
def freshbooks_simulator(
    freshbooks_settings: freshbooks.Settings,
) -> Iterator[FreshBooksSimulator]:
    """A running FreshBooks simulator, new for each test."""
    simulator = freshbooks.Simulator(freshbooks_settings)
    with in_thread(simulator.app) as url, Control(url) as control:
        yield FreshBooksSimulator(
            url=url,
            client_id=freshbooks.CLIENT,
            client_secret=freshbooks.SECRET,
            control=control,
            simulator=simulator,
        )
    simulator.stage.journal.close()


@pytest.fixture
def square_simulator(square_settings: square.Settings) -> Iterator[SquareSimulator]:
    """A running Square simulator, new for each test."""
    simulator = square.Simulator(square_settings)
    with in_thread(simulator.app) as url, Control(url) as control:
        yield SquareSimulator(
            url=url,
            client_id=square.APPLICATION,
            client_secret=square.SECRET,
            control=control,
            simulator=simulator,
        )
    simulator.stage.journal.close()


@pytest.fixture
def quickbooks_simulator(
    quickbooks_settings: quickbooks.Settings,
) -> Iterator[QuickBooksSimulator]:
    """A running QuickBooks simulator, new for each test."""
    simulator = quickbooks.Simulator(quickbooks_settings)
    with in_thread(simulator.app) as url, Control(url) as control:
        yield QuickBooksSimulator(
            url=url,
            client_id=quickbooks.CLIENT,
            client_secret=quickbooks.SECRET,
            control=control,
            simulator=simulator,
        )
    simulator.stage.journal.close()


@pytest.fixture
def webhook_receiver(receiver_settings: receiver.Settings) -> Iterator[WebhookReceiver]:
    """A running receiver of webhooks, new for each test."""
    one = receiver.Receiver(receiver_settings)
    with in_thread(one.app) as url, Control(url) as control:
        yield WebhookReceiver(url=url, control=control, receiver=one)
    one.stage.journal.close()
