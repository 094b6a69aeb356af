"""The few exceptions: bugs, broken settings and the database.

A provider's answer is never an exception (domain/outcome.py), neither is a commit whose fate is
unknown (store/db.py) nor a request that we refuse (services/accept.py): those are values.
"""


class NotifyqError(Exception):
    """Whatever notifyq raises on purpose."""


class IllegalTransition(NotifyqError):
    """A state and an event that do not go together met: a bug, and nothing was changed."""


class BadSettings(NotifyqError):
    """The settings are wrong; every fault is in the message, one a line."""


class FenceLost(NotifyqError):
    """This region may not begin attempts at the epoch that the caller holds."""


class DatabaseAway(NotifyqError):
    """The database could not be reached, or its URL could not be read."""
