"""Pure codecs: bytes to values and back. No I/O."""

from landbridge.formats.codec import Codec, codec, parse_json
from landbridge.formats.patch import json_patch

__all__ = ["Codec", "codec", "json_patch", "parse_json"]
