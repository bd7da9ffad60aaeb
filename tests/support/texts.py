"""What a user would read of an exception."""

import traceback


def full_text(exception):
    """Return the exception's text with causes and notes."""
    return "".join(traceback.format_exception(exception))
