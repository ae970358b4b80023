"""Pure rules about records that are edited on two sides: what each is to hold, what to ask."""

from landbridge.merge.policy import Policy, Take
from landbridge.merge.three_way import (
    WHOLE,
    Conflict,
    Merged,
    Values,
    merge,
    resolve,
    values_of,
    with_values,
)

__all__ = [
    "WHOLE",
    "Conflict",
    "Merged",
    "Policy",
    "Take",
    "Values",
    "merge",
    "resolve",
    "values_of",
    "with_values",
]
