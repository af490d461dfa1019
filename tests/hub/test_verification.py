"""A release on the Hub, checked as a reader gets it: what is wrong is found and named."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from magpie_hub.card.edits import marks
from magpie_hub.release import MANIFEST, Manifest
from tests.builders.pool import HandPool, Spec
from tests.building.test_pools import ids, made
from tests.hub.faults import Fault
from tests.hub.forked import Forked
from tests.hub.publishing import publish, replace
from tests.hub.server import Hub
from tests.hub.test_hub import REPO, Client, Ran, build, write_manifest
from tests.hub.test_loading import PLAIN, load
from tests.hub.test_versions import COMMAND
from tests.hub.warm import Warm

DATA = "data/all/train-00000-of-00001.parquet"


@pytest.fixture
def client(hub: Hub, forks: Warm, tmp_path: Path) -> Client:
    return Forked(hub, forks, tmp_path)


def verify(client: Client, version: str = "1.0.0", **how: object) -> Ran:
    return client.run(COMMAND, "verify", REPO, "--version", version, "--json", **how)


def refused(ran: Ran, first: str) -> list[str]:
    """The keys of the faults; the sentence names ``first``."""
    assert ran.code == 4, ran.said
    assert "Traceback" not in ran.said
    last = ran.said.splitlines()[-1]
    assert last.startswith(f"magpie-hub: {REPO}: ") and first in last, last
    return [fault["key"] for fault in json.loads(ran.out)["faults"]]


def rewritten(release: Path) -> Path:
    """With a manifest that names the files as they are now, and knows its card."""
    manifest = Manifest.model_validate_json((release / MANIFEST).read_bytes())
    write_manifest(release, "1.0.0", manifest.configs)
    manifest = Manifest.model_validate_json((release / MANIFEST).read_bytes())
    card = marks((release / "README.md").read_text())
    (release / MANIFEST).write_text(manifest.model_copy(update={"card": card}).model_dump_json())
    return release


def test_a_release_as_it_was_pushed_passes(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0", shards=(30, 10))
    assert client.push(release).code == 0
    hub.journal.clear()
    found = verify(client, token=None)
    result = found.result
    assert result["faults"] == result["remarks"] == [] and result["unnamed"] == [".gitattributes"]
    assert result["rows"] == {"all": {"train": 40}, "filtered": {"train": 20}}
    assert result["commit"] == hub.store.repo(REPO).resolve("v1.0.0").id
    assert 4 < result["ids"] <= 20 and result["files"] == 8
    assert f"The Hub is {hub.url} (HF_ENDPOINT)" in found.said
    assert "v1.0.0 is what was released." in found.said
    assert "8 that the manifest names" in found.said and "all 40, filtered 20" in found.said
    # every data file came over the wire, none from a cache, and nothing was written
    tree = hub.store.repo(REPO).resolve("v1.0.0").tree
    data = {entry.lfs for name, entry in tree.items() if name.startswith("data/")}
    assert data <= {r.path[1:] for r in hub.journal.find("^GET", host="storage")}
    assert hub.journal.find("^(PUT|DELETE)|/commit/|/tag/") == []


def test_changed_missing_and_foreign_files(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    publish(hub, release, REPO)
    other = build(tmp_path / "other", shards=(41,))
    replace(hub, REPO, "v1.0.0", DATA, (other / DATA).read_bytes())
    changed = verify(client)
    assert set(refused(changed, f"{DATA} is not what the manifest describes")) == {"files", "load"}

    replace(hub, REPO, "v1.0.0", DATA, (release / DATA).read_bytes())
    replace(hub, REPO, "v1.0.0", "recipe.yaml", None)
    assert refused(verify(client), "recipe.yaml is missing at v1.0.0") == ["files"]

    text = (release / "recipe.yaml").read_bytes()
    replace(hub, REPO, "v1.0.0", "recipe.yaml", text.replace(b"40", b"41"))
    assert refused(verify(client), "recipe.yaml is not what the manifest") == ["files"]

    replace(hub, REPO, "v1.0.0", "recipe.yaml", text)
    replace(hub, REPO, "v1.0.0", "data/all/train-more.parquet", (release / DATA).read_bytes())
    extra = refused(verify(client), "data/all/train-more.parquet is at v1.0.0 though")
    assert extra[:2] == ["files", "card"] and "load" in extra


def test_a_card_that_counts_wrong_and_every_config_is_tried(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    release = build(tmp_path / "1.0.0")
    card = release / "README.md"
    card.write_text(card.read_text().replace("num_examples: 40", "num_examples: 41"))
    publish(hub, rewritten(release), REPO)
    found = verify(client)
    keys = refused(found, "The card at v1.0.0 says 41 for num_examples of train of all")
    sentences = [fault["sentence"] for fault in json.loads(found.out)["faults"]]
    assert keys == ["card", "load"] and sentences[1].startswith("`datasets` cannot load all at")
    assert json.loads(found.out)["rows"] == {"filtered": {"train": 20}}
    assert "also (load): `datasets` cannot load all" in " ".join(found.said.split())


def test_a_card_that_people_edited(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    ours = (release / "README.md").read_text()
    publish(hub, rewritten(release), REPO)
    theirs = ours.replace("---\n", "---\n# theirs\npretty_name: Birds\n", 1) + "\nThanks.\n"
    replace(hub, REPO, "v1.0.0", "README.md", theirs.replace("\n", "\r\n").encode())
    found = verify(client)
    assert found.result["card_edited"] is True and found.result["faults"] == []
    assert "the card carries edits by people outside our part" in " ".join(found.said.split())
    other = theirs.replace("# magpie-demo 1.0.0", "# magpie-demo 9").replace("apache-2.0", "mit")
    replace(hub, REPO, "v1.0.0", "README.md", other.encode())
    found = verify(client)
    assert refused(found, "is not the release's in what is ours (license, text)") == ["card"]
    assert json.loads(found.out)["card_edited"] is False


def test_a_card_of_a_release_without_marks(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    publish(hub, release, REPO)
    text = (release / "README.md").read_bytes() + b"\nThanks.\n"
    replace(hub, REPO, "v1.0.0", "README.md", text)
    assert refused(verify(client), "README.md is not what the manifest describes") == ["card"]


def test_other_types_than_the_manifest_says(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    card = release / "README.md"
    card.write_text(card.read_text().replace("dtype: float64", "dtype: float32"))
    publish(hub, rewritten(release), REPO)
    found = verify(client)
    said = "has the column reward as float, but the manifest says double"
    assert refused(found, said) == ["load", "load"]


def test_other_bytes_on_the_way(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    file = release / DATA
    pq.write_table(pq.read_table(file), file, compression="none")
    publish(hub, rewritten(release), REPO)
    stored = hub.store.lfs_file(hub.store.repo(REPO).resolve("v1.0.0").tree[DATA].lfs)
    assert b"demo-0039" in stored.read_bytes()
    stored.write_bytes(stored.read_bytes().replace(b"demo-0039", b"demo-9939"))
    assert refused(verify(client), f"{DATA} came from the Hub with other bytes") == ["load"]


def test_a_version_that_is_not_there(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    publish(hub, release, REPO)
    ran = verify(client, "1.0.1")
    assert ran.code == 4 and f"{REPO} has no version 1.0.1; there are: 1.0.0." in ran.said
    assert verify(client, "v1.0.0").code == 2
    replace(hub, REPO, "v1.0.0", MANIFEST, None)
    bare = verify(client)
    assert bare.code == 4 and f"at v1.0.0 holds no {MANIFEST}" in bare.said and not bare.out


def test_a_stale_cache_is_named_and_never_believed(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    publish(hub, build(tmp_path / "1.0.0"), REPO)
    publish(hub, build(tmp_path / "1.1.0", "1.1.0", shards=(40, 20)), REPO, "1.1.0")
    home = tmp_path / "warm"
    assert client.run(PLAIN, REPO, "v1.1.0", home=home).out == "60\n"
    warm = verify(client, home=home)
    (remark,) = warm.result["remarks"]
    assert "holds all of v1.1.0" in remark and 'revision="v1.0.0"' in remark
    assert warm.result["rows"]["all"] == {"train": 40}
    assert verify(client, "1.1.0", home=home).result["remarks"] == []

    expired = verify(client, home=home, token="hf_expired")
    assert expired.code == 4 and "does not accept the token" in expired.said
    hub.faults.order(Fault("^GET .*/refs", times=100))
    busy = verify(client, home=home)
    assert busy.code == 4 and "still answers 503" in busy.said and "try again" in busy.said
    hub.faults.clear()
    hub.faults.order(Fault(".", "reset", times=100_000))
    down = verify(client, home=home)
    assert down.code == 4 and "could not be reached" in down.said
    assert not (expired.out or busy.out or down.out)


def test_a_hub_that_goes_away_before_the_load(hub: Hub, client: Client, tmp_path: Path) -> None:
    publish(hub, build(tmp_path / "1.0.0"), REPO)
    hub.faults.order(Fault("^(GET|HEAD) .*parquet$", status=403, times=100))
    found = verify(client)
    assert refused(found, "`datasets` cannot load all at v1.0.0") == ["load", "load"]
    assert "cannot load filtered" in json.loads(found.out)["faults"][1]["sentence"]


def test_what_the_builder_makes_passes_and_loads(hub: Hub, client: Client, tmp_path: Path) -> None:
    specs = {
        "few": Spec("reward > 2", columns=("id", "messages")),
        "all": Spec(splits={"test": 0.3}),
    }
    release = made(HandPool(specs=specs), tmp_path)
    publish(hub, release.path, REPO)
    result = verify(client).result
    assert result["rows"] == {
        name: {split: entry.rows for split, entry in config.splits.items()}
        for name, config in release.manifest.configs.items()
    }
    assert result["rows"]["all"].keys() == {"train", "test"}
    calls = [("few", "1.0.0", None), ("all", "1.0.0", None)]
    few, every = load(client, *calls)
    assert {row["id"] for row in few["train"]} == set(ids(release, "few"))
    assert [row["id"] for row in [*every["train"], *every["test"]]] == ids(release, "all")
