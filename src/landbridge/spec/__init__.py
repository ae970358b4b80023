"""The notation: a provider is a page of frozen, keyword-only values, checked when imported.

This is its one public face: each module's `__all__` lists the words that a page may use.
"""

# A star brings exactly the words that its module lists.
from landbridge.spec._check import *  # noqa: F403
from landbridge.spec._paths import *  # noqa: F403
from landbridge.spec._scope import *  # noqa: F403
from landbridge.spec.accounts import *  # noqa: F403
from landbridge.spec.amounts import *  # noqa: F403
from landbridge.spec.auth import *  # noqa: F403
from landbridge.spec.before import *  # noqa: F403
from landbridge.spec.capability import *  # noqa: F403
from landbridge.spec.custom import *  # noqa: F403
from landbridge.spec.either import *  # noqa: F403
from landbridge.spec.entry import *  # noqa: F403
from landbridge.spec.following import *  # noqa: F403
from landbridge.spec.kinds import *  # noqa: F403
from landbridge.spec.mapping import *  # noqa: F403
from landbridge.spec.marked import *  # noqa: F403
from landbridge.spec.overlay import *  # noqa: F403
from landbridge.spec.paging import *  # noqa: F403
from landbridge.spec.parts import *  # noqa: F403
from landbridge.spec.provider import *  # noqa: F403
from landbridge.spec.quota import *  # noqa: F403
from landbridge.spec.refusals import *  # noqa: F403
from landbridge.spec.rounding import *  # noqa: F403
from landbridge.spec.rows import *  # noqa: F403
from landbridge.spec.scopes import *  # noqa: F403
from landbridge.spec.signature import *  # noqa: F403
from landbridge.spec.unique import *  # noqa: F403
from landbridge.spec.webhook import *  # noqa: F403
