"""What JSON schemas say against a value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs


class Schemas:
    """Named schemas that refer to each other as `#/components/schemas/NAME`."""

    def __init__(self, named: Mapping[str, Any]):
        self._named = named
        self._validators: dict[str, jsonschema_rs.Validator] = {}

    def wrong(self, schema: Mapping[str, Any], value: Any) -> list[str]:
        """Everything in a value that a schema, which may refer to them, does not allow. What was
        made of a schema is kept: it takes longer than the check."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            root = {**schema, "components": {"schemas": self._named}}
            self._validators[key] = jsonschema_rs.Draft202012Validator(root)
        return [
            f"at /{'/'.join(map(str, each.instance_path))}: {each.message[:300]}"
            for each in self._validators[key].iter_errors(value)
        ]
