"""The example of docs/howto/test-your-integration.md is run as a user's test would be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.docs_run import blocks

_PAGE = Path(__file__).parents[2] / "docs/howto/test-your-integration.md"


def test_the_example_of_a_users_tests_passes(server_directory: Path) -> None:
    (example,) = [
        "\n".join(block.lines)
        for block in blocks(_PAGE.read_text())
        if block.words == ("python", "test_shop.py")
    ]
    (server_directory / "test_shop.py").write_text(example + "\n")
    words = ["-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "--basetemp=temporary"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "test_shop.py"],
        cwd=server_directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
