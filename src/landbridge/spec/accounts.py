"""Whose account a credential opens, and where that is asked."""

from collections.abc import Sequence

from landbridge.errors import SpecError
from landbridge.spec._check import Path, Template, fact

__all__ = ["Accounts"]


@fact
class Accounts:
    """Where to ask which account a credential belongs to. Paths lead into the answer.

    With `list` there may be several behind one grant (Xero's organisations): each path then leads
    into an item, and each item becomes a connection.
    """

    path: Template = ""
    """Where it is asked; an address of its own, where the API's is not the one. `{account}` is the
    id that the redirect named."""
    id: Path = ""
    name: Path = ""
    live: Path = ""
    """Path to a flag that tells live from test; empty: the provider does not say."""
    live_path: Template = ""
    """Where that flag is, if it is not in the same answer."""
    base: str = ""
    """The address that `path` belongs to, where it is not the API's own."""
    list: Path | None = None
    """Path to the list of accounts in the answer (empty: the answer is the list); None: it is one
    account's."""
    kind: Path = ""
    """Path to what an account is, in an item of the list."""
    kinds: Sequence[str] = ()
    """Those that can be connected; none: all."""
    header: str = ""
    """The header that names the account on each call; empty: the credentials alone say it."""
    token_id: Path = ""
    """Path to the account's id in the token's answer; empty: it is not in there."""
    field: str = ""
    """Which of the typed-in fields names the account, where the API does not tell whose a
    credential is: another one (of another app) is then another account."""

    def __post_init__(self) -> None:
        """Refuses a question without an answer, and one that nobody asks."""
        if bool(self.path) != bool(self.id):
            raise SpecError("Accounts, path and id: name both, where it is asked and what is told")
        if not (self.path or self.token_id or self.field):
            raise SpecError("Accounts: name path and id, token_id or field; nothing tells whose")
