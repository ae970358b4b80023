"""The gate that every address a user can set passes before we connect to it.

A URL that a user may choose can point at our own network (server-side request forgery). So: http
or https only, no credentials in the URL, the name resolved once, every address it has must be
global, and the connection goes to an address that was looked at: a name that resolves differently
the second time changes nothing. What is global follows IANA's special-purpose registries for IPv4
and IPv6 (RFC 6890 and its updates), kept here because Python's own answer differs by version.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from landbridge.client._names import SystemLookup
from landbridge.errors import Forbidden, InvalidInput, SettingsError, Unreachable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""All addresses of a name, as text; OSError when there is none."""

PORTS = {"http": 80, "https": 443}
_LONGEST = 2048

_REFUSED = tuple(
    (ipaddress.ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "a carrier's shared range"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud platform's own address"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("2001::/23", "reserved (Teredo and others)"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where a URL leads: `host` in ASCII, without the brackets of IPv6."""

    scheme: str
    host: str
    port: int


class Guard:
    """Lets global addresses through, and those in the `allow` networks such as `10.1.0.0/16`.

    `proxied` says that a proxy looks names up: `check` then judges a URL by its text alone, and
    what a name leads to is for the proxy to refuse. SettingsError for a network that is none.
    """

    def __init__(
        self, allow: Sequence[str] = (), *, lookup: Lookup | None = None, proxied: bool = False
    ):
        self._allow = _networks(allow)
        self._lookup = lookup or SystemLookup()
        self._proxied = proxied

    def __repr__(self) -> str:
        return f"Guard(allow={[str(network) for network in self._allow]})"

    def target(self, url: str) -> Target:
        """Where the URL leads, if its text may be believed; no name is looked up.

        InvalidInput: not an http(s) URL, or one with a user name or password in it. Forbidden:
        its host is a literal address that is refused, in whatever spelling the operating system
        takes (`127.1`, `0x7f.1`, `2130706433`, `[::ffff:127.0.0.1]`).
        """
        target = _parsed(url)
        literal = _literal(target.host)
        if literal is not None:
            self.vet(target.host, [literal])
        return target

    async def check(self, url: str) -> Target:
        """Where the URL leads, after a look at every address of its name.

        As `target`; and Forbidden for a name with an address that is refused, Unreachable for a
        name that has none.
        """
        target = self.target(url)
        if not self._proxied:
            await self.addresses(target.host, target.port)
        return target

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to. Forbidden if one of them is refused, Unreachable if none.

        A literal address gives itself, in its plain spelling.
        """
        literal = _literal(host)
        if literal is not None:
            found: Sequence[str] = [literal]
        else:
            try:
                found = await self._lookup(host, port)
            except (OSError, UnicodeError) as error:
                reason = getattr(error, "strerror", None) or "not a name"
                raise Unreachable(f"{host} has no address ({reason}); check the name") from None
        if not found:
            raise Unreachable(f"{host} has no address; check the name")
        self.vet(host, found)
        return list(found)

    def vet(self, host: str, addresses: Sequence[str]) -> None:
        """Returns if every one of the addresses of `host` may be connected to; Forbidden if not."""
        for text in addresses:
            what = self._refusal(text)
            if what:
                raise Forbidden(
                    f"{host} leads to {text}, which is {what} and not on the internet; allow its"
                    " network in LANDBRIDGE_ALLOW_NETWORKS if you mean it"
                )

    def _refusal(self, text: str) -> str:
        """Why an address is refused; empty for one that is let through."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return "no plain address"
        if any(address in network for network in self._allow):
            return ""
        for network, what in _REFUSED:
            if address in network:
                return what
        if address.version == 6 and address not in _GLOBAL_V6:
            return "reserved"
        return ""


def _networks(texts: Sequence[str]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise SettingsError(
            f"LANDBRIDGE_ALLOW_NETWORKS: {error}; write networks such as 10.1.0.0/16"
        ) from None


def _parsed(url: str) -> Target:
    shape = "use https://host/path"
    if len(url) > _LONGEST:
        raise InvalidInput(f"url: {len(url)} characters, at most {_LONGEST} are taken")
    if not url.isprintable() or any(letter in url for letter in ' \\<>^`{|}"'):
        raise InvalidInput(f"url: it holds a blank or another character that no URL has; {shape}")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        raise InvalidInput(f"url: its host or port cannot be read; {shape}") from None
    if parts.scheme not in PORTS:
        raise InvalidInput(f"url: it begins with neither http:// nor https://; {shape}")
    if "@" in parts.netloc:
        raise InvalidInput(f"url: it holds a user name or password; {shape} without them")
    if not host or ("%" in host and ":" not in host):
        raise InvalidInput(f"url: it names no host; {shape}")
    if port == 0:
        raise InvalidInput("url: port 0 cannot be connected to; use 443 or leave it out")
    return Target(scheme=parts.scheme, host=host, port=port or PORTS[parts.scheme])


def _literal(host: str) -> str | None:
    """The plain spelling of an address that the operating system would read; None for a name.

    inet_aton takes what getaddrinfo takes: octal, hexadecimal and short forms, and one number.
    """
    bare = host.removesuffix(".")
    if ":" in bare:
        try:
            return str(ipaddress.IPv6Address(bare))
        except ValueError:
            return bare
    try:
        return socket.inet_ntoa(socket.inet_aton(bare))
    except OSError:
        return None
