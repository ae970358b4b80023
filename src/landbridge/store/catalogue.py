"""Every SQL statement of the package, found by looking; what the lints and EXPLAIN tests read."""

from __future__ import annotations

import importlib
import pkgutil

import landbridge.store
from landbridge.store.sql import Sql


def every() -> list[Sql]:
    """All statements of the store's modules, by name; two of one name are a TypeError."""
    found: dict[str, Sql] = {}
    for module in pkgutil.iter_modules(landbridge.store.__path__, "landbridge.store."):
        if module.ispkg or module.name.endswith(".embedded"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Sql) and found.setdefault(value.name, value) is not value:
                raise TypeError(f"two SQL statements are called {value.name}")
    return [found[name] for name in sorted(found)]
