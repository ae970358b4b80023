"""The metrics of processes that run: `serve` with a token, `worker` with a port."""

from __future__ import annotations

import asyncio
import signal

import aiohttp

from tests.cli.conftest import Cli, started
from tests.cli.test_serve_and_worker import ended, ready, until


async def _read(url: str, token: str = "") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.text()


def test_a_worker_answers_metrics_at_a_port_of_its_own(cli: Cli) -> None:
    words = ["worker", "--lanes", "deliver,pull", "--metrics-port", "0", "--json"]
    with started(words, cli.environment) as working:
        address = ready(working)["metrics"]

        def read() -> str | None:
            status, body = asyncio.run(_read(address))
            assert status == 200
            return body if 'landbridge_in_flight{lane="deliver"} 0.0' in body else None

        body = until(read)  # it answers before its lanes are open
        assert body is not None
        assert 'landbridge_in_flight{lane="pull"} 0.0' in body
        assert 'landbridge_in_flight{lane="retry"}' not in body
        assert asyncio.run(_read(address.removesuffix("metrics")))[0] == 404
        ended(working, signal.SIGTERM)


def test_metrics_that_others_could_read_need_the_token(cli: Cli) -> None:
    done = cli("worker", "--metrics-port", "0", "--metrics-host", "0.0.0.0")  # noqa: S104
    assert done.status == 1
    assert "LANDBRIDGE_METRICS_TOKEN" in done.err


def test_a_server_shows_its_metrics_to_those_with_the_token(cli: Cli) -> None:
    environment = {**cli.environment, "LANDBRIDGE_METRICS_TOKEN": "wise"}
    with started(["serve", "--port", "0", "--json"], environment) as serving:
        address = ready(serving)["serving"]
        assert asyncio.run(_read(f"{address}/metrics"))[0] == 401
        status, body = asyncio.run(_read(f"{address}/metrics", "wise"))
        assert (status, "landbridge_due_rows" in body) == (200, True)
        ended(serving, signal.SIGTERM)
