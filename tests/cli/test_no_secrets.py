"""Nothing secret in any output: canaries are provoked through every error path and searched for."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from landbridge import Landbridge
from landbridge.client import SignIn
from landbridge.client.sign_in import authorization
from landbridge.errors import LandbridgeError
from landbridge.providers import get
from landbridge.store import connections
from landbridge.testing.running import in_thread
from landbridge.testing.stripe import Settings, Simulator
from landbridge.vault import LocalKey
from landbridge.wire import Headers, Request
from tests.cli.canaries import MODES, Canaries, database_text, echo, leaks
from tests.cli.conftest import SMALL, Cli, Done, Shop, run, started

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
def echoing() -> Iterator[str]:
    """A server that says back what it was signed in with."""
    with in_thread(echo) as url:
        yield url


@pytest.fixture
def secret_shop(canaries: Canaries) -> Iterator[Shop]:
    """A Stripe account whose key is a canary."""
    simulator = Simulator(Settings(amounts=SMALL, keys=(canaries.api_key,)))
    with in_thread(simulator.app) as url:
        yield Shop(url=url, simulator=simulator)


@pytest.fixture
def secret_cli(cli: Cli, canaries: Canaries) -> Cli:
    """The command with every secret setting a canary."""
    cli.environment |= {
        "LANDBRIDGE_KEY": canaries.landbridge_key,
        "LANDBRIDGE_CONNECT_KEY": canaries.api_key,
        "LANDBRIDGE_CONNECT_PASSWORD": canaries.password,
        "LANDBRIDGE_VERIFY_SECRET": canaries.webhook_secret,
    }
    return cli


def text(done: Done) -> str:
    return done.out + done.err


@pytest.mark.parametrize("mode", [[], ["--json"]], ids=["text", "json"])
def test_settings_that_are_wrong(bare_cli: Cli, canaries: Canaries, mode: list[str]) -> None:
    password, key = canaries.database_password, canaries.landbridge_key
    texts = []
    for number, url in enumerate((
        f"postgresql://ada:{password}@127.0.0.1:1/none",
        f"postgresql://ada:{password}@no-such-host.invalid/none",
        f"postgresql://ada:{password}@host:port/none",
        f"mysql://ada:{password}@127.0.0.1/none",
        f"postgresql://ada:{password}@[::1/none",
        f"postgresql://127.0.0.1:1/none?password={password}&sslmode=sometimes",
        password,
    )):  # fmt: skip
        for command in (["connections", "list"], ["doctor"], ["worker"], ["serve", "--port", "0"]):
            done = bare_cli(
                *command, *mode, LANDBRIDGE_DATABASE_URL=url, LANDBRIDGE_KEY=canaries.landbridge_key
            )
            assert done.status == 1, (command, number, done)
            texts.append((f"{command} {number}", text(done)))
    for number, wrong in enumerate((key[:-1], f"{key},{key}x", f" {key} x", key[::-1])):
        for command in (["doctor", "--offline"], ["connections", "list"]):
            done = bare_cli(
                *command, *mode,
                LANDBRIDGE_KEY=wrong,
                LANDBRIDGE_DATABASE_URL="postgresql://ada@127.0.0.1:1/none",
            )  # fmt: skip
            assert done.status == 1
            texts.append((f"{command} key {number}", text(done)))
    assert leaks(canaries, texts) == []


@pytest.mark.parametrize("provider", ["stripe", "caldav"])
def test_a_server_that_says_back_what_it_was_signed_in_with(
    secret_cli: Cli, canaries: Canaries, echoing: str, provider: str
) -> None:
    texts = []
    for number, mode in enumerate(MODES):
        words = ["connect", provider, "--tenant", "acme", "--url", f"{echoing}/{mode}"]
        words += ["--set", "username=ada"] if provider == "caldav" else []
        words += ["--json"] if number % 2 else []
        done = secret_cli(*words)
        assert done.status == 1, done
        texts.append((mode, text(done)))
    texts += database_text(secret_cli.environment["LANDBRIDGE_DATABASE_URL"])
    assert leaks(canaries, texts) == []


def test_an_ordinary_life_of_a_connection(
    secret_cli: Cli, canaries: Canaries, secret_shop: Shop
) -> None:
    cli, texts = secret_cli, list[tuple[str, str]]()

    def tried(*words: str, **more: str) -> Done:
        done = cli(*words, **more)
        texts.append((" ".join(words), text(done)))
        return done

    done = tried("connect", "stripe", "--tenant", "acme", "--url", secret_shop.url, "--json")
    connection = done.json["connection"]
    price = run(secret_shop, "GET", "objects/prices")["objects"][0]["id"]
    run(secret_shop, "PATCH", f"objects/prices/{price}", {"set": {"currency": None}})
    tried("connections", "secret", connection, stdin=canaries.webhook_secret)
    tried("pull", connection)
    for words in (
        ("connections", "list"), ("connections", "show", connection), ("parked", "list"),
        ("records", connection, "customer"), ("inbox", "list"), ("inbox", "refused"),
        ("doctor", "--offline"), ("provider", "show", "stripe"),
    ):  # fmt: skip
        tried(*words)
        tried(*words, "--json")
    tried("verify", "stripe", "--header", "Stripe-Signature: t=1,v1=00", stdin="{}")
    tried("verify", "stripe", "--json", "--header", "Stripe-Signature: nonsense", stdin="{}")
    tried("connect", "stripe", "--tenant", "acme", "--set", f"key={canaries.api_key}")
    tried("connect", "stripe", "--tenant", "acme", "--set", canaries.api_key)
    tried("connect", "stripe", "--tenant", "acme", "--stdin", stdin=f"x={canaries.api_key}")
    tried("connect", "stripe", "--tenant", "acme", "--stdin", stdin=canaries.api_key)
    wrong_key = Canaries().landbridge_key
    tried("pull", connection, "product", LANDBRIDGE_KEY=wrong_key)
    tried("doctor", "--offline", LANDBRIDGE_KEY=wrong_key)
    run(secret_shop, "POST", "keys", {"accept": ["sk_test_another"]})
    tried("pull", connection, "--json")
    tried("connections", "disconnect", connection)
    texts += database_text(cli.environment["LANDBRIDGE_DATABASE_URL"])
    assert leaks(canaries, texts) == []


def test_the_logs_of_a_worker_and_a_server(
    secret_cli: Cli, canaries: Canaries, secret_shop: Shop, echoing: str
) -> None:
    cli, texts = secret_cli, list[tuple[str, str]]()
    url = cli.environment["LANDBRIDGE_DATABASE_URL"]
    with started(["serve", "--port", "0", "--json"], cli.environment) as serving:
        assert serving.stdout is not None
        cli.environment["LANDBRIDGE_PUBLIC_URL"] = json.loads(serving.stdout.readline())["serving"]
        for mode in ("400", "422", "500", "text", "list", "moved", "drop"):
            done = cli.ok(
                "connect", "stripe", "--tenant", mode, "--url", secret_shop.url, "--json"
            ).json
            cli.ok("connections", "secret", done["connection"], stdin=canaries.webhook_secret)
            _lead_to(url, done["connection"], f"{echoing}/{mode}")
            asyncio.run(_knock(done["webhooks_to"], canaries))
        with started(["worker"], cli.environment) as working:
            deadline = time.monotonic() + 90
            while _untried(url) and time.monotonic() < deadline:
                time.sleep(0.5)
            texts += _stopped("worker", working)
        texts += _stopped("serve", serving)
    assert not _untried(url)
    texts += database_text(url)
    assert leaks(canaries, texts) == []


def _lead_to(url: str, connection: str, base: str) -> None:
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(
            "UPDATE landbridge.connection SET settings = %s::jsonb WHERE id = %s",
            [json.dumps({"base": base}), connection],
        )


def _untried(url: str) -> int:
    """How many connections have not had a pull that failed."""
    with psycopg.connect(url) as database:
        row = database.execute(
            "SELECT count(*) FROM landbridge.connection AS c WHERE NOT EXISTS ("
            " SELECT FROM landbridge.run AS r WHERE r.connection = c.id AND r.state = 'failed')"
        ).fetchone()
    assert row is not None
    return int(row[0])


async def _knock(hook: str, canaries: Canaries) -> None:
    """Webhooks that are forged, malformed and much too large, with a secret in their headers."""
    signed_in = {"Authorization": f"Bearer {canaries.api_key}", "Cookie": canaries.password}
    async with aiohttp.ClientSession(headers=signed_in) as session:
        for signature in ("t=1,v1=00", canaries.webhook_secret, "", "t=9999999999,v1=zz"):
            headers = {"Stripe-Signature": signature}
            async with session.post(hook, data=b"{}", headers=headers) as answer:
                assert answer.status == 400
                assert canaries.webhook_secret not in await answer.text()
        async with session.post(hook, data=io.BytesIO(b"x" * 1_500_000)) as answer:
            assert answer.status == 413
        async with session.get(hook) as answer:
            assert answer.status == 405


def _stopped(name: str, process: subprocess.Popen[str]) -> list[tuple[str, str]]:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    return [(f"{name} stdout", out), (f"{name} stderr", err)]


async def test_what_public_objects_show_of_themselves(
    database_url: str, canaries: Canaries, secret_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDBRIDGE_DATABASE_URL", database_url)
    bridge = Landbridge.from_env(
        key=canaries.landbridge_key, allow_networks="127.0.0.0/8", direct_url=database_url
    )
    credentials = {"key": canaries.api_key}
    async with bridge:
        connected = await bridge.connect(
            "stripe",
            tenant="acme",
            credentials=credentials,
            settings={"base": secret_shop.url},
            webhook_secret=canaries.webhook_secret,
        )
        connection = await bridge.connection(connected.connection.id)
        signed = authorization(get("stripe"), credentials)
        shown: list[Any] = [
            bridge,
            bridge.settings,
            bridge._parts,
            bridge.db,
            bridge.vault,
            bridge.client,
            bridge.puller,
            bridge.endpoints,
            connected,
            connection,
            await connections.every(bridge.db, environment="test"),
            SignIn(credentials=credentials),
            bridge.client.signed(get("stripe"), SignIn(credentials=credentials)),
            LocalKey.from_text(canaries.landbridge_key),
            Headers(signed),
            Request(method="GET", url=secret_shop.url, headers=Headers(signed)),
        ]
        texts = [(type(each).__name__, f"{each!r} {each} {each!s}") for each in shown]
    password = psycopg.conninfo.conninfo_to_dict(database_url)["password"]
    searched = Canaries(
        api_key=canaries.api_key,
        webhook_secret=canaries.webhook_secret,
        landbridge_key=canaries.landbridge_key,
        database_password=str(password),
    )
    assert leaks(searched, texts) == []


UNFORESEEN = """
import asyncio, sys
from landbridge import Landbridge

