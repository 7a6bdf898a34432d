"""The one exception that is meant for a person."""


class InputError(Exception):
    """Something in the input that a person can mend.

    The message is one plain sentence that names the file (or setting), says what is wrong and what
    to do about it.  The command line prints it and exits with status 2; napari shows it as a
    notification.  Every other exception is a bug.
    """
