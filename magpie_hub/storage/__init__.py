"""Where a run lies: a folder on this machine, or a URL of any filesystem that fsspec reaches.

A file is complete or absent. Here that is a temporary file, fsync, rename and fsync of the folder;
on an object store it is a single put.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from magpie_hub.errors import StorageError, UsageError, said

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_T = TypeVar("_T")
THREADS = 32
"""Requests at a time, where a file is a request."""
Stamp = Hashable
"""Differs between two versions of a file."""


class Folder(Protocol):
    """A folder that need not be there yet. Names are those of files directly in it.

    ``StorageError`` where the filesystem refuses or cannot be reached.
    """

    @property
    def path(self) -> Path:
        """Where it lies on this machine; ``UsageError`` where it lies elsewhere."""

    @property
    def remote(self) -> bool: ...

    def child(self, name: str) -> Folder:
        """The folder ``name`` in it, which may be a path; the same object each time."""

    def read(self, name: str) -> bytes:
        """``FileNotFoundError`` where there is no such file."""

    def head(self, name: str, size: int) -> bytes:
        """Its first ``size`` bytes, or all that it has."""

    def tail(self, name: str, size: int) -> bytes:
        """Its last ``size`` bytes, or all that it has."""

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Atomic: afterwards there is the old file or the new one. ``durable``: it has also
        survived a power cut."""

    def delete(self, name: str) -> None:
        """Nothing where there is no such file."""

    def names(self) -> list[str]:
        """The files and folders in it, sorted."""

    def stamp(self, name: str) -> Stamp | None:
        """The file's version, None where it is absent. Elsewhere than on this machine it is what
        the last listing said, until :meth:`refresh`."""

    def refresh(self, name: str | None = None) -> None:
        """Others may have written here: all of it, or the file ``name``."""


def open_folder(place: str | Path | Folder) -> Folder:
    """The folder at a path or URL; ``UsageError`` for a URL that nothing here can open."""
    if not isinstance(place, str | Path):
        return place
    if isinstance(place, Path) or "://" not in place:
        return LocalFolder(Path(place))
    if place.startswith("file://"):
        return LocalFolder(Path(unquote(urlsplit(place).path)))
    return RemoteFolder.open(place)


