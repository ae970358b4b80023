"""What every test shares."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from landbridge.store.embedded import Attached

pytest_plugins = ["tests._ci_plugin"]

_LOGGERS = ("", "landbridge", "landbridge.call")

settings.register_profile("house", deadline=None)  # tests assert no times
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "as_root: about running as root; left out for other users")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        left_out = [item for item in items if item.get_closest_marker("as_root")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _logs_as_they_come() -> Iterator[None]:
    """Ends what a test set up for logs: the stream that was captured for it is closed, and the
    level that it chose is not the next one's."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    yield
    structlog.reset_defaults()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="session")
def postgres(testrun_uid: str) -> Iterator[Attached]:
    """One embedded server for the whole run. A test that harms it starts its own: see
    `server_directory`."""
    from tests.store.databases import shared_server

    with shared_server(testrun_uid) as attached:
        yield attached


@pytest.fixture
def database_url(postgres: Attached) -> Iterator[str]:
    """A migrated database of this test's own (schema `landbridge`), dropped afterwards."""
    from tests.store.databases import fresh_database, migrated_template

    with fresh_database(postgres.dsn, migrated_template(postgres.dsn)) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: Attached) -> Iterator[str]:
    """The same without our schema."""
    from tests.store.databases import fresh_database

    with fresh_database(postgres.dsn) as url:
        yield url


@pytest.fixture
def server_directory() -> Iterator[Path]:
    """Room for an embedded server of this test's own, `Embedded.at(server_directory / "home")`."""
    from tests.store.databases import reachable_directory

    with reachable_directory() as directory:
        yield directory
