"""What was raised, and what a user would read of it."""

import traceback

from support.watchdog import StillRunning


def catch(function):
    """Return what the call raised, of whatever class; it must raise."""
    try:
        function()
    except StillRunning:
        raise
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def full_text(exception):
    """Return the exception's text with causes and notes."""
    return "".join(traceback.format_exception(exception))
