"""A client of a simulator's control plane, for tests and demonstrations. Synchronous on purpose."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx2

from landbridge.errors import InvalidInput

_WAIT = 0.02


class Control:
    """Talks to `/_sim/` of the simulator at `url`; each call returns the JSON of its answer.

    A call that the simulator refuses raises `InvalidInput` with the simulator's sentence.
    """

    def __init__(self, url: str):
        self.url = url
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading all authorities takes 30 ms
        self._http = httpx2.Client(base_url=url, timeout=60.0, trust_env=False, verify=nobody)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; the simulator runs on."""
        self._http.close()

    def get(self, path: str, /, **args: Any) -> Any:
        """`GET /_sim/{path}`."""
        return self._call("GET", path, args)

    def post(self, path: str, /, **asked: Any) -> Any:
        """`POST /_sim/{path}` with the named values as a JSON object."""
        return self._call("POST", path, {}, asked)

    def put(self, path: str, /, **asked: Any) -> Any:
        """`PUT /_sim/{path}` with the named values as a JSON object."""
        return self._call("PUT", path, {}, asked)

    def patch(self, path: str, /, *, event: bool = True, **asked: Any) -> Any:
        """`PATCH /_sim/{path}`, telling of it by an event or not."""
        return self._call("PATCH", path, {"event": str(event).lower()}, asked)

    def delete(self, path: str, /, **args: Any) -> Any:
        """`DELETE /_sim/{path}`."""
        return self._call("DELETE", path, args)

    def _call(
        self, method: str, path: str, args: dict[str, Any], asked: dict[str, Any] | None = None
    ) -> Any:
        answer = self._http.request(
            method,
            f"/_sim/{path}",
            params={name: str(value) for name, value in args.items()} or None,
            json=asked,
        )
        content = answer.json()
        if answer.status_code >= 400:
            raise InvalidInput(f"{self.url}/_sim/{path}: {content['error']}")
        return content

    def journal(self, **args: Any) -> list[dict[str, Any]]:
        """The requests seen; `after`, `method`, `path` (a glob) select."""
        entries: list[dict[str, Any]] = self.get("journal", **args)["entries"]
        return entries

    def objects(self, collection: str, **args: Any) -> dict[str, dict[str, Any]]:
        """Every object of a collection by its id (CalDAV: by its href); of an account by the
        simulator's word for it (`tenant`, `realm`, `account`)."""
        found = self.get(f"objects/{collection}", **args)["objects"]
        return {str(each.get("id") or each["href"]): each for each in found}

    def fault(self, kind: str, /, **asked: Any) -> str:
        """Orders a fault (see `landbridge.testing.faults`); its id."""
        return str(self.post("faults", kind=kind, **asked)["id"])

    def clear_faults(self) -> int:
        """Takes all faults back; how many."""
        return int(self.delete("faults")["cleared"])

    def advance(self, seconds: float) -> None:
        """Moves the simulator's clock ahead."""
        self.post("clock", advance=seconds)

    def until(self, done: Callable[[Control], bool], *, seconds: float = 10.0) -> None:
        """Waits until `done(self)` holds; `TimeoutError` after `seconds`."""
        deadline = time.monotonic() + seconds
        while not done(self):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.url}: not so within {seconds} s")
            time.sleep(_WAIT)
