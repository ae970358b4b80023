"""`landbridge demo`: the whole story on this machine, judged by the other sides' own journals."""

from landbridge.cli.demo.command import demo

__all__ = ["demo"]
