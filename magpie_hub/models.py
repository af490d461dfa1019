"""Model references: a Hub id, a folder, or ``bundled:NAME``, resolved to files and an identity.

A row's fingerprint holds the identity, never a path: the same weights in another folder are the
same model.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from magpie_hub.errors import EngineError, UsageError
from magpie_hub.licences import ModelLicense

_BUNDLED = Path(__file__).parent / "bundled"
MEASURED = _BUNDLED / "evidence"
"""What the bundled model was measured by, once, for the card of the demo."""
_WHOLE = 16 << 20
_EDGE = 1 << 20
_CARD = "README.md"
_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.py")


@dataclass(frozen=True)
class Model:
    """A model whose files are on this machine. ``ref`` is what the recipe calls it; ``revision`` is
    a Hub commit, or ``sha256:`` of the files where they come from a folder."""

    ref: str
    path: Path
    revision: str

    @property
    def identity(self) -> str:
        """Enters fingerprints: equal weights and tokenizer, equal identity."""
        return self.revision


def resolve(ref: str, revision: str | None = None) -> Model:
    """Find the files of ``ref``, downloading them from the Hub where they are not here.

    ``UsageError`` where there is no such model, ``EngineError`` where the Hub cannot be reached.
    """
    if ref.startswith("bundled:"):
        folder = _BUNDLED / ref.removeprefix("bundled:")
        if not (folder / "config.json").is_file():
            names = ", ".join(f"bundled:{p.parent.name}" for p in _BUNDLED.glob("*/config.json"))
            raise UsageError(f"there is no bundled model '{ref}'; there are: {names}.")
        return Model(ref=ref, path=folder, revision=_digest(folder))
    folder = Path(ref).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"{ref} holds no model: it has no config.json.")
        return Model(ref=folder.resolve().name, path=folder, revision=_digest(folder))
    if ref.startswith((".", "/", "~")) or ref.count("/") != 1:
        raise UsageError(
            f"there is no folder {ref}; give a folder with a model in it or a Hub id such as "
            "org/name."
        )
    return _download(ref, revision)


def stated(model: Model) -> ModelLicense:
    """What the model's card states in its front matter of its licence and its base."""
    front = _front_matter(model.path / _CARD)
    given = {key: front.get(key) for key in ("license", "license_name", "license_link")}
    bases = front.get("base_model")
    bases = bases if isinstance(bases, list) else [bases]
    return ModelLicense(
        model=model.ref,
        revision=model.revision,
        base=", ".join(base for base in bases if isinstance(base, str)) or None,
        **{key: value for key, value in given.items() if isinstance(value, str)},
    )


def _front_matter(card: Path) -> dict[str, Any]:
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    parts = re.split(r"^---\s*$", text, maxsplit=2, flags=re.MULTILINE)
    if len(parts) < 3 or parts[0].strip():
        return {}
    try:
        front = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return {}
    return front if isinstance(front, dict) else {}


def _download(ref: str, revision: str | None) -> Model:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        path = Path(snapshot_download(ref, revision=revision, allow_patterns=[*_FILES, _CARD]))
    except GatedRepoError as error:
        raise UsageError(
            f"{ref} is gated: accept its terms on the Hub and set HF_TOKEN or run `hf auth login`."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UsageError(
            f"there is no folder {ref} here and no model of that name on the Hub."
        ) from error
    except RevisionNotFoundError as error:
        raise UsageError(f"{ref} has no revision '{revision}'.") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise EngineError(
            f"there is no folder {ref} here, and the Hub could not be asked for it "
            f"({type(error).__name__}); check the network or give a folder."
        ) from error
    # snapshot_download ends in snapshots/<commit>, which is the exact revision.
    return Model(ref=ref, path=path, revision=path.name)


def _digest(folder: Path) -> str:
    """sha256 over the model's files by name. Of a file above 16 MiB: its size and its first and
    last MiB (a safetensors header lists every tensor), since hashing 140 GB would take minutes."""
    digest = hashlib.sha256()
    for file in sorted({f for glob in _FILES for f in folder.glob(glob)}):
        size = file.stat().st_size
        digest.update(f"{file.name}\0{size}\0".encode())
        with file.open("rb") as stream:
            if size <= _WHOLE:
                digest.update(stream.read())
            else:
                digest.update(stream.read(_EDGE))
                stream.seek(-_EDGE, os.SEEK_END)
                digest.update(stream.read(_EDGE))
    return f"sha256:{digest.hexdigest()}"
