"""The simulators as fixtures, as users get them."""

from landbridge.testing.pytest_plugin import (  # noqa: F401 - fixtures are found by name
    caldav_settings,
    caldav_simulator,
    freshbooks_settings,
    freshbooks_simulator,
    paypal_settings,
    paypal_simulator,
    quickbooks_settings,
    quickbooks_simulator,
    receiver_settings,
    simulator_conduct,
    square_settings,
    square_simulator,
    stripe_settings,
    stripe_simulator,
    webhook_receiver,
    xero_settings,
    xero_simulator,
)
