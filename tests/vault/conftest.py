"""A vault on a database, and key providers that run for as long as the tests do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from landbridge.store.database import Database
from landbridge.vault import LocalKey, Vault, new_key
from tests.vault.providers import Bao, SoftHsm, moto, openbao, softhsm


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    yield database
    await database.close()


@pytest.fixture
def vault(db: Database) -> Vault:
    return Vault(db, LocalKey.from_text(new_key()))


@pytest.fixture(scope="session")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    """An OpenBao; who seals or stops it opens it again."""
    with openbao(tmp_path_factory.mktemp("bao")) as running:
        yield running


@pytest.fixture(scope="session")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    with softhsm(tmp_path_factory.mktemp("hsm")) as ready:
        yield ready


@pytest.fixture(scope="session")
def kms() -> Iterator[str]:
    with moto() as address:
        yield address


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """An access key, as AWS's own tools find it; moto takes any."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-secret-of-tests")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
