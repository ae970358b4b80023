"""Simulators as processes: they say when they are ready, end when told, and name what is wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from landbridge.errors import SettingsError
from landbridge.testing import radicale
from landbridge.testing.control import Control
from landbridge.testing.running import spawn
from tests.plain import PLAIN

SERVE = [sys.executable, "-m", "landbridge.testing.serve"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("stripe", {"key", "account"}),
        ("caldav", {"username", "password", "calendar"}),
        ("paypal", {"client_id", "client_secret"}),
        ("xero", {"client_id", "client_secret", "organisations"}),
        ("freshbooks", {"client_id", "client_secret", "businesses"}),
        ("square", {"client_id", "client_secret", "merchant"}),
        ("receiver", {"endpoints"}),
    ],
)
def test_each_simulator_runs_as_a_process_and_ends_on_sigterm(
    name: str, shown: set[str], tmp_path: Path
) -> None:
    journal = tmp_path / "deep" / "journal.jsonl"
    server = spawn(name, "--journal", str(journal))
    try:
        assert server.ready["name"] == name
        assert shown <= set(server.ready)
        assert os.getpgid(server.ready["pid"]) > 0
        with Control(server.url) as control:
            assert len(control.get("")) > 5
        assert httpx2.get(f"{server.url}/nowhere", trust_env=False, verify=PLAIN).status_code in {
            401,
            404,
        }
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    finally:
        server.stop()
    if name != "receiver":
        assert [json.loads(line)["path"] for line in journal.read_text().splitlines()] == [
            "/nowhere"
        ]


def test_a_simulator_ends_with_its_parent() -> None:
    script = "from landbridge.testing.running import spawn; print(spawn('receiver').ready['pid'])"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    pid = int(out.stdout)
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        _pause()
    else:
        os.kill(pid, signal.SIGKILL)
        pytest.fail("it outlived its parent")


def _pause() -> None:
    import time

    time.sleep(0.05)


def test_the_time_and_the_seed_are_settings() -> None:
    asked = ["stripe", "--now", "1800000000", "--seed", "4", "--customers", "3"]
    contents = []
    for _ in range(2):
        server = spawn(*asked, "--invoices", "4", "--subscriptions", "0")
        try:
            with Control(server.url) as control:
                contents.append(control.objects("customers"))
        finally:
            server.stop()
    assert list(contents[0]) == list(contents[1])
    assert all(each["created"] < 1_800_000_000 for each in contents[0].values())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["stripe", "--customers", "0"], "customers: 0, but invoices"),
        (["receiver", "--fail-first", "tries"], "'tries' is not NAME=VALUE"),
        (["receiver", "--endpoint", "shop=whsec_%"], "whsec_ followed by base64"),
    ],
)
def test_a_wrong_setting_is_one_sentence(arguments: list[str], sentence: str) -> None:
    done = subprocess.run([*SERVE, *arguments], capture_output=True, check=False, text=True)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*SERVE, "receiver", "--port", port], capture_output=True, check=False, text=True
        )
    assert done.returncode == 2
    assert f"port {port} of 127.0.0.1 cannot be opened" in done.stderr
    with pytest.raises(SettingsError, match="did not start"):
        spawn("receiver", "--endpoint", "a/b")


def test_radicale_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("a file where a folder should be")
    with pytest.raises((SettingsError, OSError)):
        radicale.start(tmp_path, items=[])
    assert radicale.missing() is None


def test_radicale_takes_another_port_where_a_server_was_quicker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with radicale.running(events=0, seed=0) as first:
        taken, free = int(first.url.rsplit(":", 1)[1]), radicale._free_port()
        ports = iter([taken, free])
        monkeypatch.setattr(radicale, "_free_port", lambda: next(ports))
        second = radicale.start(tmp_path, items=[])
        try:
            assert second.url.endswith(f":{free}")
        finally:
            second.stop()


def test_radicale_runs_from_the_command_line_until_its_input_ends() -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "landbridge.testing.radicale", "--events", "5"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    out, _ = server.communicate(input="")
    ready = json.loads(out)
    assert (server.returncode, ready["name"], ready["calendar"]) == (
        0,
        "radicale",
        "/user/calendar/",
    )
    assert not Path(ready["storage"]).exists()
