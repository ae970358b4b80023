"""The page of a connection: the provider's, with what the connection's tenant added to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from landbridge.models.custom import CustomRecord
from landbridge.spec import CustomField, CustomObject, Provider, overlaid
from landbridge.store.connections import Connection
from landbridge.store.overlays import Overlay


def page_of(provider: Callable[[str], Provider], connection: Connection) -> Provider:
    """The page by which this connection is pulled and written.

    SpecError names a custom field, object or code table that does not fit the page, as when the
    page changed.
    """
    return lay(provider(connection.provider), connection.overlay)


def lay(page: Provider, overlay: Sequence[Overlay]) -> Provider:
    """The page with an overlay on it; the page itself where there is none."""
    if not overlay:
        return page
    fields: dict[str, list[CustomField]] = {}
    for row in overlay:
        if row.resource and row.field:
            fields.setdefault(row.resource, []).append(CustomField(name=row.field, **row.facts))
    return overlaid(
        page,
        objects=[CustomObject(name=row.resource, **row.facts) for row in overlay if not row.field],
        fields=fields,
        model=CustomRecord,
        codes={row.field: row.facts for row in overlay if not row.resource},
    )
