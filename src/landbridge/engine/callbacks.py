"""Tells a provider which events are wanted where, and sends the codes back that it posts there.

A code comes unsigned, to whoever knows the address. It is believed when the provider takes it back
by a call with the connection's own credentials; from then on it is what signs.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from landbridge.client import Client, SignIn
from landbridge.engine.receive import add_connection_secret, open_code
from landbridge.errors import InvalidInput
from landbridge.protocols import Place
from landbridge.protocols.callbacks import Subscribed, confirm, rules_of, subscribe
from landbridge.spec import Provider
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import Vault

__all__ = ["Callbacks", "Subscribed"]


class Callbacks:
    """Callbacks of connections at their providers."""

    def __init__(
        self, db: Database, vault: Vault, client: Client, *, provider: Callable[[str], Provider]
    ):
        self._db = db
        self._vault = vault
        self._client = client
        self._provider = provider

    async def subscribe(self, connection: Connection, address: str) -> tuple[Subscribed, ...]:
        """Has the provider post every event of its page to `address`; what became of each.

        InvalidInput where the provider is not told by its API, or the address is no https one that
        the outside can reach.
        """
        provider = self._provider(connection.provider)
        if not address.startswith(("https://", "http://")):
            raise InvalidInput(
                f"LANDBRIDGE_PUBLIC_URL: {address!r} is no address that {provider.name} can post to"
            )
        signed = self._client.signed(provider, SignIn(connection=connection))
        place = _place(provider, connection)
        return await signed.converse(subscribe(provider, place, connection.account, address))

    async def confirm(self, connection: Connection, key: str, sealed: str) -> None:
        """Sends a code back and keeps it as a secret of the connection's webhooks; Refused if it
        is not the provider's."""
        provider = self._provider(connection.provider)
        rules_of(provider)
        code = await open_code(self._vault, connection, key, base64.b64decode(sealed))
        signed = self._client.signed(provider, SignIn(connection=connection))
        place = _place(provider, connection)
        await signed.converse(confirm(provider, place, connection.account, key, code))
        await add_connection_secret(self._db, self._vault, connection, code)


def _place(provider: Provider, connection: Connection) -> Place:
    accounts = provider.accounts
    base = connection.settings.get("accounts") or (accounts.base if accounts else "")
    return Place(base=str(base or provider.base).rstrip("/"))
