"""The documentation's runner finds what drifted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs_run import blocks, commands, main, matches

_RUNNING = "# landbridge"  # the word alone makes a block run


def _page(folder: Path, text: str) -> str:
    page = folder / "page.md"
    page.write_text(text)
    return str(page)


def test_a_page_that_says_what_happens_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "```python run\nx = 1\n```\n\nand\n\n```python run\nassert x == 1\n```\n"
        f"```console\n$ echo one; echo two  {_RUNNING}\none\n...\n```\n"
    )
    assert main([_page(tmp_path, text)]) == 0
    assert "2 pieces ran, 0 are not" in capsys.readouterr().out


def test_python_that_fails_is_found_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = _page(tmp_path, "# Title\n\n```python run\nassert 1 == 2\n```\n")
    assert main([page]) == 1
    assert f'File "{page}", line 4' in capsys.readouterr().err


def test_output_that_differs_is_found_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = _page(tmp_path, f"```console\n$ echo one  {_RUNNING}\ntwo\n```\n")
    assert main([page]) == 1
    assert f"{page}:2: `echo one" in capsys.readouterr().err


@pytest.mark.parametrize(("last", "code"), [("(exit 3)", 0), ("", 1), ("(exit 2)", 1)])
def test_a_failing_command_passes_only_when_the_page_says_so(
    tmp_path: Path, last: str, code: int
) -> None:
    text = f"```console\n$ echo no; exit 3  {_RUNNING}\nno\n{last}\n```\n"
    assert main([_page(tmp_path, text)]) == code


@pytest.mark.parametrize(
    "block",
    [
        "```console no-run\n$ landbridge serve\n```\n",
        "```console\n$ make demo\n```\n",
        "```python\nraise SystemExit(1)\n```\n",
        "````text\n```python run\nraise SystemExit(1)\n```\n````\n",
    ],
)
def test_other_blocks_do_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], block: str
) -> None:
    assert main([_page(tmp_path, block)]) == 0
    assert "0 pieces ran" in capsys.readouterr().out


def test_a_block_that_is_not_closed_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([_page(tmp_path, "text\n```python run\nx = 1\n")]) == 1
    assert "the block that starts above line 3 is not closed" in capsys.readouterr().err


def test_a_command_goes_on_after_a_backslash() -> None:
    (block,) = blocks("```console\n$ landbridge providers \\\n    --json\n[]\n```\n")
    (command,) = commands(block)
    assert command.text == "landbridge providers \\\n    --json"
    assert command.expected == ("[]",)


@pytest.mark.parametrize(
    ("expected", "shown", "same"),
    [
        (["a"], ["a  "], True),
        (["a"], ["a", "b"], False),
        (["a ... c"], ["a b c"], True),
        (["a ... c"], ["a b", "c"], False),
        (["...", "z"], ["x", "y", "z"], True),
        (["...", "z"], ["z"], True),
        (["a", "..."], ["b"], False),
        (["1.0"], ["1x0"], False),
        ([], [], True),
    ],
)
def test_dots_stand_for_anything(expected: list[str], shown: list[str], same: bool) -> None:
    assert matches(expected, shown) is same
