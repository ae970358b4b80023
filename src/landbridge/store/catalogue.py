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
            for each in value.values() if isinstance(value, dict) else (value,):
                if isinstance(each, Sql) and found.setdefault(each.name, each) is not each:
                    raise TypeError(f"two SQL statements are called {each.name}")
    return [found[name] for name in sorted(found)]
