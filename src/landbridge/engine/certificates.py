"""Certificates by which vendors sign: got from the vendor's own hosts, and kept for a while."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from landbridge.client import Client
from landbridge.client.exchange import NO_ANSWER
from landbridge.clock import Clock
from landbridge.errors import SignatureError, Unreachable
from landbridge.signing import Certified
from landbridge.wire import Headers, Request

_LARGEST = 65_536
_MOST = 100


class Certificates:
    """The certificate that a webhook names, asked for once in `keep` seconds.

    Whoever knows an address can name any file below the vendor's path, so at most `rate` are asked
    for in a minute, one at a time, and what is none is not asked for again for `spare` seconds.
    """

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
        keep: float = 3600.0,
        spare: float = 60.0,
        rate: int = 20,
        deadline: float = 10.0,
    ):
        self._client = client
        self._clock = clock
        self._monotonic = monotonic
        self._keep = keep
        self._spare = spare
        self._rate = rate
        self._deadline = deadline
        self._kept: dict[str, tuple[float, bytes | SignatureError]] = {}
        self._asked: deque[float] = deque()
        self._turn = asyncio.Lock()

    async def of(self, scheme: Certified, headers: Headers) -> bytes:
        """The PEM of the vendor's certificate that these headers name.

        SignatureError: they name none that may be asked for, or there is none that could be
        believed; Unreachable: it cannot be got now.
        """
        url = scheme.certificate_url(headers)
        found = self._known(url)
        if found is None:
            async with self._turn:
                found = self._known(url)
                if found is None:
                    found = await self._ask(scheme, url)
        if isinstance(found, SignatureError):
            raise SignatureError(str(found))
        return found

    def _known(self, url: str) -> bytes | SignatureError | None:
        kept = self._kept.get(url)
        return kept[1] if kept and kept[0] > self._monotonic() else None

    async def _ask(self, scheme: Certified, url: str) -> bytes | SignatureError:
        now = self._monotonic()
        while self._asked and self._asked[0] <= now - 60:
            self._asked.popleft()
        if len(self._asked) >= self._rate:
            raise Unreachable(f"{self._rate} certificates were asked for within a minute")
        self._asked.append(now)
        found: bytes | SignatureError
        try:
            found = await self._fetched(scheme, url)
        except SignatureError as error:
            found = error
        keep = self._spare if isinstance(found, SignatureError) else self._keep
        self._kept[url] = (self._monotonic() + keep, found)
        if len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]
        return found

    async def _fetched(self, scheme: Certified, url: str) -> bytes:
        try:
            async with asyncio.timeout(self._deadline):
                answer = await self._client.exchange(Request(method="GET", url=url), most=_LARGEST)
        except NO_ANSWER as error:
            raise Unreachable(
                f"the certificate at {url} cannot be got ({type(error).__name__})"
            ) from None
        if answer.status >= 500 or answer.status in {408, 429}:
            raise Unreachable(f"the certificate at {url} cannot be got ({answer.status})")
        if answer.status != 200:
            raise SignatureError(f"there is no certificate at {url} ({answer.status})")
        scheme.vet(answer.body, self._clock.now())
        return answer.body
