"""How many calls a provider allows in which time."""

from landbridge.errors import SpecError
from landbridge.spec._check import among, fact

__all__ = ["Quota"]


@fact
class Quota:
    """At most `limit` calls `per` period; without a period: at once."""

    limit: int
    per: str = ""
    """second, minute, hour or day."""
    scope: str = "account"
    """Whose budget it is: account, app or tenant."""
    environment: str = ""
    """The environment it holds for, instead of one for all that has the same name; empty: all."""
    name: str = ""
    """What the provider calls it; empty: the period, or `concurrent`."""
    window: str = "rolling"
    """rolling: in any such period; fixed: in those that begin with the UTC clock."""
    remaining: str = ""
    """The response header that says how many calls are left."""
    resets: str = ""
    """The response header that says when there are more: seconds, a Unix time or a date."""

    def __post_init__(self) -> None:
        """Refuses a limit below one and words that no one reads."""
        if self.limit < 1:
            raise SpecError(f"Quota, limit: {self.limit} allows nothing")
        among(self.per, ["", "second", "minute", "hour", "day"], "Quota, per")
        among(self.scope, ["account", "app", "tenant"], "Quota, scope")
        among(self.window, ["rolling", "fixed"], "Quota, window")

    @property
    def called(self) -> str:
        """Its name, or what stands for one."""
        return self.name or self.per or "concurrent"
