"""A release on the Hub: the real clients against a server of our own, each in its own process.

huggingface_hub reads its environment when it is imported, so every push and every read is a fresh
process with an empty home. Two things make that affordable: `datasets` is told not to import torch,
which no row needs, and a pushing process sleeps a twentieth of what it says that it waits.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from magpie_hub.card.edits import BEGIN, END
from magpie_hub.errors import InvalidData, UsageError
from magpie_hub.hub import push
from magpie_hub.release import (
    MANIFEST,
    ColumnEntry,
    ConfigEntry,
    Manifest,
    Producer,
    Release,
    SplitEntry,
    file_entry,
)
from tests.hub.faults import Fault, Kind
from tests.hub.server import Hub
from tests.hub.store import Repo

REPO = "org/magpie-demo"

MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
SCHEMA = pa.schema([("id", pa.string()), ("messages", pa.list_(MESSAGE)), ("reward", pa.float64())])
FEATURES = [
    {"name": "id", "dtype": "string"},
    {
        "name": "messages",
        "list": [{"name": "role", "dtype": "string"}, {"name": "content", "dtype": "string"}],
    },
    {"name": "reward", "dtype": "float64"},
]

PUSH = """
import json, sys, time
from magpie_hub import errors, hub
sleep = time.sleep
time.sleep = lambda seconds: sleep(seconds / 20)
from magpie_hub.release import Release
path, repo_id, options = json.load(sys.stdin)
try:
    report = lambda line: print(line, file=sys.stderr, flush=True)
    print(json.dumps(hub.push(Release.open(path), repo_id, **options, report=report).to_dict()))
except errors.MagpieHubError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""

PLAN = """
import dataclasses, json, sys
from magpie_hub import hub
from magpie_hub.release import Release
print(json.dumps(dataclasses.asdict(hub.plan(Release.open(sys.argv[1]), sys.argv[2]))))
"""

READ = """
import json, sys
from datasets import load_dataset
repo_id, *wanted = sys.argv[1:]
for config, tag in zip(wanted[::2], wanted[1::2]):
    loaded = load_dataset(repo_id, config, revision=tag, split="train")
    print(json.dumps([list(loaded), {name: str(kind) for name, kind in loaded.features.items()}]))
"""


def rows(count: int) -> list[dict[str, object]]:
    return [
        {
            "id": f"demo-{n:04}",
            "messages": [
                {"role": "user", "content": f"What is {n} plus {n}?"},
                {"role": "assistant", "content": str(n + n)},
            ],
            "reward": n / 4,
        }
        for n in range(count)
    ]


def build(
    path: Path,
    version: str = "1.0.0",
    shards: Iterable[int] = (40,),
    license: str = "apache-2.0",
    configs: Iterable[str] = ("all", "filtered"),
) -> Path:
    """A small release: rows in ``shards`` of these sizes, the even ones also in ``filtered``."""
    every = rows(sum(shards))
    parts = {name: list(shards) if name == "all" else [sum(shards)] for name in configs}
    kept = {"all": every, "filtered": every[::2]}
    entries, cards, infos = {}, [], []
    for name, part in parts.items():
        (path / "data" / name).mkdir(parents=True)
        files, start = [], 0
        for number, size in enumerate(part):
            file = f"data/{name}/train-{number:05}-of-{len(part):05}.parquet"
            table = pa.Table.from_pylist(kept[name][start : start + size], schema=SCHEMA)
            pq.write_table(table, path / file, compression="zstd")
            files.append(file)
            start += size
        count = len(kept[name])
        default = {"default": True} if name == "all" else {}
        data_files = [{"split": "train", "path": f"data/{name}/train-*"}]
        cards.append({"config_name": name, **default, "data_files": data_files})
        split = {"name": "train", "num_bytes": 100 * count, "num_examples": count}
        infos.append({"config_name": name, "features": FEATURES, "splits": [split]})
        entries[name] = ConfigEntry(
            default=bool(default),
            where=None,
            description=name,
            funnel=(),
            splits={"train": SplitEntry(rows=count, num_bytes=100 * count, files=tuple(files))},
        )
    front = {"license": license, "configs": cards, "dataset_info": infos}
    body = f"{BEGIN}\n\n# magpie-demo {version}\n\n{END}\n"
    card = f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n{body}"
    (path / "README.md").write_text(card)
    (path / "recipe.yaml").write_text("name: magpie-demo\nrows: 40\n")
    (path / "CHANGELOG.md").write_text(f"# {version}\n")
    (path / "assets").mkdir()
    (path / "assets" / f"funnel-{version}.png").write_bytes(b"\x89PNG\r\n" + version.encode())
    write_manifest(path, version, entries)
    return path


