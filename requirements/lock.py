"""Rewrites the lock files beside this script from their `.in` files.

Run by `make lock` (which may pass `--upgrade`). Needs the pinned `uv` of the running environment.
Each lock starts with a digest of the `.in` files it came from, so that a forgotten `make lock` is
found without a network (`stale()`, used by a test).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
GROWING = ("runtime", "demo", "test", "check")
"""The locks of which each contains the one before it."""
BENCH = ("bench-airbyte", "bench-dlt", "bench-singer")
"""Tools that `make bench` compares with, each for an environment of its own."""
LOCKS = ("uv", *GROWING, "peers", *BENCH)


def sources(name: str) -> list[Path]:
    """The `.in` files that `name` is made from: its own and those it includes, outermost first."""
    found = [HERE / f"{name}.in"]
    for line in found[0].read_text().splitlines():
        if line.startswith("-r "):
            found += sources(line.removeprefix("-r ").removesuffix(".in"))
    return found


def heading(name: str) -> str:
    """The first line of the lock `name`, from what its `.in` files say now."""
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources(name))).hexdigest()
    return f"# Made by `make lock` from {name}.in ({digest[:16]})."


def stale() -> list[str]:
    """Names of locks whose `.in` files changed since they were made; empty when fresh."""
    return [
        name
        for name in LOCKS
        if (HERE / f"{name}.txt").read_text().partition("\n")[0] != heading(name)
    ]


def lock(name: str, *options: str) -> None:
    """Writes the lock `name`: exact versions with their hashes, and no address.

    A lock that comes out as it was keeps its time, so that `make` installs nothing again.
    """
    target = HERE / f"{name}.txt"
    before, times = target.read_text(), target.stat()
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
    command += ["--python-version", "3.11", "--generate-hashes"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"]
    command += [*options, "--output-file", str(target), str(HERE / f"{name}.in")]
    subprocess.run(command, check=True)  # noqa: S603  (our own command line)
    target.write_text(f"{heading(name)}\n{target.read_text()}")
    if target.read_text() == before:
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))


def main(*options: str) -> None:
    """Writes every lock; `options` go to `uv pip compile`, for example `--upgrade`."""
    lock("uv", "--only-binary", ":all:", *options)
    lock("peers", "--no-deps", *options)
    for name in BENCH:
        lock(name, *options)
    smaller: list[str] = []
    for name in GROWING:
        lock(name, "--only-binary", ":all:", *smaller, *options)
        smaller = ["--constraints", str(HERE / f"{name}.txt")]


if __name__ == "__main__":
    main(*sys.argv[1:])
