"""What links and pushes share: values as they are kept, and the work of looking at a pair."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, get_type_hints

import msgspec
from msgspec import UNSET

from landbridge.store import due
from landbridge.store.links import Pair
from landbridge.store.syncs import Stream


def meet_job(pair: Pair, *, after: timedelta = timedelta()) -> due.Job:
    """The work of looking at a pair again."""
    return due.Job(
        environment=pair.environment,
        tenant=pair.tenant,
        lane="consume",
        kind="link",
        target=pair.connection,
        key=f"{pair.name}/{pair.connection}/p/{pair.id}",
        args={"link": pair.name, "pair": pair.id},
        after=after,
    )


def remote_job(link: str, stream: Stream, key: str) -> due.Job:
    """The work of looking at a remote record that changed."""
    return due.Job(
        environment=stream.environment,
        tenant=stream.tenant,
        lane="consume",
        kind="link",
        target=stream.connection,
        key=f"{link}/{stream.connection}/r/{key}",
        args={"link": link, "key": key},
    )


def local_job(link: str, environment: str, tenant: str, local: str) -> due.Job:
    """The work of looking at a row of ours that changed."""
    return due.Job(
        environment=environment,
        tenant=tenant,
        lane="consume",
        kind="link",
        key=f"{link}//{local}",
        args={"link": link, "local": local},
    )


def dumped(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Values as JSON; a custom field that is not there is left out."""
    if values is None:
        return None
    return {name: msgspec.to_builtins(v) for name, v in values.items() if v is not UNSET}


def loaded(model: type[Any], stored: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Such values again; fields that the model has no longer are left out."""
    if stored is None:
        return None
    hints = get_type_hints(model)
    return {
        name: msgspec.convert(value, hints[name]) if name in hints else value
        for name, value in stored.items()
        if name in hints or "." in name
    }
