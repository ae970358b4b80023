"""`landbridge keys`, and the key providers by their settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Shop, connect
from tests.vault.providers import openbao

TRANSIT = {
    "LANDBRIDGE_KEY_PROVIDER": "transit",
    "LANDBRIDGE_TRANSIT_ADDRESS": "http://127.0.0.1:1",
    "LANDBRIDGE_TRANSIT_TOKEN": "s.canary",
}
PKCS11 = {
    "LANDBRIDGE_KEY_PROVIDER": "pkcs11",
    "LANDBRIDGE_PKCS11_MODULE": "/nowhere/module.so",
    "LANDBRIDGE_PKCS11_TOKEN": "landbridge",
    "LANDBRIDGE_PKCS11_PIN": "canary-0815",
}


def _key_check(cli: Cli, **settings: str) -> str:
    done = cli("doctor", "--offline", "--json", **settings)
    assert "canary" not in done.out + done.err
    checks = {each["check"]: each for each in done.json["checks"]}
    assert checks["key"]["state"] == "failed", checks
    said: str = checks["key"]["said"]
    return said


@pytest.mark.parametrize("missing", ["LANDBRIDGE_TRANSIT_ADDRESS", "LANDBRIDGE_TRANSIT_TOKEN"])
def test_a_missing_setting_of_transit_is_named(cli: Cli, missing: str) -> None:
    assert missing in _key_check(cli, **(TRANSIT | {missing: ""}))


@pytest.mark.parametrize("missing", ["LANDBRIDGE_PKCS11_TOKEN", "LANDBRIDGE_PKCS11_PIN"])
def test_a_missing_setting_of_pkcs11_is_named(cli: Cli, missing: str) -> None:
    assert missing in _key_check(cli, **(PKCS11 | {missing: ""}))


def test_a_module_or_a_key_that_is_missing_is_named(cli: Cli) -> None:
    assert "LANDBRIDGE_PKCS11_MODULE" in _key_check(cli, **PKCS11)
    assert "LANDBRIDGE_KMS_KEY" in _key_check(cli, LANDBRIDGE_KEY_PROVIDER="kms")
    assert "LANDBRIDGE_PKCS11_MODULE" in _key_check(cli, LANDBRIDGE_KEY_PROVIDER="pkcs11")


def test_the_doctor_asks_the_key_provider(cli: Cli) -> None:
    assert "does not answer" in _key_check(cli, **TRANSIT)


def test_a_pin_file_that_others_may_read_is_refused(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_text("canary-0815\n")
    file.chmod(0o644)
    settings = PKCS11 | {"LANDBRIDGE_PKCS11_PIN": "", "LANDBRIDGE_PKCS11_PIN_FILE": str(file)}
    assert "chmod 600" in _key_check(cli, **settings)
    file.chmod(0o600)
    assert "LANDBRIDGE_PKCS11_MODULE" in _key_check(cli, **settings)


@pytest.mark.parametrize("name", ["LANDBRIDGE_KEY_PROVIDER", "LANDBRIDGE_KEY_ALSO"])
def test_a_key_provider_that_there_is_not_is_refused(cli: Cli, name: str) -> None:
    done = cli("connections", "list", **{name: "paper"})
    assert done.status != 0
    assert name in done.err


def test_a_provider_that_also_opens_is_made_too(cli: Cli) -> None:
    """Local wraps, and what transit wrapped would open: its settings are looked at."""
    settings = TRANSIT | {"LANDBRIDGE_KEY_PROVIDER": "local", "LANDBRIDGE_KEY_ALSO": "transit"}
    assert cli("doctor", "--offline", "--json", **settings).json["healthy"] is not None
    assert "LANDBRIDGE_TRANSIT_ADDRESS" in _key_check(
        cli, **(settings | {"LANDBRIDGE_TRANSIT_ADDRESS": ""})
    )


@pytest.mark.parametrize(("module", "extra"), [("hsm", "pkcs11"), ("kms", "kms")])
def test_a_missing_package_names_its_extra(module: str, extra: str) -> None:
    hidden = {"hsm": "pkcs11", "kms": "botocore"}[module]
    code = (
        f"import sys; sys.modules[{hidden!r}] = None\n"
        f"from landbridge.errors import SettingsError\n"
        f"try:\n    import landbridge.vault.{module}\n"
        f"except SettingsError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"landbridge[{extra}]" in done.stdout


def test_a_rotation_leaves_nothing_to_the_old_key(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    cli.ok("connections", "secret", connection, stdin="whsec_1")
    old = cli.environment["LANDBRIDGE_KEY"]
    new = cli.ok("keys", "new", "--json").json["key"]
    both = f"{new},{old}"
    before = cli.ok("keys", "status", "--json", LANDBRIDGE_KEY=both).json["keys"]
    assert any(not row["newest"] for row in before)
    done = cli.ok("keys", "rotate", "--json", LANDBRIDGE_KEY=both).json["rekeyed"]
    assert [(row["environment"], row["left"]) for row in done] == [("test", 0)]
    after = cli.ok("keys", "status", "--json", LANDBRIDGE_KEY=new).json["keys"]
    assert after
    assert all(row["newest"] for row in after if row["what"] != "data key")
    assert "2 of 2" in cli.ok("doctor", "--offline", LANDBRIDGE_KEY=new).out


def test_a_move_to_a_provider_that_is_not_set_up_names_the_setting(cli: Cli) -> None:
    done = cli("keys", "move", "--to", "transit")
    assert done.status != 0
    assert "LANDBRIDGE_KEY_ALSO" in done.err


def test_a_move_to_openbao_and_back(cli: Cli, shop: Shop, tmp_path: Path) -> None:
    connect(cli, shop)
    with openbao(tmp_path / "bao") as bao:
        cli.environment |= {
            "LANDBRIDGE_KEY_PROVIDER": "transit",
            "LANDBRIDGE_KEY_ALSO": "local",
            "LANDBRIDGE_TRANSIT_ADDRESS": bao.address,
            "LANDBRIDGE_TRANSIT_TOKEN": bao.token("encrypt", "decrypt"),
        }
        moved = cli.ok("keys", "move", "--to", "transit", "--json").json["rekeyed"]
        assert moved[0]["sealed"] > 0
        alone = {"LANDBRIDGE_KEY_ALSO": "", "LANDBRIDGE_KEY": ""}
        held = cli.ok("keys", "status", "--json", **alone).json["keys"]
        assert {row["key"] for row in held} == {"transit/landbridge/1", "the newest data key"}
        cli.ok("doctor", "--offline", **alone)
        cli.ok("keys", "move", "--to", "local")
    cli.ok("doctor", "--offline", LANDBRIDGE_KEY_PROVIDER="local", LANDBRIDGE_KEY_ALSO="")
