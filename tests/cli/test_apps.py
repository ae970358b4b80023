"""`landbridge apps`, `scopes`, `connections audit` and `import`, as a user calls them."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Cli


def test_scopes_of_a_provider_with_keys_are_none(cli: Cli) -> None:
    assert cli.ok("scopes", "stripe", "--json").json == {"scopes": []}
    assert "knows no scopes" in cli.ok("scopes", "stripe").out
    assert "invoice" in cli("scopes", "stripe", "--resource", "invoic").err


def test_an_app_is_set_and_listed(cli: Cli) -> None:
    assert cli.ok("apps", "list", "--json").json == {"apps": []}
    done = cli.ok("apps", "set", "stripe", "--resource", "invoice", "--write", "refund", "--json")
    assert (done.json["resources"], done.json["writes"]) == (["invoice"], ["refund"])
    (app,) = cli.ok("apps", "list", "--json").json["apps"]
    assert (app["provider"], app["secret"], app["redirect_uri"]) == ("stripe", "none", None)
    wrong = cli("apps", "set", "stripe", "--write", "event")
    assert "writes" in wrong.err


def test_a_client_is_refused_where_there_is_no_consent_and_its_secret_not_shown(cli: Cli) -> None:
    told = cli(
        "apps",
        "set",
        "stripe",
        "--client-id",
        "abc",
        LANDBRIDGE_CONNECT_CLIENT_SECRET="canary-secret",
    )
    assert "without an OAuth client" in told.err
    assert "canary" not in told.err + told.out
    assert "nothing to set" in cli("apps", "set", "stripe").err


def test_rows_that_cannot_be_imported_are_named_by_their_lines(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "grants.jsonl"
    row = '{"provider": "stripe", "tenant": "acme", "refresh_token": "canary-token"}'
    file.write_text(f"\n{row}\n")
    told = cli("connections", "import", str(file), "--json")
    assert told.status == 1
    (done,) = told.json["rows"]
    assert (done["line"], done["state"], done["tenant"]) == (2, "failed", "acme")
    assert "canary" not in told.out + told.err
    file.write_text(f"{row}\nno json\n")
    assert "line 2" in cli("connections", "import", str(file)).err
    assert "nothere" in cli("connections", "import", "nothere.jsonl").err


def test_the_audit_leaves_out_who_has_no_scopes(cli: Cli) -> None:
    assert cli.ok("connections", "audit", "--json").json == {"connections": []}
