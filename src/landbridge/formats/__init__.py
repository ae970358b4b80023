"""Pure codecs: bytes to values and back. No I/O."""

from landbridge.formats.codec import Codec, codec, parse_json

__all__ = ["Codec", "codec", "parse_json"]
