"""The verbs of consents: our OAuth clients, connecting in a browser, and tokens from elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from landbridge.app._writing import Writing
from landbridge.engine.app_client import enable, set_client
from landbridge.engine.audit import Audited, audit
from landbridge.engine.callbacks import Subscribed
from landbridge.engine.connect import Connected
from landbridge.engine.consent import Consent, Finished, redirect_uri
from landbridge.engine.importing import Imported, Importer
from landbridge.store import apps
from landbridge.store.apps import App
from landbridge.store.connections import Connection


class Consenting(Writing):
    """What a bridge does about consents, over its open parts."""

    async def set_client(
        self,
        provider: str,
        *,
        client_id: str,
        client_secret: str = "",
        tenant: str | None = None,
        environment: str | None = None,
    ) -> App:
        """The provider's app with this OAuth client; with a `tenant` it is that tenant's own."""
        return await set_client(
            self.db,
            self._open.vault,
            self.provider(provider),
            environment=environment or self.settings.environment,
            tenant=tenant,
            client_id=client_id,
            client_secret=client_secret,
        )

    async def enable(
        self,
        provider: str,
        *,
        resources: Sequence[str] | None = None,
        writes: Sequence[str] | None = None,
        tenant: str | None = None,
        environment: str | None = None,
    ) -> App:
        """The provider's app with what its consents ask for: `resources` (an empty list: all) and
        `writes` (`invoice`, or `invoice.create`). None leaves it as it is."""
        return await enable(
            self.db,
            self.provider(provider),
            environment=environment or self.settings.environment,
            tenant=tenant,
            resources=resources,
            writes=writes,
        )

    async def apps(self, *, environment: str | None = None) -> list[App]:
        """The apps of an environment: one a provider, and those that tenants brought."""
        return await apps.every(self.db, environment=environment or self.settings.environment)

    def redirect_uri(self, provider: str) -> str:
        """The address that has to be registered at a provider for consents."""
        return redirect_uri(self.settings.public_url, provider)

    async def audit(
        self, *, tenant: str | None = None, environment: str | None = None
    ) -> list[Audited]:
        """What connections were granted, beside what is needed now; of one tenant if named."""
        where = environment or self.settings.environment
        return await audit(self.db, provider=self.provider, environment=where, tenant=tenant)

    async def import_grants(
        self,
        rows: Iterable[Mapping[str, object]],
        *,
        every: timedelta | None = timedelta(minutes=5),
        environment: str | None = None,
    ) -> AsyncIterator[Imported]:
        """Takes over tokens that were granted elsewhere, a result a row: see `Importer.run`."""
        importer = Importer(
            db=self.db,
            vault=self._open.vault,
            client=self._open.client,
            provider=self.provider,
            environment=environment or self.settings.environment,
            every=every,
        )
        async for done in importer.run(rows):
            yield done

    async def begin_consent(
        self, provider: str, *, tenant: str, environment: str | None = None, **more: Any
    ) -> Consent:
        """The address at which a tenant consents in a browser, and a token to keep in that browser.

        `more` is what `Consents.begin` takes: `resources`, `writes`, `fields`, `settings`, `owner`,
        `label`, `connection` (to connect it again), `choose`, `context`.
        """
        where = environment or self.settings.environment
        return await self._open.consents.begin(provider, environment=where, tenant=tenant, **more)

    async def finish_consent(
        self, provider: str, query: Mapping[str, str], browser_token: str
    ) -> Finished:
        """The connections that a consent came to, from the parameters with which the browser came
        to this provider's redirect address. ConsentRefused says why there are none."""
        return await self._open.consents.finish(provider, query, browser_token)

    async def choose_accounts(
        self, choice: str, browser_token: str, chosen: Sequence[str]
    ) -> list[Connected]:
        """Begins the chosen ones of the connections that a consent offered (`Finished.choice`)."""
        return await self._open.consents.choose(choice, browser_token, chosen)

    async def subscribe(self, connection: Connection) -> tuple[Subscribed, ...]:
        """Has the provider post every event of its page to the connection's intake address.

        For providers that are told by their API (FreshBooks). They post a code to the address,
        which a worker sends back; it is then a secret of the connection's webhooks. Doing it again
        makes what is missing. SpecError where the address is given by hand.
        """
        address = await self._open.intake_url(connection)
        return await self._open.callbacks.subscribe(connection, address)
