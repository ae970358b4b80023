"""Fields that no two records of a provider may have alike."""

import dataclasses
from collections.abc import Mapping

from landbridge.spec._check import fact

__all__ = ["Unique"]


@fact
class Unique:
    """A field of our model that the provider wants to be another one in each record.

    A record that is void does not count. Looked for before a write, among what was pulled.
    """

    field: str
    among: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Our fields with the words of the records that it is about (`{"direction": "sale"}`); none:
    all."""
    unsure: bool = False
    """Whether the vendor leaves it open (by a setting of the company, say): a preview tells of it,
    and the provider is asked all the same."""
