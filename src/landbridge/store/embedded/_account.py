"""The unprivileged user that the server runs as. Postgres refuses to run as root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landbridge.errors import SettingsError
from landbridge.store.embedded._home import WAY_OUT


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user, and whether we have to become that user first (`switch`)."""

    name: str
    uid: int
    gid: int
    switch: bool

    @classmethod
    def choose(cls, owner: int | None = None) -> "Account":
        """Ourselves; or, when we are root: `owner` (who has a cluster already), `postgres`,
        `nobody`. SettingsError for a user id without a name, which initdb cannot work for."""
        if os.geteuid() != 0:
            try:
                return cls._of(pwd.getpwuid(os.geteuid()), switch=False)
            except KeyError:
                raise SettingsError(
                    f"the user id {os.geteuid()} has no entry in /etc/passwd, and Postgres cannot"
                    f" make a database for it: add an entry, run as another user, {WAY_OUT}"
                ) from None
        if owner:
            return cls._of(pwd.getpwuid(owner), switch=True)
        users = {user.pw_name: user for user in pwd.getpwall()}
        for name in ("postgres", "nobody"):
            if name in users:
                return cls._of(users[name], switch=True)
        raise SettingsError(
            "Postgres does not run as root, and this machine has neither the user postgres nor"
            f" nobody: add one, run as an ordinary user, {WAY_OUT}"
        )

    @classmethod
    def _of(cls, user: pwd.struct_passwd, *, switch: bool) -> "Account":
        return cls(name=user.pw_name, uid=user.pw_uid, gid=user.pw_gid, switch=switch)

    @property
    def as_user(self) -> dict[str, Any]:
        """The arguments that make `subprocess` start a program as this user, speaking English.

        Only the supervisor starts programs, and was lent no environment that could be a secret.
        """
        common: dict[str, Any] = {"env": os.environ | {"LC_ALL": "C"}, "cwd": "/"}
        if self.switch:
            common |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return common

    def own(self, path: Path) -> None:
        """Gives a directory that we made to this user."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Whether this user may pass through the directory and all those above it."""
        # Asked of the kernel as that user: modes, ACLs and mount options all count.
        question = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]
        asked = subprocess.run(question, check=False, **self.as_user)  # noqa: S603 - a constant
        return asked.returncode == 0


def make_public(path: Path) -> None:
    """Makes a directory, and those above it that are missing, for every user to pass through."""
    if path.is_dir():
        return
    make_public(path.parent)
    path.mkdir()
    path.chmod(0o755)


def shared_place(wanted: Path, spare: Path = Path("/var/tmp/landbridge-root")) -> Path:  # noqa: S108 - its owner is checked
    """`wanted`, or `spare` where that cannot be made; both hold what root shares with others."""
    for place in (wanted, spare):
        try:
            make_public(place)
        except OSError:
            continue
        seen = place.stat()
        if seen.st_uid == os.geteuid() and not seen.st_mode & 0o022:
            return place
    raise SettingsError(
        f"root can keep the embedded Postgres neither in {wanted} nor in {spare}: make one of them"
        f" a directory that only root may write to, {WAY_OUT}"
    )
