"""FreshBooks: the books of a small business."""

from landbridge.providers.freshbooks.provider import freshbooks

__all__ = ["freshbooks"]
