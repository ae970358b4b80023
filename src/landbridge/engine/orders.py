"""The jobs of pulling: a resource of a connection, one record of it, all of it anew, and reading
what is stored again; and of sending back the code of a callback."""

from __future__ import annotations

import base64
import hashlib
import zlib
from datetime import timedelta

from landbridge.store import due
from landbridge.store.connections import Connection
from landbridge.store.syncs import Stream

_HOUR = 3600


def fetch_job(stream: Stream, key: str, *, after: timedelta = timedelta()) -> due.Job:
    """The work of reading one record again."""
    return due.Job(
        environment=stream.environment,
        tenant=stream.tenant,
        lane="pull",
        kind="fetch",
        target=stream.connection,
        key=f"{stream.connection}/{stream.resource}/{key}",
        args={"resource": stream.resource, "key": key},
        after=after,
    )


def pull_job(
    stream: Stream, *, every: timedelta | None = None, after: timedelta = timedelta()
) -> due.Job:
    """The work of pulling a resource, now (or `after` a delay) and then `every` so often."""
    return due.Job(
        environment=stream.environment,
        tenant=stream.tenant,
        lane="pull",
        kind="pull",
        target=stream.connection,
        key=f"{stream.connection}/{stream.resource}",
        args={"resource": stream.resource},
        repeat=f"every {int(every.total_seconds())}s" if every else None,
        after=after,
    )


def backfill_job(stream: Stream) -> due.Job:
    """The work of loading a resource beside its pulls."""
    return due.Job(
        environment=stream.environment,
        tenant=stream.tenant,
        lane="pull",
        kind="backfill",
        target=stream.connection,
        key=f"{stream.connection}/{stream.resource}",
        args={"resource": stream.resource},
    )


def sweep_job(stream: Stream) -> due.Job:
    """The work of looking for deleted records, some calls an hour; each stream at its own minute,
    so that a provider is not asked for all of them at once."""
    key = f"{stream.connection}/{stream.resource}"
    return due.Job(
        environment=stream.environment,
        tenant=stream.tenant,
        lane="pull",
        kind="sweep",
        target=stream.connection,
        key=key,
        args={"resource": stream.resource},
        after=timedelta(seconds=zlib.crc32(key.encode()) % _HOUR),
        repeat=f"every {_HOUR}s",
    )


def remap_job(stream: Stream, *, after: timedelta = timedelta()) -> due.Job:
    """The work of reading what is stored of a resource again, without a call."""
    return due.Job(
        environment=stream.environment,
        tenant=stream.tenant,
        lane="system",
        kind="remap",
        target=stream.connection,
        key=f"{stream.connection}/{stream.resource}",
        args={"resource": stream.resource},
        after=after,
    )


def confirm_job(connection: Connection, key: str, code: str, sealed: bytes) -> due.Job:
    """The work of sending a code back; each code once at a time."""
    told = hashlib.sha256(code.encode()).hexdigest()[:16]
    return due.Job(
        environment=connection.environment,
        tenant=connection.tenant,
        lane="pull",
        kind="confirm",
        target=connection.id,
        key=f"{connection.id}/callback/{key}/{told}",
        args={"key": key, "code": base64.b64encode(sealed).decode()},
    )
