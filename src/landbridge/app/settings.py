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
    """Days for which events, webhooks that came in, attempts and changes are kept."""
    events_retention_days: int | None = Field(None, ge=7)
    """Days for events, their attachments and attempts; longer where retries take longer. Empty:
    retention_days."""
    inbox_retention_days: int | None = Field(None, ge=7)
    """Days for webhooks that came in, parked ones too, and the events in them. Empty:
    retention_days."""
    changes_retention_days: int | None = Field(None, ge=7)
    """Days for changes of records; a handler that is further behind misses some. Empty:
    retention_days."""
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

    @property
    def retention(self) -> Retention:
        """For how many days each kind of thing is kept."""
        return Retention(
            events=self.events_retention_days or self.retention_days,
            inbox=self.inbox_retention_days or self.retention_days,
            changes=self.changes_retention_days or self.retention_days,
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
