"""Settings from the environment, each named LANDBRIDGE_..., checked when they are read."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from landbridge.errors import SettingsError
from landbridge.store.upkeep import Retention

_PROXY = re.compile(r"http://([^@/\s]+@)?(\[[0-9a-fA-F:.]+\]|[^@/:\s]+):[0-9]{1,5}/?")


class Settings(BaseSettings):
    """What an installation may set. Every field is an environment variable LANDBRIDGE_<NAME>."""

    model_config = SettingsConfigDict(
        env_prefix="LANDBRIDGE_", frozen=True, hide_input_in_errors=True
    )

    database_url: str = Field("", repr=False)
    """Postgres, as postgresql://user:password@host:5432/database. Empty: the embedded server."""
    direct_url: str = Field("", repr=False)
    """The same database past a pooler, for LISTEN. Empty: database_url."""
    pgbouncer: bool = False
    """Whether database_url leads through a pooler in transaction mode."""
    pool: int = Field(10, ge=2, le=1000)
    """The most connections that a process holds."""
    schema_name: str = Field("landbridge", alias="LANDBRIDGE_SCHEMA")
    """The schema that all our tables are in."""
    home: Path = Path(".landbridge")
    """Where the embedded server and a made-up key are kept."""
    key: str = Field("", repr=False)
    """The key that seals secrets: base64 of 32 bytes; several parted by commas, the first seals."""
    key_file: Path | None = None
    """A file with the key that only its owner can read. Neither: <home>/key, made on first use
    with the embedded server."""
    key_provider: Literal["local", "transit", "pkcs11", "kms"] = "local"
    """Who holds the key that wraps all others: local (`LANDBRIDGE_KEY` or a file), transit
    (HashiCorp Vault or OpenBao), pkcs11 (a hardware security module) or kms (AWS)."""
    key_also: str = ""
    """Key providers that still open what they wrapped, while secrets move: local,transit."""
    transit_address: str = ""
    """Where Vault or OpenBao answers: https://vault.example.com:8200."""
    transit_token: str = Field("", repr=False)
    """A token that may encrypt and decrypt with the transit key."""
    transit_token_file: Path | None = None
    """A file with the token, as an agent keeps it; read again when the token is refused."""
    transit_key: str = "landbridge"
    """The transit key's name; several parted by commas, the first wraps."""
    transit_mount: str = "transit"
    """Where the transit engine is mounted."""
    transit_namespace: str = ""
    """The namespace of the transit engine, if there is one."""
    transit_ca_file: Path | None = None
    """The certificates that Vault's own is signed by. Empty: the system's."""
    pkcs11_module: Path | None = None
    """The library of the hardware security module, such as /usr/lib/softhsm/libsofthsm2.so."""
    pkcs11_token: str = ""
    """The label of its token."""
    pkcs11_pin: str = Field("", repr=False)
    """The user PIN of the token."""
    pkcs11_pin_file: Path | None = None
    """A file with the PIN that only its owner can read."""
    pkcs11_key: str = "landbridge"
    """The label of the AES-256 key; several parted by commas, the first wraps."""
    kms_key: str = ""
    """The KMS key's id, ARN or alias; several parted by commas, the first wraps."""
    kms_region: str = ""
    """The region of AWS KMS. Empty: what AWS's own settings say."""
    kms_endpoint: str = ""
    """Another address of AWS KMS, such as that of a VPC endpoint."""
    environment: str = "test"
    """The environment that calls and commands mean when they name none: test, live, ..."""
    public_url: str = "http://127.0.0.1:8700"
    """The address under which others reach this installation; webhook addresses begin with it."""
    allow_networks: str = ""
    """Networks that are not global and may be called all the same: 127.0.0.0/8,10.1.0.0/16."""
    sender: Literal["aiohttp", "lean"] = "aiohttp"
    """The client that posts deliveries: aiohttp, or our own lean one, which takes a fifth of its
    processor time."""
    proxy: str = Field("", repr=False)
    """A proxy for deliveries, http://host:port or http://user:password@host:port. It looks up the
    receivers' names, so it has to refuse private addresses itself. No other proxy is used."""
    event_limit: int = Field(262_144, ge=1024, le=10_000_000)
    """Bytes that an event's payload may have."""
    reference_limit: int = Field(10_000_000, ge=1024, le=100_000_000)
    """Bytes that a body may have which receivers fetch by its address (`by_reference`)."""
    retention_days: int = Field(30, ge=7)
    """Days for which events, webhooks that came in, attempts and changes are kept, and from the day
    on which a shadow ended what it kept."""
    events_retention_days: int | None = Field(None, ge=7)
    """Days for events, their attachments and attempts; longer where retries take longer. Empty:
    retention_days."""
    inbox_retention_days: int | None = Field(None, ge=7)
    """Days for webhooks that came in, parked ones too, and the events in them. Empty:
    retention_days."""
    changes_retention_days: int | None = Field(None, ge=7)
    """Days for changes of records; a handler that is further behind misses some. Empty:
    retention_days."""
    calls_retention_days: int = Field(7, ge=1, le=400)
    """Days for which the call log is kept: method, path without ids, status and time of each call
    to a provider."""
    reconcile_minutes: int = Field(15, ge=0, le=1440)
    """How often a connection's webhooks are compared with the provider's own list of events; 0:
    never by themselves."""
    metrics_token: str = Field("", repr=False)
    """What whoever reads /metrics has to send as a bearer token. Empty: nothing is shown there."""
    clock_offset: str = ""
    """Moves the database's clock, for tests: an interval such as 75h."""

    @field_validator("environment")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not value.isascii() or not value.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"{value!r} is not a plain word such as test or live")
        return value.lower()

    @field_validator("allow_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in value.split(","):
            if part.strip():
                try:
                    ipaddress.ip_network(part.strip())
                except ValueError:
                    raise ValueError(f"{part!r} is not a network such as 10.1.0.0/16") from None
        return value

    @field_validator("key_also")
    @classmethod
    def _providers(cls, value: str) -> str:
        for part in value.split(","):
            if part.strip() and part.strip() not in ("local", "transit", "pkcs11", "kms"):
                raise ValueError(f"{part!r} is none of local, transit, pkcs11 and kms")
        return value

    @property
    def key_providers(self) -> tuple[str, ...]:
        """The key providers, the one that wraps first, each once."""
        also = (part.strip() for part in self.key_also.split(","))
        return tuple(dict.fromkeys([self.key_provider, *(part for part in also if part)]))

    @property
    def retention(self) -> Retention:
        """For how many days each kind of thing is kept."""
        return Retention(
            events=self.events_retention_days or self.retention_days,
            inbox=self.inbox_retention_days or self.retention_days,
            changes=self.changes_retention_days or self.retention_days,
            calls=self.calls_retention_days,
            shadows=self.retention_days,
        )

    @field_validator("proxy")
    @classmethod
    def _forward(cls, value: str) -> str:
        if value and not _PROXY.fullmatch(value):
            raise ValueError("it is not written as http://host:port")
        return value

    @property
    def networks(self) -> tuple[str, ...]:
        """The allowed networks, one by one."""
        return tuple(part.strip() for part in self.allow_networks.split(",") if part.strip())


def load(**overrides: Any) -> Settings:
    """The settings of this process; SettingsError names the variable that is wrong.

    `overrides` stand above the environment; None means not given.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    if "schema" in given:
        given["LANDBRIDGE_SCHEMA"] = given.pop("schema")
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper().removeprefix("LANDBRIDGE_")
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"LANDBRIDGE_{name}: {reason}") from None
