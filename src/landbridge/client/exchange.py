"""One request out and its answer in, on the connections of a guarded pool.

Pool and protocol are httpcore2's, on which httpx2 stands. httpx2's own `AsyncClient` is left out:
its redirects, cookies, sign-in flows and URL objects cost as much as the rest of a call, and a
provider's API needs none of them.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import httpcore2
import httpx2

from landbridge.client.guard import Guard
from landbridge.client.transport import guarded_pool
from landbridge.errors import InvalidInput, Unreachable
from landbridge.wire import Headers, Request, Response

NOT_SENT = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout)
"""What says that not a byte of the request went out."""
NO_ANSWER = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    TimeoutError,
)
"""What `Exchange.send` raises when no whole answer came; `NOT_SENT` is among them."""

_PLAIN = re.compile(
    r"(https?://[a-z0-9.-]+(?::[0-9]{1,5})?)"
    r"((?:/(?!\.)(?:[A-Za-z0-9._~!$&()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*"
    r"(?:\?(?:[A-Za-z0-9._~!$&()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?)"
)
"""A URL that goes out as it stands: its origin, and its path with the query."""
_LONGEST_PLAIN = 2048
_MOST_ORIGINS = 10_000
_BODIED = frozenset({"POST", "PUT", "PATCH"})
_AGENT = (b"User-Agent", b"landbridge")
_ENCODINGS = (b"Accept-Encoding", b"gzip, deflate")

_Fields = list[tuple[bytes, bytes]]


class Exchange:
    """Sends requests on kept connections; nothing is followed, repeated or remembered.

    Connecting, and waiting for a free connection, may take `timeout` seconds each; the whole is
    for the caller to time.
    """

    def __init__(self, guard: Guard, *, tls: ssl.SSLContext | None = None, timeout: float = 30.0):
        self._guard = guard
        self._pool = guarded_pool(guard, tls=tls)
        self._extensions = {"timeout": {"connect": timeout, "pool": timeout}}
        self._origins: dict[str, tuple[bytes, bytes, int | None, bytes]] = {}

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.aclose()

    async def send(self, request: Request, most: int) -> Response:
        """The answer, read to its end and decoded (RFC 9110 section 8.4: gzip, deflate).

        Forbidden, InvalidInput: the guard refuses the address. Unreachable: the answer has more
        than `most` bytes. `NO_ANSWER`: there is none.
        """
        text = request.full_url
        url, host = self._target(text)
        answer = await self._pool.handle_async_request(
            httpcore2.Request(
                request.method,
                url,
                headers=_fields(request, host),
                content=request.body or None,
                extensions=self._extensions,
            )
        )
        try:
            chunks = await _read(answer.aiter_stream(), most, request)
        finally:
            await answer.aclose()
        headers = Headers([(_text(name), _text(value)) for name, value in answer.headers])
        if "content-encoding" in headers:
            chunks = await _decoded(answer, chunks, most, request)
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return Response(status=answer.status, headers=headers, body=body, url=text)

    def _target(self, text: str) -> tuple[httpcore2.URL, bytes]:
        """Where a URL leads, and its Host field. The guard is asked once for each origin."""
        plain = _PLAIN.fullmatch(text) if len(text) <= _LONGEST_PLAIN else None
        if plain is None:
            try:
                url = httpx2.URL(text)
            except httpx2.InvalidURL:
                raise InvalidInput("url: it cannot be read; use https://host/path") from None
            self._guard.target(str(url))
            made = httpcore2.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            )
            return made, url.netloc
        origin, target = plain.groups()
        found = self._origins.get(origin)
        if found is None:
            self._guard.target(text)
            if len(self._origins) >= _MOST_ORIGINS:
                self._origins.clear()
            of = httpx2.URL(origin)
            found = self._origins[origin] = (of.raw_scheme, of.raw_host, of.port, of.netloc)
        scheme, host, port, netloc = found
        where = target.encode() if target.startswith("/") else b"/" + target.encode()
        return httpcore2.URL(scheme=scheme, host=host, port=port, target=where), netloc


def _fields(request: Request, host: bytes) -> _Fields:
    """The header fields as they go out; the caller's own come before ours."""
    fields: _Fields = [(b"Host", host)]
    given = request.headers
    for name, value in given.pairs():
        fields.append((name.encode("ascii"), value.encode()))
    if "user-agent" not in given:
        fields.append(_AGENT)
    if "accept-encoding" not in given:
        fields.append(_ENCODINGS)
    if request.body or request.method in _BODIED:
        fields.append((b"Content-Length", str(len(request.body)).encode()))
    return fields


async def _read(stream: AsyncIterator[bytes], most: int, request: Request) -> list[bytes]:
    chunks: list[bytes] = []
    size = 0
    async for chunk in stream:
        size += len(chunk)
        if size > most:
            raise _too_much(request, most)
        chunks.append(chunk)
    return chunks


async def _decoded(
    answer: httpcore2.Response, chunks: Sequence[bytes], most: int, request: Request
) -> list[bytes]:
    """The chunks without their encoding, by httpx2's decoders: a little may become very much."""

    class Given(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

    encoded = httpx2.Response(answer.status, headers=answer.headers, stream=Given())
    try:
        async with aclosing(encoded.aiter_bytes(65_536)) as plain:
            return await _read(plain, most, request)
    except httpx2.DecodingError as error:
        raise httpcore2.RemoteProtocolError(str(error)) from None


def _too_much(request: Request, most: int) -> Unreachable:
    return Unreachable(f"{host_of(request)} sent more than {most} bytes in one answer")


def _text(raw: bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")


def host_of(request: Request) -> str:
    """The host and port of a request, without user and password."""
    return request.url.split("://", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1]
