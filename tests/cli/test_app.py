"""The command line itself: the list of commands, lazy imports, and failures in one line."""

import subprocess
import sys

import pytest

from landbridge.cli.app import COMMANDS, load
from tests.cli.conftest import Cli

HEAVY = ("asyncpg", "sqlalchemy", "httpx2", "aiohttp", "rich", "icalendar", "msgspec", "hypothesis")


def test_help_lists_every_command_and_loads_none_of_them() -> None:
    program = (
        "import sys; from landbridge.cli import main; status = main(['--help']);"
        f"print([name for name in {HEAVY!r} if name in sys.modules]); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"
    for name, entry in COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert entry.help.split()[0] in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_has_its_help(bare_cli: Cli, name: str) -> None:
    assert load(name, COMMANDS[name]).name == name
    done = bare_cli.ok(name, "--help")
    assert done.out.startswith(f"Usage: landbridge {name}")


def test_help_sentences_are_short_and_end_in_a_full_stop() -> None:
    for entry in COMMANDS.values():
        assert len(entry.help) <= 76
        assert entry.help.endswith(".")


def test_no_command_shows_the_help_and_fails(bare_cli: Cli) -> None:
    done = bare_cli()
    assert done.status == 2
    assert "Commands:" in done.err


def test_an_unknown_command_or_option_is_one_line(bare_cli: Cli) -> None:
    done = bare_cli("verfy")
    assert (done.status, done.err) == (
        2,
        "error: No such command 'verfy'. Did you mean 'verify'?\n",
    )
    done = bare_cli("verify", "--sceret", "x")
    assert done.status == 2
    assert done.err.count("\n") == 1
    told = bare_cli("verfy", "--json")
    assert told.json["error"]["type"] == "WrongUsage"


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = "from landbridge.cli import main; import sys; sys.exit(main())"
    done = subprocess.run(
        ["sh", "-c", f'{sys.executable} -c "{program}" --help | true'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
