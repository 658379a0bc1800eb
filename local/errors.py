"""What can go wrong while the embedded stack starts or runs. Every message says what to do next."""


class LocalError(Exception):
    """Base of everything this package raises on purpose; the message is meant for a person."""


class SettingsError(LocalError):
    """A PERGOLA_* variable that the embedded stack reads has a wrong name or value."""


class DataDirectoryHeld(LocalError):
    """Another run holds the data directory."""


class IncompatibleData(LocalError):
    """A store's files were written by a version that the installed one cannot take over."""


class PortTaken(LocalError):
    """A port that was asked for is in use by somebody else."""


class PartFailed(LocalError):
    """A part did not become ready, or died.

    `part` is its name in logs and progress lines; the message ends with the last lines of its log.
    """

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part = part


class Aborted(LocalError):
    """The start was called off, by a signal."""
