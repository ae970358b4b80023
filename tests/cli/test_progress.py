"""Bars of long commands: on standard error, for a person who looks, and for nobody else."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import pytest

from landbridge.cli import connections_revoke, inbox_show, keys, pull
from landbridge.engine.inbox import Replayed
from landbridge.engine.pull import Totals

Bar = Callable[..., AbstractContextManager[Callable[..., Any]]]
BARS: dict[str, tuple[Bar, tuple[Any, ...], tuple[Any, ...]]] = {
    "keys": (keys._bar, (), ("live", 7)),
    "revoke": (connections_revoke._bar, (), (7, 9)),
    "inbox": (inbox_show.counting, (9,), (Replayed(events=7),)),
    "pull": (pull._watching, (), ("invoice", Totals(pages=1, seen=7))),
}


class Stream(StringIO):
    """A stream that is a terminal or is none."""

    def __init__(self, *, terminal: bool):
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_a_pull_shows_what_is_left_of_quotas() -> None:
    err = Stream(terminal=True)
    with redirect_stderr(err), pull._watching(as_json=False) as watch:
        watch.left = "41 of 60 (minute)"
        watch("invoice", Totals(pages=1, seen=7))
    assert "41 of 60" in err.getvalue().replace("\n", " ")


def test_a_pull_shows_how_long_it_takes_still_where_the_list_says_how_long_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    err = Stream(terminal=True)
    with redirect_stderr(err), pull._watching(as_json=False) as watch:
        watch("invoice", Totals(pages=1, seen=7, left=7_000_000))
        watch("invoice", Totals(pages=2, seen=14))
    assert "to go" not in err.getvalue()
    with redirect_stderr(err), pull._watching(as_json=False) as watch:
        watch("invoice", Totals(pages=1, seen=7, left=7_000_000))
        watch("invoice", Totals(pages=2, seen=14, left=6_999_993))
    assert re.search(r"[\d,]+ rows/s, \d+:\d\d:\d\d to go", err.getvalue())


def shown(name: str, *, terminals: set[str], as_json: bool) -> tuple[str, str]:
    """What a bar wrote to standard output and to standard error."""
    made, first, told = BARS[name]
    out, err = (Stream(terminal=stream in terminals) for stream in ("out", "err"))
    with redirect_stdout(out), redirect_stderr(err), made(*first, as_json=as_json) as show:
        show(*told)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("name", BARS)
@pytest.mark.parametrize("terminals", [{"err"}, {"err", "out"}], ids=["to a file", "to a terminal"])
def test_a_person_sees_how_far_it_is_wherever_the_output_goes(
    name: str, terminals: set[str]
) -> None:
    out, err = shown(name, terminals=terminals, as_json=False)
    assert out == ""
    assert "7" in err


@pytest.mark.parametrize("name", BARS)
@pytest.mark.parametrize(
    ("terminals", "as_json"),
    [(set(), False), ({"out"}, False), ({"err", "out"}, True)],
    ids=["no terminal", "errors to a file", "JSON"],
)
def test_nobody_else_gets_any_of_it(name: str, terminals: set[str], as_json: bool) -> None:
    assert shown(name, terminals=terminals, as_json=as_json) == ("", "")
