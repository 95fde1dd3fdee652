"""The error that a user can mend."""


class UserError(Exception):
    """Wrong input: one sentence that names the case or file and says what to do.

    Commands print it on stderr and exit with code 2; no traceback is shown without ``--debug``.
    """
