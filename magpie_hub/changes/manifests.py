"""What the manifests of two releases tell without a look at their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from magpie_hub.changes.result import Change, ColumnChange, FileChanges, ProducerChange
from magpie_hub.evidence import record
from magpie_hub.release import FileEntry, Manifest

Types = dict[str, str]
_MADE_BY = ("by", "model", "revision", "prompt_sha256")


def types(manifest: Manifest, config: str) -> Types:
    """The columns of ``config`` with their types."""
    every = {column.name: column.type for column in manifest.columns}
    return {name: every.get(name, "") for name in manifest.configs[config].columns or every}


def columns(both: Mapping[str, tuple[Types, Types]]) -> Iterator[ColumnChange]:
    """From the types before and after of each config; configs with the same change together."""
    found: dict[tuple[str, str | None, str | None], list[str]] = {}
    for config, (old, new) in both.items():
        for name in {**new, **old}:
            before, after = old.get(name), new.get(name)
            if before != after:
                found.setdefault((name, before, after), []).append(config)
    for (name, before, after), configs in found.items():
        yield ColumnChange(column=name, before=before, after=after, configs=tuple(configs))


def default(old: Manifest, new: Manifest) -> Change | None:
    before, after = (
        next((name for name, config in each.configs.items() if config.default), None)
        for each in (old, new)
    )
    return change("configs", "default", before, after)


def change(of: str, key: str, before: str | None, after: str | None) -> Change | None:
    return None if before == after else Change(of=of, key=key, before=before, after=after)


def splits(old: Manifest, new: Manifest) -> Iterator[Change]:
    """Those that are gone or new in configs of both."""
    for name in _both(old, new):
        before, after = old.configs[name].splits, new.configs[name].splits
        for split in before:
            if split not in after:
                yield Change(of=name, key="split", before=split, after=None)
        for split in after:
            if split not in before:
                yield Change(of=name, key="split", before=None, after=split)


def filters(old: Manifest, new: Manifest) -> Iterator[Change]:
    """The settings of configs of both."""
    for name in _both(old, new):
        one, two = old.configs[name], new.configs[name]
        before = {"where": one.where, **one.settings, "description": one.description or None}
        after = {"where": two.where, **two.settings, "description": two.description or None}
        yield from _keys(name, before, after)


def producers(old: Manifest, new: Manifest) -> Iterator[ProducerChange]:
    """Of columns of both; those with the same change together."""
    before = {column.name: column.producer for column in old.columns}
    found: dict[tuple[str, str | None, str | None], list[str]] = {}
    for column in new.columns:
        for key in _MADE_BY if column.name in before else ():
            was, now = getattr(before[column.name], key), getattr(column.producer, key)
            if was != now:
                found.setdefault((key, was, now), []).append(column.name)
    for (key, was, now), names in found.items():
        yield ProducerChange(columns=tuple(names), key=key, before=was, after=now)


def made(old: Manifest, new: Manifest) -> Iterator[Change]:
    """The settings of stages of both; a stage may have been run in several ways."""
    before, after = _settings(old), _settings(new)
    for stage in after:
        if stage in before:
            yield from _keys(stage, before[stage], after[stage])


def files(old: Mapping[str, FileEntry], new: Mapping[str, FileEntry]) -> FileChanges:
    there, here = ({entry.sha256: entry.size for entry in side.values()} for side in (old, new))
    fresh = [size for key, size in here.items() if key not in there]
    same = [size for key, size in here.items() if key in there]
    return FileChanges(
        new=len(fresh),
        new_bytes=sum(fresh),
        same=len(same),
        same_bytes=sum(same),
        gone=len(there.keys() - here.keys()),
    )


def evidence(old: Manifest, new: Manifest) -> Change | None:
    """By the checksum of its file."""
    before, after = (
        entry.sha256 if (entry := each.files.get(record.FILE)) else None for each in (old, new)
    )
    return change("release", "evidence", before, after)


def _both(old: Manifest, new: Manifest) -> list[str]:
    return [name for name in new.configs if name in old.configs]


def _keys(
    of: str, before: Mapping[str, str | None], after: Mapping[str, str | None]
) -> Iterator[Change]:
    for key in {**before, **after}:
        if found := change(of, key, before.get(key), after.get(key)):
            yield found


def _settings(manifest: Manifest) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, list[str]]] = {}
    for making in manifest.made:
        stage = found.setdefault(making.stage, {})
        for key, value in making.settings.items():
            stage.setdefault(key, []).append(value)
    return {
        stage: {key: "; ".join(dict.fromkeys(values)) for key, values in settings.items()}
        for stage, settings in found.items()
    }
