"""The key providers that the settings name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from landbridge.app.settings import Settings
from landbridge.errors import SettingsError
from landbridge.vault import KeyProvider, KeyRing, LocalKey, read_private


def key_of(settings: Settings) -> KeyRing:
    """Who wraps keys by the settings, and who still opens; close it when it is no longer used.

    SettingsError names the setting that is missing or wrong. Nothing is asked of a provider yet.
    """
    return KeyRing([_MAKERS[name](settings) for name in settings.key_providers])


def home_of(settings: Settings) -> Path:
    """The directory of the embedded server and of a key that was made up."""
    return settings.home.expanduser().absolute()


def _local(settings: Settings) -> KeyProvider:
    """The local key; made up on first use only with the embedded server."""
    if settings.key:
        return LocalKey.from_text(settings.key)
    if settings.key_file is not None:
        return LocalKey.from_file(settings.key_file)
    if settings.database_url:
        raise SettingsError(
            "LANDBRIDGE_KEY: missing; it seals every secret in the database. Make one with"
            " `landbridge keys new` and keep it apart from the database"
        )
    return LocalKey.from_file(home_of(settings) / "key", create=True)


def _transit(settings: Settings) -> KeyProvider:
    from landbridge.vault.transit import TransitKey  # noqa: PLC0415 - only who uses it pays for it

    return TransitKey(
        settings.transit_address,
        keys=settings.transit_key,
        mount=settings.transit_mount,
        token=settings.transit_token,
        token_file=settings.transit_token_file,
        namespace=settings.transit_namespace,
        ca_file=settings.transit_ca_file,
    )


def _pkcs11(settings: Settings) -> KeyProvider:
    if settings.pkcs11_module is None:
        raise SettingsError(
            "LANDBRIDGE_PKCS11_MODULE: missing; it is the path of the module's library, such as"
            " /usr/lib/softhsm/libsofthsm2.so"
        )
    from landbridge.vault.hsm import HsmKey  # noqa: PLC0415 - an extra

    return HsmKey(
        settings.pkcs11_module,
        token=settings.pkcs11_token,
        pin=settings.pkcs11_pin or _pin(settings.pkcs11_pin_file),
        keys=settings.pkcs11_key,
    )


def _kms(settings: Settings) -> KeyProvider:
    from landbridge.vault.kms import KmsKey  # noqa: PLC0415 - an extra

    return KmsKey(keys=settings.kms_key, region=settings.kms_region, endpoint=settings.kms_endpoint)


def _pin(path: Path | None) -> str:
    return "" if path is None else read_private(path, "PIN").strip()


_MAKERS: Mapping[str, Callable[[Settings], KeyProvider]] = MappingProxyType(
    {"local": _local, "transit": _transit, "pkcs11": _pkcs11, "kms": _kms}
)