def write_manifest(path: Path, version: str, configs: dict[str, ConfigEntry]) -> None:
    files = {f.relative_to(path).as_posix(): f for f in sorted(path.rglob("*")) if f.is_file()}
    files.pop(MANIFEST, None)
    columns = [(name, str(SCHEMA.field(name).type)) for name in SCHEMA.names]
    manifest = Manifest(
        name="magpie-demo",
        version=version,
        builder="sft",
        license="apache-2.0",
        generator="magpie-hub 0.1.0",
        created="2026-01-01T00:00:00Z",
        fingerprints={},
        versions={},
        slots=40,
        rejected={},
        made=(),
        columns=tuple(
            ColumnEntry(name=name, type=kind, producer=Producer(by="sample"))
            for name, kind in columns
        ),
        configs=configs,
        files={name: file_entry(file) for name, file in files.items()},
    )
    (path / MANIFEST).write_text(manifest.model_dump_json(indent=1))


@dataclass
class Ran:
    code: int
    out: str
    said: str

    @property
    def result(self) -> dict[str, object]:
        assert self.code == 0, self.said
        return json.loads(self.out)


class Client:
    """Runs the real clients; each run has a home of its own, unless it is given one."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub = hub
        self.folder = folder
        self.runs = 0

    def run(
        self,
        code: str,
        *arguments: str,
        stdin: str = "",
        token: str | None = "hf_write",
        home: Path | None = None,
        started: Callable[[subprocess.Popen[str]], None] = lambda process: None,
    ) -> Ran:
        self.runs += 1
        home = home or self.folder / f"home-{self.runs}"
        home.mkdir(exist_ok=True)
        with subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env=self.hub.env(home, token) | {"USE_TORCH": "0"},
            cwd=home,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            started(process)
            out, said = process.communicate(stdin, timeout=300)
        assert token is None or token not in out + said
        return Ran(process.returncode, out, said)

    def push(
        self, release: Path, repo_id: str = REPO, token: str | None = "hf_write", **options: bool
    ) -> Ran:
        return self.run(PUSH, stdin=json.dumps([str(release), repo_id, options]), token=token)

    def push_killed(self, release: Path, where: str, kind: Kind = "reset") -> None:
        """A push that gets SIGKILL while the request ``where`` is on its way."""

        def started(process: subprocess.Popen[str]) -> None:
            self.hub.faults.order(Fault(where, kind, act=process.kill))

        stdin = json.dumps([str(release), REPO, {}])
        assert self.run(PUSH, stdin=stdin, started=started).code == -signal.SIGKILL

    def read(self, *wanted: str) -> list[tuple[list[dict[str, object]], dict[str, str]]]:
        """The rows and the features of each config at each tag, in a process of their own."""
        ran = self.run(READ, REPO, *wanted)
        assert ran.code == 0, ran.said
        return [json.loads(line) for line in ran.out.splitlines()]


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Client:
    return Client(hub, tmp_path)


def releases(hub: Hub) -> list[str]:
    """The titles of the commits on main, the newest first, without the Hub's own first one."""
    return [commit.title for commit in hub.store.repo(REPO).history()][:-1]


