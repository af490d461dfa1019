"""The folder of a release: complete or absent, with what stands beside its data."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from magpie_hub import card, plots
from magpie_hub.building import croissant
from magpie_hub.card import edits
from magpie_hub.errors import StorageError
from magpie_hub.evidence.record import of_release
from magpie_hub.release import (
    MANIFEST,
    FileEntry,
    Manifest,
    Release,
    file_entry,
    numbers,
)
from magpie_hub.release.facts import facts, mapped
from magpie_hub.storage import sync


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that becomes ``out`` when the block ends well, and goes otherwise."""
    part = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)  # of a build that was killed
        part.mkdir(parents=True)
        yield part
        for path in (*part.rglob("*"), part):
            sync(path)
        part.rename(out)
        sync(out.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"the release could not be written to {out.parent} ({reason}); "
            "mend that and build again: nothing was left behind."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def describe(
    folder: Path,
    manifest: Manifest,
    *,
    texts: Mapping[str, str],
    template: str,
    releases: Path,
    report: Callable[[str], None],
    plane: pa.Table | None = None,
) -> None:
    """Write ``texts`` by their names, the changelog with the versions before in ``releases``, the
    pictures (``plane`` is where the questions stand on their map), what Croissant asks of those who
    release data, the card, which shows the ``evidence.json`` that is there, and the manifest, with
    the rest of its ``files`` filled in, last: it names the others."""
    known = facts(folder, manifest)
    beside = {
        **texts,
        "CHANGELOG.md": _changelog(manifest, releases),
        croissant.FILE: croissant.document(manifest, known),
    }
    for name, text in beside.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    points = mapped(folder, manifest, plane, most=plots.POINTS) if plane else ()
    if drawn := plots.pictures(manifest, known, points):
        if plots.missing():
            report(plots.INSTALL)
        else:
            plots.write(drawn, folder / plots.ASSETS)
    manifest = manifest.model_copy(update={"files": files(folder, manifest.files)})
    readme = card.render(manifest, known, template, evidence=of_release(folder))
    (folder / "README.md").write_text(readme, encoding="utf-8")
    named = {"files": files(folder, manifest.files), "card": edits.marks(readme)}
    manifest = manifest.model_copy(update=named)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def files(folder: Path, known: Mapping[str, FileEntry] | None = None) -> dict[str, FileEntry]:
    """All in ``folder``; those ``known`` are not read again."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in found}
    return {n: (known and known.get(n)) or file_entry(path) for n, path in named.items()}


def _changelog(manifest: Manifest, releases: Path) -> str:
    """This version, and the earlier ones that stand beside it."""
    versions = {numbers(manifest.version): manifest}
    for release in Release.beside(releases):
        if numbers(release.version) < numbers(manifest.version):
            versions[numbers(release.version)] = release.manifest
    parts = ["# Changelog\n"]
    for key in sorted(versions, reverse=True):
        each = versions[key]
        rows = "".join(f"- `{name}`: {c.rows:,} rows\n" for name, c in each.configs.items())
        parts.append(f"## {each.version} ({each.created[:10]})\n\n{rows}")
        if each.since:
            said = each.since.changes or ("the data is the same",)
            lines = "".join(f"- {card.text(line)}\n" for line in said)
            parts.append(f"Since {card.text(each.since.version)}:\n\n{lines}")
    return "\n".join(parts)
