"""The import contracts of pyproject.toml hold, and each of them can be broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
_RUFF = Path(sys.executable).with_name("ruff")

# One violation per contract, or several where a contract says several things: the contract, the
# planted file and its line.
_VIOLATIONS = [
    ("layers", "store/planted_up.py", "import landbridge.engine"),
    ("layers", "client/planted_sideways.py", "import landbridge.jobs"),
    ("layers", "errors.py", "import landbridge.models"),
    ("layers", "planted_folder/__init__.py", ""),
    ("independence", "providers/stripe/planted.py", "import landbridge.providers.caldav"),
    ("facts", "providers/stripe/planted_signing.py", "import landbridge.signing"),
    ("facts", "providers/stripe/planted_clock.py", "from landbridge.clock import Clock"),
    ("neutral", "engine/planted_name.py", "from landbridge.providers import stripe"),
    ("neutral", "client/planted_name.py", "from landbridge.providers import stripe"),
    ("neutral", "jobs/planted_name.py", "from landbridge.providers import stripe"),
    ("neutral", "web/planted_name.py", "from landbridge.providers import stripe"),
    ("neutral", "store/planted_name.py", "from landbridge.providers import stripe"),
    ("neutral", "vault/planted_name.py", "from landbridge.providers import stripe"),
    ("pure", "spec/planted_loop.py", "import asyncio"),
    ("pure", "models/planted_log.py", "import logging"),
    ("pure", "merge/planted_driver.py", "import asyncpg"),
    ("pure", "formats/planted_call.py", "import httpx2"),
    ("pure", "resilience/planted_socket.py", "import socket"),
    ("pure", "signing/planted_files.py", "import os"),
    ("pure", "oauth/planted_process.py", "import subprocess"),
    ("pure", "providers/stripe/planted_tls.py", "import ssl"),
    ("vault", "engine/planted_secret.py", "from landbridge.vault import Vault"),
    ("vault", "web/planted_secret.py", "from landbridge.vault import Vault"),
    ("vault", "engine/deliver.py", "import landbridge.vault.vault"),
    ("driver", "engine/planted_driver.py", "import asyncpg"),
    ("driver", "vault/planted_driver.py", "import sqlalchemy"),
    ("simulators", "testing/planted_page.py", "from landbridge.providers import stripe"),
    ("simulators", "testing/planted_spec.py", "from landbridge.spec import Provider"),
]


def _sections(report: str, names: list[str]) -> dict[str, str]:
    """What the report says below each broken contract's name."""
    report = report[report.index("Broken contracts") :]
    starts = sorted((report.index(f"\n{name}\n"), name) for name in names if name in report)
    ends = [start for start, _ in starts[1:]] + [len(report)]
    return {name: report[start:end] for (start, name), end in zip(starts, ends, strict=True)}


def _contracts() -> dict[str, dict[str, object]]:
    settings = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    return {each["id"]: each for each in settings["tool"]["importlinter"]["contracts"]}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What lint-imports says per contract about a copy of the source with every violation in it."""
    copy = tmp_path_factory.mktemp("planted")
    shutil.copytree(
        _ROOT / "src/landbridge",
        copy / "landbridge",
        ignore=lambda _folder, names: {name for name in names if not _is_code(name)},
    )
    for _, file, line in _VIOLATIONS:
        target = copy / "landbridge" / file
        target.parent.mkdir(exist_ok=True, parents=True)
        (target.parent / "__init__.py").touch()
        with target.open("a") as out:
            out.write(f"\n{line}\n")
    done = subprocess.run(
        [_LINT_IMPORTS, "--no-cache", "--config", _ROOT / "pyproject.toml"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Broken contracts" in done.stdout, done.stdout + done.stderr
    return _sections(done.stdout, [str(each["name"]) for each in _contracts().values()])


def _is_code(name: str) -> bool:
    return name != "__pycache__" and ("." not in name or name.endswith(".py"))


@pytest.mark.parametrize(("contract", "file", "line"), _VIOLATIONS)
def test_a_planted_violation_is_caught(
    said: dict[str, str], contract: str, file: str, line: str
) -> None:
    name = str(_contracts()[contract]["name"])
    planted = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert f"landbridge.{planted}" in said.get(name, ""), f"{name} missed {line!r} in {file}"


def test_every_contract_has_a_violation() -> None:
    assert {contract for contract, _, _ in _VIOLATIONS} == set(_contracts())


@pytest.mark.parametrize("module", ["urllib.request", "http.client"])
def test_a_web_call_beside_the_client_is_caught(module: str) -> None:
    """Import contracts see only `urllib` and `http`; the linter also sees which part of them."""
    done = subprocess.run(
        [_RUFF, "check", "--no-cache", "--stdin-filename", "src/landbridge/spec/planted.py", "-"],
        cwd=_ROOT,
        input=f"import {module}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"`{module}` is banned" in done.stdout
