"""What a user's type checker says: `tests/typing/*.py` pass, but for the mistakes they mark.

A line that must not pass ends in `# expect: CODE`, or several codes with a comma between.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_MYPY = (
    sys.executable,
    "-m",
    "mypy",
    "--no-color-output",
    "--exclude=^$",
)
_FOUND = re.compile(
    r"^(?P<file>[^:]+):(?P<line>\d+): error: .* \[(?P<code>[a-z-]+)\]$", re.MULTILINE
)
_MARK = re.compile(r"# expect: (?P<codes>[a-z, -]+)$")


def test_users_code_is_accepted_and_refused_where_it_says() -> None:
    files = sorted((_ROOT / "tests/typing").glob("*.py"))
    assert files, "tests/typing has no code to check"
    expected = {
        (str(file.relative_to(_ROOT)), number, code.strip())
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if (mark := _MARK.search(line))
        for code in mark["codes"].split(",")
    }
    done = subprocess.run(
        [*_MYPY, *(str(file.relative_to(_ROOT)) for file in files)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = {(hit["file"], int(hit["line"]), hit["code"]) for hit in _FOUND.finditer(done.stdout)}
    assert found == expected, done.stdout + done.stderr
    assert done.returncode == (1 if expected else 0), done.stdout + done.stderr
