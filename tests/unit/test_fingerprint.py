"""Fingerprints of mappings: equal for equal mappings in every process, else different."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import pytest

from landbridge.models.payments import Customer
from landbridge.providers import get, names
from landbridge.spec import Mapped, first_of, map_from, map_to, read_only, text, via

TELL = """
from landbridge.providers import get, names
print([one.reading for name in names() for one in get(name).resources])
"""


def made(**rows: Any) -> Mapped[Customer]:
    return map_from(Customer, **{"id": text("id"), "name": text("name"), **rows})


def shout(how: str) -> Callable[[Any], str]:
    """A user's function that leans on another one of its module, which shouts so."""
    module: dict[str, Any] = {"__name__": "theirs"}
    exec(  # noqa: S102 - the same names with other code, as after an edit
        f"def louder(found):\n    return found.{how}()\n\n"
        "def read(record):\n    return louder(record['name'])\n",
        module,
    )
    read: Callable[[Any], str] = module["read"]
    return read


def through_a_module(how: str) -> Callable[[Any], str]:
    """A user's function that calls one of another module of theirs."""
    words = ModuleType("theirs.words")
    exec(f"def louder(found):\n    return found.{how}()\n", words.__dict__)  # noqa: S102
    module: dict[str, Any] = {"__name__": "theirs.pages", "words": words}
    exec("def read(record):\n    return words.louder(record['name'])\n", module)  # noqa: S102
    read: Callable[[Any], str] = module["read"]
    return read


def test_equal_mappings_have_equal_ones_however_they_write() -> None:
    both = map_to(Customer, id=read_only(text("id")), name=text("name"))
    assert made().fingerprint == made().fingerprint == both.fingerprint


def test_use_of_pythons_library_changes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> str:
        return made(email=via(read=lambda each: unquote(each["x"]), paths=["x"])).fingerprint

    # Filled by the first call of `unquote` that needs it.
    monkeypatch.setattr("urllib.parse._hextobyte", None)
    before = told()
    assert unquote("%C3%A9") == "é"
    assert told() == before


def test_each_difference_in_reading_makes_another() -> None:
    different = [
        made(),
        made(name=text("title")),
        made(email=text("email")),
        made(name=first_of(text("name"), text("title"))),
        made(name=first_of(text("title"), text("name"))),
        made(name=via(read=shout("upper"), paths=["name"])),
        made(name=via(read=shout("title"), paths=["name"])),
        made(name=via(read=through_a_module("upper"), paths=["name"])),
        made(name=via(read=through_a_module("title"), paths=["name"])),
        made(name=via(read=shout("lower"), paths=["name"])),
    ]
    assert all(a.fingerprint != b.fingerprint for a, b in combinations(different, 2))
    again = made(name=via(read=shout("lower"), paths=["name"]))
    assert again.fingerprint == different[-1].fingerprint


def test_another_process_has_the_same_ones() -> None:
    told = subprocess.run(
        [sys.executable, "-c", TELL],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    ours = [one.reading for name in names() for one in get(name).resources]
    assert told.stdout.strip() == str(ours)
    mapped = [reading for reading in ours if not reading.startswith("raw ")]
    assert len(set(mapped)) == len(mapped)
