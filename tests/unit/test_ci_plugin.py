"""A skipped test fails in CI and is only skipped elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_FILES = {
    "test_inside.py": "import pytest\ndef test_a():\n    pytest.skip('reason one')\n",
    "test_mark.py": (
        "import pytest\n@pytest.mark.skip(reason='reason two')\ndef test_b():\n    pass\n"
        "@pytest.mark.xfail\ndef test_c():\n    assert False\n"
    ),
    "test_module.py": "import pytest\npytest.skip('reason three', allow_module_level=True)\n",
}


def _run(folder: Path, *, ci: str) -> subprocess.CompletedProcess[str]:
    for name, code in _FILES.items():
        (folder / name).write_text(code)
    command = [sys.executable, "-m", "pytest", "-p", "tests._ci_plugin", "-c", os.devnull]
    return subprocess.run(
        [*command, "--continue-on-collection-errors", "--rootdir", folder, folder],
        cwd=_ROOT,
        env={**os.environ, "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_kind_of_skip_fails_in_ci_with_its_reason(tmp_path: Path) -> None:
    done = _run(tmp_path, ci="true")
    assert "1 failed, 1 xfailed, 2 errors" in done.stdout
    for reason in ("reason one", "reason two", "reason three"):
        assert f"Skipped, which CI does not allow: Skipped: {reason}" in done.stdout


def test_a_skip_elsewhere_is_a_skip(tmp_path: Path) -> None:
    done = _run(tmp_path, ci="")
    assert done.returncode == 0
    assert "3 skipped, 1 xfailed" in done.stdout