async def main():
    async with Landbridge.from_env() as bridge:
        await bridge.connect(
            "stripe",
            tenant="acme",
            credentials={"key": sys.stdin.readline().strip()},
            settings={"base": sys.stdin.readline().strip()},
            webhook_secret=sys.stdin.readline().strip(),
        )

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "damage",
    [
        "ALTER TABLE landbridge.access_grant DROP COLUMN scopes",
        "ALTER TABLE landbridge.access_grant ADD CHECK (access IS NULL)",
        "DROP TABLE landbridge.connection",
        "ALTER TABLE landbridge.connection ADD CHECK (secrets IS NULL)",
    ],
)
def test_tracebacks_of_what_nobody_foresaw(
    secret_cli: Cli, canaries: Canaries, secret_shop: Shop, damage: str, tmp_path: Path
) -> None:
    """The database is damaged under a connect: its own errors come through with their rows."""
    url = secret_cli.environment["LANDBRIDGE_DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(damage)
    given = f"{canaries.api_key}\n{secret_shop.url}\n{canaries.webhook_secret}\n"
    done = subprocess.run(
        [sys.executable, "-c", UNFORESEEN],
        input=given,
        capture_output=True,
        text=True,
        env=secret_cli.environment,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert leaks(canaries, [("stdout", done.stdout), ("stderr", done.stderr)]) == []


def test_a_canary_that_is_leaked_on_purpose_is_found(canaries: Canaries) -> None:
    """The control of all tests above: the same search finds each secret in each form."""
    import base64

    for kind, secret in canaries.every().items():
        for place, leaked in (
            ("plain", f"error: {secret} is wrong"),
            ("shouted", f"error: {secret} is wrong".upper()),
            ("json", json.dumps({"error": {"message": secret}})),
            ("basic", "Basic " + base64.b64encode(f"ada:{secret}".encode()).decode()),
            ("hex", f"\\x{secret.encode().hex()}"),
            ("cut", f"error: {secret[:-3]}..."),
            ("url", f"https://example.com/?key={secret}"),
        ):
            assert leaks(canaries, [(place, leaked)]) == [f"{place}: {kind}"]
    assert leaks(canaries, [("harmless", "error: nothing is wrong")]) == []


LEAKY = """
from landbridge import Change, Landbridge, Tx
from landbridge.models.payments import Product

bridge = Landbridge.from_env()

@bridge.on(Product)
async def leaky(change: Change[Product], tx: Tx) -> None:
    print("the key is", bridge.settings.key, flush=True)
"""


def test_a_worker_that_leaks_on_purpose_is_caught(
    secret_cli: Cli, canaries: Canaries, secret_shop: Shop, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The control of the worker's logs: what a real process prints is really searched."""
    (tmp_path / "leaky_app.py").write_text(LEAKY)
    monkeypatch.chdir(tmp_path)
    cli = secret_cli
    done = cli.ok("connect", "stripe", "--tenant", "acme", "--url", secret_shop.url, "--json").json
    cli.ok("pull", done["connection"], "product")
    with started(["worker", "--app", "leaky_app:bridge"], cli.environment) as working:
        assert working.stdout is not None
        lines = [working.stdout.readline(), working.stdout.readline()]
        texts = [("worker stdout", "".join(lines)), *_stopped("worker", working)]
    assert "worker stdout: landbridge_key" in leaks(canaries, texts)


async def test_the_chain_of_an_error_holds_no_secret(
    database_url: str, canaries: Canaries, echoing: str
) -> None:
    """What a log with tracebacks would write: the error, and all that it came from."""
    bridge = Landbridge.from_env(
        database_url=database_url, key=canaries.landbridge_key, allow_networks="127.0.0.0/8"
    )
    texts = []
    async with bridge:
        for mode in MODES:
            with pytest.raises(LandbridgeError) as raised:
                await bridge.connect(
                    "stripe",
                    tenant="acme",
                    credentials={"key": canaries.api_key},
                    settings={"base": f"{echoing}/{mode}"},
                )
            chain = "".join(traceback.format_exception(raised.value))
            texts.append((mode, f"{chain} {vars(raised.value)}"))
    assert leaks(canaries, texts) == []
