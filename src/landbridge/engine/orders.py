"""The jobs of pulling: a resource of a connection, one record of it, all of it anew, and reading
what is stored again; and of sending back the code of a callback."""

from __future__ import annotations

import base64
import hashlib
import zlib
from datetime import datetime, timedelta

import msgspec

from landbridge.store import due
from landbridge.store.connections import Connection
from landbridge.store.syncs import Stream

_HOUR = 3600


def fetch_job(
    stream: Stream,
    key: str,
    *,
    after: timedelta = timedelta(),
    told_at: datetime | None = None,
) -> due.Job:
    """The work of reading one record again. `told_at` is when it changed, as a webhook has it."""
    told = {"told_at": told_at.isoformat()} if told_at is not None else {}
    job = _job(stream, "fetch", after=after)
    return msgspec.structs.replace(
        job, key=f"{job.key}/{key}", args={**(job.args or {}), "key": key, **told}
    )


def pull_job(
    stream: Stream, *, every: timedelta | None = None, after: timedelta = timedelta()
) -> due.Job:
    """The work of pulling a resource, now (or `after` a delay) and then `every` so often."""
    repeat = f"every {int(every.total_seconds())}s" if every else None
    return _job(stream, "pull", after=after, repeat=repeat)


def backfill_job(stream: Stream) -> due.Job:
    """The work of loading a resource beside its pulls."""
    return _job(stream, "backfill")


def sweep_job(stream: Stream) -> due.Job:
    """The work of looking for deleted records, some calls an hour; each stream at its own minute,
    so that a provider is not asked for all of them at once."""
    job = _job(stream, "sweep", repeat=f"every {_HOUR}s")
    minute = zlib.crc32((job.key or "").encode()) % _HOUR
    return msgspec.structs.replace(job, after=timedelta(seconds=minute))


def remap_job(stream: Stream, *, after: timedelta = timedelta()) -> due.Job:
    """The work of reading what is stored of a resource again, without a call."""
    return _job(stream, "remap", lane="system", after=after)


def _job(
    stream: Stream,
    kind: str,
    *,
    lane: str = "pull",
    after: timedelta = timedelta(),
    repeat: str | None = None,
) -> due.Job:
    return due.Job(
        environment=stream.environment,
        tenant=stream.tenant,
        lane=lane,
        kind=kind,
        target=stream.connection,
        key=f"{stream.connection}/{stream.resource}",
        args={"resource": stream.resource},
        after=after,
        repeat=repeat,
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
