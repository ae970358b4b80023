"""What a test gives its HTTP clients of servers on this machine, which speak no TLS."""

import ssl

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody, in no time: a client's own way is to read all authorities that the machine knows,
which takes longer than most tests."""
