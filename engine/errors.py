"""The one exception for a user's mistake: it says what is wrong, where, and what to do, and is shown without a traceback."""


class UserError(Exception):
    """A mistake in a spec, a data set or the set-up of the machine. ``str(error)`` is the whole message."""
