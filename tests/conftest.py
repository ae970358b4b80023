"""What every test shares."""

import gc
import logging
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
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


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The half million objects that are there now stay to the end: the garbage collector looks
    through them once, and not again and again while the tests run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def _logs_as_they_come() -> Iterator[None]:
    """Ends what a test set up for logs: the stream that was captured for it is closed, and the
    level that it chose is not the next one's."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    yield
    structlog.reset_defaults()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def _trusts_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No server that is certified by anyone out there is called. To read the machine's whole list
    for each of the run's many TLS contexts would take longer than most of the tests."""
    from tests.client.servers import certificate

    directory = tmp_path_factory.mktemp("trusted")
    certificate(directory, "nobody.example")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(directory / "certificate.pem"))
        yield


@pytest.fixture(scope="session")
def postgres(testrun_uid: str) -> Iterator[Attached]:
    """One embedded server for the whole run. A test that harms it starts its own: see
    `server_directory`."""
    from tests.store.databases import shared_server

    with shared_server(testrun_uid) as attached:
        yield attached


@pytest.fixture(scope="session")
def copying(postgres: Attached) -> Iterator[Callable[[str], AbstractContextManager[str]]]:
    """Makes a database of this name's content for each `with`, all over one connection."""
    from tests.store.databases import connected, fresh_database

    with connected(postgres.dsn) as connection:
        yield lambda template: fresh_database(postgres.dsn, template, over=connection)


@pytest.fixture(scope="session")
def migrated(postgres: Attached) -> str:
    """The name of a database with our schema, to be copied."""
    from tests.store.databases import migrated_template

    return migrated_template(postgres.dsn)


@pytest.fixture
def database_url(
    copying: Callable[[str], AbstractContextManager[str]], migrated: str
) -> Iterator[str]:
    """A migrated database of this test's own (schema `landbridge`), dropped afterwards."""
    with copying(migrated) as url:
        yield url


@pytest.fixture
def empty_database_url(
    copying: Callable[[str], AbstractContextManager[str]],
) -> Iterator[str]:
    """The same without our schema."""
    with copying("template1") as url:
        yield url


@pytest.fixture
def server_directory() -> Iterator[Path]:
    """Room for an embedded server of this test's own, `Embedded.at(server_directory / "home")`."""
    from tests.store.databases import reachable_directory

    with reachable_directory() as directory:
        yield directory
