"""The `landbridge` command. `main` is its entry point; `app` has the table of commands."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status: 0 done, 1 failed, 2 wrong call, 130 stopped.

    `arguments` are those after the program's name; None takes them from the command line. A failure
    is one line `error: ...` on standard error, or with `--json` an object
    `{"error": {"type", "message"}}` on standard output; never a traceback.
    """
    from landbridge.cli.app import run

    return run(arguments)
