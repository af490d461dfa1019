"""One error tree; the command turns it into a sentence and an exit code.

    MagpieHubError
    ├── UsageError            2    the caller can mend it: recipe, arguments, folders
    │   ├── RecipeError            a key, a label, a filter; says where in the file
    │   ├── RunMismatch            the folder holds another recipe's rows
    │   ├── RunLocked              another process works on the run
    │   └── MissingExtra           names the line that installs it
    ├── InvalidData           3    rows or files break their contract
    │   └── DamagedShard           a shard that cannot be read as it was written
    ├── HubError              4    the Hub refused, or could not be verified
    ├── EngineError           5    a model or the machine under it failed
    │   └── StorageError           the disk refused a write
    └── Interrupted         130    stopped by Ctrl-C; what was finished stays

A message is one sentence that says where and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class MagpieHubError(Exception):
    """The root; never raised itself. ``result`` is what was found out all the same, for JSON."""

    exit_code: ClassVar[int] = 1
    result: object | None = None


class UsageError(MagpieHubError):
    exit_code = 2


class RecipeError(UsageError):
    pass


class RunMismatch(UsageError):
    pass


class RunLocked(UsageError):
    pass


class MissingExtra(UsageError):
    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; it comes with: pip install 'magpie-hub[{extra}]'."
        )


class InvalidData(MagpieHubError):
    exit_code = 3


class DamagedShard(InvalidData):
    pass


class HubError(MagpieHubError):
    exit_code = 4


class EngineError(MagpieHubError):
    exit_code = 5


class StorageError(EngineError):
    pass


class Interrupted(MagpieHubError):
    exit_code = 130


def said(error: BaseException) -> str:
    """What an error of a library says, to stand within a sentence."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
