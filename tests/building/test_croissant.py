"""The RAI file, as the library of Croissant reads it."""

from __future__ import annotations

import json
import warnings

import pytest

from magpie_hub.builder import build
from magpie_hub.building import croissant
from magpie_hub.release import Making, Release
from tests.builders.pool import HandPool, row


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    rows = [{**row(i), "pii": ["email"] if i == 3 else []} for i in range(24)]
    pool = HandPool(rows=rows, names=(*HandPool().names, "pii"))
    known = pool.provenance()
    known = known.model_copy(update={"made": (*known.made, Making(stage="pii"))})
    pool.provenance = lambda: known  # type: ignore[method-assign]
    out = tmp_path_factory.mktemp("croissant") / "1.0.0"
    return build(pool, "1.0.0", out, kind="sft", report=lambda line: None)


def test_the_library_finds_nothing_wrong(release: Release) -> None:
    with warnings.catch_warnings():
        # Of the library and those that it stands on.
        warnings.simplefilter("ignore")
        import mlcroissant

        read = mlcroissant.Dataset(str(release.path / croissant.FILE))
    issues = read.metadata.ctx.issues
    assert not issues.errors and not issues.warnings, issues.report()
    metadata = read.metadata
    assert metadata.name == "handmade" and str(metadata.version) == "1.0.0"
    assert "Magpie method" in str(metadata.data_collection)
    assert any("The largest category is Math" in each for each in metadata.data_biases)
    assert metadata.data_annotation_protocol and metadata.machine_annotation_tools
    assert any("Patterns of secrets" in each for each in metadata.personal_sensitive_information)


def test_what_it_says(release: Release) -> None:
    document = json.loads((release.path / croissant.FILE).read_text(encoding="utf-8"))
    assert document["license"] == "https://www.apache.org/licenses/LICENSE-2.0"
    assert document["rai:hasSyntheticData"] is True
    assert document["rai:machineAnnotationTools"] == [
        "tiny/chat @ 0123456789ab", "tiny/chat", "tiny/reward",
    ]  # fmt: skip
    preparing = document["rai:dataPreprocessingProtocol"][0]
    assert "30 questions were sampled" in preparing and "cut off: 4" in preparing
    assert "filtered: 12 rows where quality >= 'average' AND reward > 0" in preparing
    limits = " ".join(document["rai:dataLimitations"])
    assert "Not measured: refusals" in limits and "annotate.pii" not in limits
    assert "`" not in json.dumps(document)


def test_it_is_a_file_of_the_release(release: Release) -> None:
    assert croissant.FILE in release.manifest.files
    release.check()