class LocalFolder:
    remote = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._children: dict[str, LocalFolder] = {}

    def __str__(self) -> str:
        return str(self._path)

    @property
    def path(self) -> Path:
        return self._path

    def child(self, name: str) -> LocalFolder:
        return self._children.setdefault(name, LocalFolder(self._path / name))

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def head(self, name: str, size: int) -> bytes:
        with (self._path / name).open("rb", buffering=0) as stream:
            return stream.read(size)

    def tail(self, name: str, size: int) -> bytes:
        with (self._path / name).open("rb", buffering=0) as stream:
            stream.seek(max(os.fstat(stream.fileno()).st_size - size, 0))
            return stream.read(size)

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        write_atomically(self._path / name, data, durable=durable)

    def delete(self, name: str) -> None:
        (self._path / name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        return sorted(os.listdir(self._path)) if self._path.is_dir() else []

    def stamp(self, name: str) -> Stamp | None:
        try:
            found = os.stat(self._path / name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def refresh(self, name: str | None = None) -> None:
        pass  # each stamp asks the filesystem itself


def sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """``StorageError`` where the disk refuses; the temporary file is gone then."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb", buffering=0) as stream:
            rest = memoryview(data)
            while rest:
                rest = rest[stream.write(rest) :]
            if durable:
                os.fsync(stream.fileno())
        temporary.replace(path)
        if durable:
            sync(path.parent)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written ({error.strerror or error}); make room or choose another "
            "folder, then run again: what was finished stays."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def leftovers(root: Path) -> Iterator[Path]:
    """Temporary files of processes that were killed while they wrote."""
    return root.rglob(".*.tmp")


_ONE_PUT = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "oss", "oci", "memory"}
"""Filesystems without folders, where a file appears with its last byte."""
_FOREIGN = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
    "httpx": ("HTTPError",),
    "httpx2": ("HTTPError",),
    "google.auth.exceptions": ("GoogleAuthError",),
    "gcsfs.retry": ("HttpError",),
    "azure.core.exceptions": ("AzureError",),
}
"""What the clients of filesystems raise besides ``OSError``."""


class RemoteFolder:
    """A folder of an fsspec filesystem ``fs``; ``url`` is what people call it, ``key`` what ``fs``
    does."""

    remote = True

    def __init__(self, fs: AbstractFileSystem, key: str, url: str) -> None:
        self._fs, self._key, self._url = fs, key.rstrip("/"), url.rstrip("/")
        self._children: dict[str, RemoteFolder] = {}
        self._stamps: dict[str, Stamp] | None = None

    @classmethod
    def open(cls, url: str) -> RemoteFolder:
        import fsspec

        try:
            # A listing that is remembered for ever would hide what others have finished.
            fs, key = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise UsageError(f"{url} cannot be opened: {str(error).rstrip('.')}.") from error
        return cls(fs, key, url)

    def __str__(self) -> str:
        return self._url

    @property
    def path(self) -> Path:
        raise UsageError(
            f"{self._url} is not on this machine; copy the run to a local folder first."
        )

    def child(self, name: str) -> RemoteFolder:
        if name not in self._children:
            inside = RemoteFolder(self._fs, f"{self._key}/{name}", f"{self._url}/{name}")
            self._children[name] = inside
        return self._children[name]

    def read(self, name: str) -> bytes:
        # From a place on: for a whole file some clients first ask for its size.
        return self._do(lambda: bytes(self._fs.cat_file(f"{self._key}/{name}", start=0)))

    def head(self, name: str, size: int) -> bytes:
        return self._do(lambda: bytes(self._fs.cat_file(f"{self._key}/{name}", start=0, end=size)))

    def tail(self, name: str, size: int) -> bytes:
        return self._do(lambda: bytes(self._fs.cat_file(f"{self._key}/{name}", start=-size)))

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        whole = f"{self._key}/{name}"
        try:
            if _protocols(self._fs) & _ONE_PUT:
                self._do(lambda: self._fs.pipe_file(whole, data))
            else:
                part = f"{self._key}/.{name}.{secrets.token_hex(4)}.tmp"
                self._do(lambda: self._fs.makedirs(self._key, exist_ok=True))
                self._do(lambda: self._fs.pipe_file(part, data))
                self._do(lambda: self._fs.mv(part, whole))
        except FileNotFoundError as error:
            raise _unreachable(self._url, error) from error
        if self._stamps is not None:
            self._stamps[name] = object()

    def delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._do(lambda: self._fs.rm_file(f"{self._key}/{name}"))
        if self._stamps is not None:
            self._stamps.pop(name, None)

    def names(self) -> list[str]:
        return sorted(self._listing())

    def stamp(self, name: str) -> Stamp | None:
        if self._stamps is None:
            self._stamps = self._listing()
        return self._stamps.get(name)

    def refresh(self, name: str | None = None) -> None:
        if name is None:
            self._stamps = None
            for child in self._children.values():
                child.refresh()
        elif self._stamps is not None:
            self._stamps[name] = object()

    def _listing(self) -> dict[str, Stamp]:
        self._fs.invalidate_cache(self._key)
        try:
            found = self._do(lambda: self._fs.ls(self._key, detail=True))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        # Its size, its time, its hash: whatever this filesystem tells of it.
        stamps = {each["name"].rstrip("/"): repr(sorted(map(str, each.items()))) for each in found}
        stamps.pop(self._key, None)
        return {place.rpartition("/")[2]: stamp for place, stamp in stamps.items()}

    def _do(self, ask: Callable[[], _T]) -> _T:
        try:
            return ask()
        except (FileNotFoundError, NotADirectoryError):
            raise
        except _faults() as error:
            raise _unreachable(self._url, error) from error


def _protocols(fs: AbstractFileSystem) -> set[str]:
    return {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)


def _faults() -> tuple[type[Exception], ...]:
    """Of the clients that are loaded: an error of another can hardly have been raised."""
    loaded = [
        (sys.modules[module], names) for module, names in _FOREIGN.items() if module in sys.modules
    ]
    return (OSError, *(getattr(module, name) for module, names in loaded for name in names))


def _unreachable(url: str, error: Exception) -> StorageError:
    return StorageError(
        f"{url} cannot be used ({said(error)}); check that it exists and that your credentials "
        "reach it, then run again: what was finished stays."
    )
