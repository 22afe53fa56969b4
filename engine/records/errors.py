"""What an operator is told when something cannot be done.

Every error that may reach a screen or a terminal is one of these: one message, its cause, a remedy. The exit codes
are the command line's (CONTRACT.md).
"""


class RepriseError(Exception):
    """Something could not be done. ``message`` says what and where, ``remedy`` what would be right."""

    exit_code = 1
    run: str | None = None  # of an act that makes a run: the one that was made before this went wrong

    def __init__(self, message: str, *, cause: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.remedy = remedy


class UsageError(RepriseError):
    """Wrong usage of a command."""

    exit_code = 2


class SiteError(RepriseError):
    """The site file is missing or wrong."""

    exit_code = 2


class Refused(RepriseError):
    """A check refused; nothing was changed or created."""

    exit_code = 3


class RunFailed(RepriseError):
    """A step failed; everything is left as it is, for resume or rollback."""


class Unreachable(RepriseError):
    """A repository, server or file that should answer does not (in time)."""


class DamagedCopy(RepriseError):
    """A copy is not what it should be: a checksum, a size, a format."""