def holds(hub: Hub, release: Path, tag: str) -> bool:
    """Whether the tag has every file of the release, byte for byte."""
    repo: Repo = hub.store.repo(REPO)
    tree = repo.resolve(tag).tree
    files = [f.relative_to(release).as_posix() for f in release.rglob("*") if f.is_file()]
    data = {name for name in tree if name.startswith("data/")}
    return data <= set(files) and all(
        name in tree and hub.store.file(tree[name]).read_bytes() == (release / name).read_bytes()
        for name in files
    )


def one_release(hub: Hub, release: Path) -> bool:
    return (
        releases(hub) == ["Release v1.0.0"]
        and list(hub.store.repo(REPO).tags()) == ["v1.0.0"]
        and holds(hub, release, "v1.0.0")
    )


def test_a_release_is_one_commit_and_one_tag(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    hub.page_size = 3
    ran = client.push(release)
    result = ran.result
    assert one_release(hub, release)
    assert not hub.store.repo(REPO).private
    head = hub.store.repo(REPO).resolve("main").id
    count = sum(file.is_file() for file in release.rglob("*"))
    size = sum(file.stat().st_size for file in release.rglob("*") if file.is_file())
    assert result == {
        "repo_id": REPO,
        "url": f"{hub.url}/datasets/{REPO}/tree/v1.0.0",
        "version": "1.0.0",
        "tag": "v1.0.0",
        "commit": head,
        "uploaded_files": count,
        "uploaded_bytes": size,
        "already": False,
        "dry_run": False,
    }
    for step in (hub.url, "Created", "Committed", "Tagging", "Read v1.0.0 back", "Loaded a row"):
        assert step in ran.said, ran.said

    again = client.push(release)
    assert again.result["already"] is True
    assert again.result["commit"] == head
    assert again.result["uploaded_files"] == 0
    assert one_release(hub, release)

    # the token goes to the Hub alone, never to the storage behind it
    assert {r.token for r in hub.journal.find(".", host="storage")} == {None}


def test_readers_get_each_version_as_it_was_released(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    assert client.push(build(tmp_path / "1.0.0")).code == 0
    hub.journal.clear()
    newer = build(tmp_path / "1.1.0", "1.1.0", shards=(40, 20))
    result = client.push(newer).result
    assert releases(hub) == ["Release v1.1.0", "Release v1.0.0"]
    assert list(hub.store.repo(REPO).tags()) == ["v1.0.0", "v1.1.0"]
    assert holds(hub, newer, "v1.1.0")
    # recipe.yaml is as before; the first shard changed its name, not its bytes
    assert result["uploaded_files"] == len([f for f in newer.rglob("*") if f.is_file()]) - 1
    assert len(hub.journal.find("^PUT", host="storage")) == 3
    tree = hub.store.repo(REPO).resolve("main").tree
    assert "assets/funnel-1.0.0.png" not in tree and ".gitattributes" in tree
    old, new, kept = client.read("all", "v1.0.0", "all", "v1.1.0", "filtered", "v1.0.0")
    assert (old[0], new[0], kept[0]) == (rows(40), rows(60), rows(40)[::2])
    assert kept[1]["reward"] == "Value('float64')" and "content" in kept[1]["messages"]

    older = client.push(build(tmp_path / "1.0.1", "1.0.1"))
    assert older.code == 4 and "v1.1.0" in older.said


def test_what_people_write_into_the_card_stays(hub: Hub, client: Client, tmp_path: Path) -> None:
    assert client.push(build(tmp_path / "1.0.0")).code == 0
    card = (tmp_path / "1.0.0" / "README.md").read_text()
    edited = (
        card.replace("---\n", "---\npretty_name: Demo # ours\n", 1)
        .replace(BEGIN, f"Read this first.\n\n{BEGIN}")
        .replace(END, f"{END}\n\n## Cite\n\nLike this.")
    )
    add_commit(hub, "README.md", edited.encode())
    newer = build(tmp_path / "1.1.0", "1.1.0", shards=(40, 20))
    ran = client.push(newer)
    assert ran.code == 0, ran.said
    assert "What people wrote into README.md on the Hub stays in it." in ran.said
    tree = hub.store.repo(REPO).resolve("v1.1.0").tree
    merged = hub.store.file(tree["README.md"]).read_text()
    for words in ("pretty_name: Demo # ours\n", "Read this first.", "## Cite\n\nLike this."):
        assert words in merged
    assert "# magpie-demo 1.1.0" in merged and "# magpie-demo 1.0.0" not in merged
    front = yaml.safe_load(merged.split("---\n")[1])
    assert front["dataset_info"][0]["splits"][0]["num_examples"] == 60
    manifest = Manifest.model_validate_json((newer / MANIFEST).read_bytes())
    for name, entry in manifest.files.items():
        if name != "README.md":
            assert file_entry(hub.store.file(tree[name])) == entry

    again = client.push(newer)
    assert again.result["already"] is True and again.result["uploaded_files"] == 0
    assert releases(hub) == ["Release v1.1.0", "Add README.md", "Release v1.0.0"]


def test_a_card_that_cannot_be_read_is_not_overwritten(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.store.create(REPO, private=False, user="ann")
    for content, said in ((b"---\nno: [end\n---\n", "no YAML"), (b"\xff\xfe", "no UTF-8")):
        add_commit(hub, "README.md", content)
        ran = client.push(build(tmp_path / said))
        assert ran.code == 4 and said in ran.said and "Traceback" not in ran.said
    assert releases(hub) == ["Add README.md"] * 2


def test_a_long_upload_shows_how_far_it_is_and_goes_on(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    release = build(tmp_path / "1.0.0", shards=(40, 20))
    code = PUSH.replace("path, repo_id", "hub.BATCH_FILES = 2\npath, repo_id")
    stdin = json.dumps([str(release), REPO, {}])
    hub.faults.order(Fault("^PUT", skip=2, times=1000))
    first = client.run(code, stdin=stdin)
    assert first.code == 4 and "still answers 503" in first.said
    assert "Uploaded 4 of 8 files" in first.said and "Uploaded 6 of" not in first.said
    hub.faults.clear()
    hub.journal.clear()
    again = client.run(code, stdin=stdin)
    assert "Uploaded 6 of 8 files" in again.said
    assert len(hub.journal.find("^PUT", host="storage")) == 2  # of four
    assert one_release(hub, release)


def test_a_repository_that_the_token_cannot_see_is_said(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.store.create(REPO, private=False, user="ann")
    unseen = {"X-Error-Code": "RepoNotFound"}
    hub.faults.order(Fault("^GET .*/refs", status=404, headers=unseen, times=1000))
    ran = client.push(build(tmp_path / "1.0.0"))
    assert ran.code == 4 and "cannot be seen with this token" in ran.said
    assert len(hub.journal.find("/repos/create")) == 1


def test_a_dry_run_changes_nothing(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    ran = client.push(release, dry_run=True)
    assert ran.result["dry_run"] is True and ran.result["uploaded_files"] == 7
    assert "does not exist yet" in ran.said and "To upload: 7 files" in ran.said
    assert not hub.store.exists(REPO)
    assert [r.path for r in hub.journal.writes()] == ["/api/validate-yaml"]  # it only looks at it

    wrong = client.push(build(tmp_path / "wrong", license="llama-3"), dry_run=True)
    assert wrong.code == 4 and '"license" must be one of' in wrong.said


def test_a_plan_compares_with_the_hub(hub: Hub, client: Client, tmp_path: Path) -> None:
    hub.store.create(REPO, private=False, user="ann")
    release = build(tmp_path / "1.0.0")
    add_commit(hub, "CHANGELOG.md", (release / "CHANGELOG.md").read_bytes())
    ran = client.run(PLAN, str(release), REPO)
    planned = json.loads(ran.out)
    assert planned["head"] == hub.store.repo(REPO).resolve("main").id
    assert planned["same"] == {"CHANGELOG.md": (release / "CHANGELOG.md").stat().st_size}
    assert MANIFEST in planned["add"] and len(planned["add"]) == 6
    assert (planned["exists"], planned["holds"], planned["tag_commit"]) == (True, None, None)
    assert hub.journal.writes() == []


@pytest.mark.parametrize("name", ["data/all/train-00000-of-00001.parquet", "README.md"])
def test_a_changed_file_is_refused_before_the_hub_is_asked(tmp_path: Path, name: str) -> None:
    release = build(tmp_path / "1.0.0")
    file = release / name
    file.write_bytes(file.read_bytes().replace(b"a", b"b", 1))
    with pytest.raises(InvalidData, match=name):
        push(Release.open(release), REPO, report=print)


def test_names_that_cannot_be_published(tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    for wrong in ("magpie", "org/", "../x", "org/a/b", "https://hub/x"):
        with pytest.raises(UsageError, match="ORG/NAME"):
            push(Release.open(release), wrong, report=print)
    outside = tmp_path / "secret"
    outside.write_text("not for others")
    manifest = Release.open(release).manifest
    for name in ("../secret", str(outside), "data/../../secret", "data//x", ".git/config"):
        files = manifest.files | {name: file_entry(outside)}
        changed = manifest.model_copy(update={"files": files})
        (release / MANIFEST).write_text(changed.model_dump_json())
        with pytest.raises(InvalidData, match="not a file of the release"):
            push(Release.open(release), REPO, report=print)


def test_a_tag_with_other_content_is_never_moved(hub: Hub, client: Client, tmp_path: Path) -> None:
    repo = hub.store.create(REPO, private=False, user="ann")
    repo.refs["refs/tags/v1.0.0"] = repo.refs["refs/heads/main"]
    hub.store.save(repo)
    ran = client.push(build(tmp_path / "1.0.0"))
    assert ran.code == 4 and "never moved" in ran.said
    assert hub.store.repo(REPO).refs == repo.refs


def test_data_of_others_is_not_published_with_ours(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    hub.store.create(REPO, private=False, user="ann")
    add_commit(hub, "data/all/train-extra.parquet")
    before = hub.store.repo(REPO).refs
    ran = client.push(build(tmp_path / "1.0.0"))
    assert ran.code == 4 and "data/all/train-extra.parquet" in ran.said
    assert hub.store.repo(REPO).refs == before


def add_commit(hub: Hub, name: str, content: bytes = b"human") -> None:
    with hub.store.lock:
        repo = hub.store.repo(REPO)
        head = repo.resolve("main")
        tree = {**head.tree, name: hub.store.add_blob(content)}
        repo.add("refs/heads/main", tree, f"Add {name}", "", "ann", head.id)
        hub.store.save(repo)


def test_a_pull_request_gets_no_tag(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    first = client.push(release, create_pr=True)
    assert first.result["tag"] is None and "no tag" in first.said
    assert first.result["url"] == f"{hub.url}/datasets/{REPO}/discussions/1"
    second = client.push(release, create_pr=True).result
    assert second["already"] is True and second["url"] == first.result["url"]
    refs = hub.store.repo(REPO).refs
    assert sorted(refs) == ["refs/heads/main", "refs/pr/1"] and releases(hub) == []


def test_large_files_go_up_in_parts_and_a_repository_can_be_private(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    release = build(tmp_path / "1.0.0", shards=(2000,))
    hub.part_size = 8192
    assert client.push(release, private=True).code == 0
    assert len(hub.journal.find("^PUT .*/part/", host="storage")) >= 3
    assert hub.store.repo(REPO).private
    assert one_release(hub, release)


FAULTS = {
    "answers that are lost": [
        Fault("^POST .*/repos/create", "lost"),
        Fault("^PUT", "cut", after=100),
        Fault("^POST .*/commit/main", "lost"),
        Fault("^POST .*/tag/", "lost"),
    ],
    "a busy Hub": [
        Fault("^GET .*/whoami"),
        Fault("^GET .*/refs", "reset"),
        Fault("^POST .*/validate-yaml"),
        Fault("^POST .*/commit/main", status=429, headers={"Retry-After": "2"}),
        Fault("^POST .*/tag/", status=500),
    ],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
def test_what_passes_by_itself_is_waited_for(
    hub: Hub, client: Client, tmp_path: Path, faults: list[Fault]
) -> None:
    release = build(tmp_path / "1.0.0")
    for fault in faults:
        hub.faults.order(fault)
    ran = client.push(release)
    assert ran.code == 0, ran.said
    assert all(fault.struck == 1 for fault in faults)
    assert "looking again in 1 s" in ran.said
    assert one_release(hub, release)


def test_a_push_killed_at_any_step_goes_on(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    client.push_killed(release, "^PUT")
    assert releases(hub) == []
    client.push_killed(release, "^POST .*/commit/main", "lost")
    assert releases(hub) == ["Release v1.0.0"]
    client.push_killed(release, "^POST .*/tag/")
    assert not hub.store.repo(REPO).tags()
    # even where someone edited the card since: the tag goes to the commit that is the release
    add_commit(hub, "README.md", b"---\nlicense: mit\n---\nedited by hand\n")
    again = client.push(release).result
    assert (again["already"], again["uploaded_files"]) == (False, 0)
    assert len(hub.journal.find("/commit/")) == 1
    assert holds(hub, release, "v1.0.0")
    assert releases(hub) == ["Add README.md", "Release v1.0.0"]


def test_another_writer_is_not_overwritten(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    fault = Fault("^POST .*/commit/main", "delay", act=lambda: add_commit(hub, "notes.md"))
    hub.faults.order(fault)
    ran = client.push(release)
    assert ran.code == 0, ran.said
    assert "Someone else changed the repository" in ran.said
    assert [r.status for r in hub.journal.find("/commit/")] == [412, 200]
    assert releases(hub) == ["Release v1.0.0", "Add notes.md"]
    assert "notes.md" in hub.store.repo(REPO).resolve("v1.0.0").tree


REFUSED = {
    None: "set HF_TOKEN or run `hf auth login`",
    "hf_wrong": "does not accept the token",
    "hf_expired": "does not accept the token",
    "hf_read": "can only read",
    "hf_stranger": "may not write to org/magpie-demo",
}


@pytest.mark.parametrize("token", REFUSED)
def test_tokens_that_will_not_do(
    hub: Hub, client: Client, tmp_path: Path, token: str | None
) -> None:
    ran = client.push(build(tmp_path / "1.0.0"), token=token)
    assert ran.code == 4 and REFUSED[token] in ran.said, ran.said
    assert "Traceback" not in ran.said
    assert not hub.store.exists(REPO)


def test_refusals_are_one_sentence(hub: Hub, client: Client, tmp_path: Path) -> None:
    card = client.push(build(tmp_path / "card", license="llama-3"))
    assert card.code == 4 and '"license" must be one of' in card.said

    release = build(tmp_path / "1.0.0")
    hub.quota = 100
    quota = client.push(release)
    assert quota.code == 4 and "storage limit" in quota.said
    hub.quota = None

    hub.faults.order(Fault("/preupload/", status=429, headers={"Retry-After": "4000"}))
    busy = client.push(release)
    assert busy.code == 4 and "wait 4000 s" in busy.said
    assert releases(hub) == []
    for ran in (card, quota, busy):
        assert "Traceback" not in ran.said


def test_what_cannot_be_loaded_back_is_said(hub: Hub, client: Client, tmp_path: Path) -> None:
    release = build(tmp_path / "1.0.0")
    file = release / "data/filtered/train-00000-of-00001.parquet"
    file.write_bytes(b"not parquet at all")
    manifest = Manifest.model_validate_json((release / MANIFEST).read_bytes())
    write_manifest(release, "1.0.0", manifest.configs)
    ran = client.push(release)
    assert ran.code == 4 and "cannot load it there" in ran.said
    again = client.push(release)
    assert again.code == 4 and "already released" in again.said
