"""The check against a vendor's document fails where it must."""

import json

import pytest

from tests.specs.openapi import OpenApi, stripe
from tests.specs.stripe import trim

DOCUMENT = {
    "paths": {
        "/things": {"get": {"responses": {"200": {"$": 0}}}},
        "/things/{id}": {
            "get": {
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/thing"}}
                        }
                    },
                    "default": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/error"}}
                        }
                    },
                }
            }
        },
        "/things/loose": {
            "get": {
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/loose"}}
                        }
                    }
                }
            }
        },
    },
    "components": {
        "schemas": {
            "thing": {
                "type": "object",
                "required": ["id", "parent"],
                "properties": {
                    "id": {"type": "string"},
                    "parent": {
                        "nullable": True,
                        "anyOf": [{"$ref": "#/components/schemas/thing"}],
                    },
                },
            },
            "loose": {"type": "object", "properties": {"id": {"type": "string"}}},
            "error": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": {"type": "string"}},
            },
        }
    },
}
GOOD = b'{"id": "a", "parent": {"id": "b", "parent": null}}'


def test_a_right_response_passes() -> None:
    assert OpenApi(DOCUMENT).check("GET", "/things/1", 200, GOOD) == []


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "reason"),
    [
        ("GET", "/nothing", 200, GOOD, "no such operation"),
        ("POST", "/things/1", 200, GOOD, "no such operation"),
        ("GET", "/things/1", 201, GOOD, "status 201 is not declared"),
        ("GET", "/things/1", 200, b"", "the body is empty"),
        ("GET", "/things/1", 200, b" \n", "the body is empty"),
        ("GET", "/things/1", 200, b"{", "not JSON"),
        ("GET", "/things/1", 200, b"{}", "required"),
        ("GET", "/things/1", 200, b'{"id": 1, "parent": null}', "at /id"),
        ("GET", "/things/1", 200, b'{"id": "", "parent": null, "x": 1}', "Additional properties"),
        ("GET", "/things/1", 404, b'{"message": "no"}', "required"),
        ("GET", "/things/loose", 200, b'{"id": "a"}', "demands nothing"),
        ("GET", "/things", 200, b"[]", "no JSON schema"),
    ],
)
def test_everything_else_fails(
    method: str, path: str, status: int, body: bytes, reason: str
) -> None:
    problems = OpenApi(DOCUMENT).check(method, path, status, body)
    assert len(problems) >= 1
    assert reason in " ".join(problems)


def test_fields_that_the_vendor_does_not_know_pass_only_when_not_strict() -> None:
    body = b'{"id": "a", "parent": null, "more": 1}'
    assert OpenApi(DOCUMENT, strict=False).check("GET", "/things/1", 200, body) == []


def test_stripes_own_example_fails_where_it_is_behind_its_own_schema() -> None:
    """The reason why the simulator does not serve the vendor's examples as they are."""
    examples = json.loads((trim.HERE / "fixtures3.json").read_bytes())["resources"]
    assert stripe().check_object("invoice", examples["invoice"]) != []
    assert stripe().check_object("balance_transaction", examples["balance_transaction"]) == []


def test_what_the_simulator_ships_is_cut_from_the_vendors_files() -> None:
    assert trim.SHIPPED.read_text(encoding="utf-8") == trim.trimmed()
