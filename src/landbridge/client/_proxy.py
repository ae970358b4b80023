"""The proxy that deliveries may have to go through."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from landbridge.errors import SettingsError


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxy:
    """Where it listens, and what it is told with each request; `authorization` may be empty."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Proxy | None:
        """From `http://host:port` or `http://user:password@host:port`; None for an empty text.

        SettingsError for anything else: a proxy is spoken to in plain HTTP.
        """
        if not text:
            return None
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme != "http" or not parts.hostname or not port or parts.path.strip("/"):
            raise SettingsError(
                "LANDBRIDGE_PROXY: it is not written as http://host:port"
                " or http://user:password@host:port"
            )
        authorization = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = f"Basic {b64encode(pair.encode()).decode()}"
        return cls(host=parts.hostname, port=port, authorization=authorization)
