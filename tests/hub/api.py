"""The Hub's own endpoints, those that the client libraries call to publish and to load."""

from __future__ import annotations

import base64
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode

import yaml

from tests.hub.lfs import SIGNATURE
from tests.hub.store import LFS_SIZE, LFS_SUFFIXES, Commit, Entry, Refusal, Repo
from tests.hub.transport import Reply, Request, Routes

if TYPE_CHECKING:
    from tests.hub.server import Hub

routes = Routes()

LICENSES = set(
    "apache-2.0 mit cc-by-4.0 cc-by-sa-4.0 cc-by-nc-4.0 cc0-1.0 odc-by llama2 llama3 llama3.1 "
    "llama3.2 llama3.3 gemma other unknown".split()
)


@routes.add("GET", "/api/whoami-v2")
def whoami(app: Hub, request: Request) -> Reply:
    token = app.caller(request)
    if token is None:
        raise Refusal(401, "Invalid username or password.")
    access = {"displayName": "test", "role": token.role}
    return Reply(
        {
            "type": "user",
            "name": token.user,
            "orgs": [{"type": "org", "name": org} for org in token.orgs],
            "auth": {"type": "access_token", "accessToken": access},
        }
    )


@routes.add("POST", "/api/repos/create")
def create(app: Hub, request: Request) -> Reply:
    wanted = request.json()
    owner = wanted.get("organization") or app.user(request)
    repo_id = f"{owner}/{wanted['name']}"
    app.may_write(request, repo_id)
    url = f"{app.url}/datasets/{repo_id}"
    if app.store.exists(repo_id):
        raise Refusal(409, "You already created this dataset repo", url=url)
    user = app.user(request)
    app.store.create(repo_id, private=wanted.get("visibility") == "private", user=user)
    return Reply({"url": url, "name": repo_id, "id": repo_id})


@routes.add("DELETE", "/api/repos/delete")
def delete(app: Hub, request: Request) -> Reply:
    wanted = request.json()
    repo_id = f"{wanted.get('organization')}/{wanted['name']}"
    app.writable(request, repo_id)
    app.store.delete(repo_id)
    return Reply({})


@routes.add("PUT", "/api/datasets/{repo:repo}/settings")
def settings(app: Hub, request: Request, repo: str) -> Reply:
    found, wanted = app.writable(request, repo), request.json()
    if "visibility" in wanted:
        found.private = wanted["visibility"] == "private"
    found.gated = bool(wanted.get("gated", found.gated))
    app.store.save(found)
    return Reply({})


def card_errors(content: str) -> tuple[list[str], list[str]]:
    """Errors and warnings of a card, by the rules of the Hub that matter here."""
    if not content.startswith("---\n") or "\n---" not in content[4:]:
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        data = yaml.safe_load(content[4:].split("\n---", 1)[0])
    except yaml.YAMLError as error:
        return [f"YAML: {error}"], []
    if not isinstance(data, dict):
        return ["metadata must be a mapping"], []
    named = data.get("license", [])
    unknown = set(named if isinstance(named, list) else [named]) - LICENSES
    return (['"license" must be one of ' + ", ".join(sorted(LICENSES))] if unknown else []), []


@routes.add("POST", "/api/validate-yaml")
def validate_yaml(app: Hub, request: Request) -> Reply:
    errors, warnings = card_errors(request.json()["content"])
    body = {
        "errors": [{"message": message} for message in errors],
        "warnings": [{"message": message} for message in warnings],
    }
    return Reply(body, status=400 if errors else 200)


@routes.add("POST", "/api/datasets/{repo:repo}/preupload/{rev}")
def preupload(app: Hub, request: Request, repo: str, rev: str) -> Reply:
    tree = app.writable(request, repo).resolve(rev).tree
    files = []
    for file in request.json()["files"]:
        base64.b64decode(file["sample"], validate=True)
        path = file["path"]
        large = path.endswith(LFS_SUFFIXES) or file["size"] > LFS_SIZE
        answer = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        files.append(answer | ({"oid": tree[path].content_id} if path in tree else {}))
    return Reply({"files": files})


@routes.add("POST", "/api/datasets/{repo:repo}/commit/{rev}")
def commit(app: Hub, request: Request, repo: str, rev: str) -> Reply:
    lines = [json.loads(line) for line in request.body.splitlines()]
    header, operations = lines[0]["value"], lines[1:]
    found = app.writable(request, repo)
    head = found.resolve(rev)
    as_pull_request = request.query.get("create_pr") == "1"
    wanted = header.get("parentCommit")
    if wanted and not as_pull_request and not head.id.startswith(wanted):
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    tree = _apply(app, dict(head.tree), operations)
    if "README.md" in tree:
        errors, _ = card_errors(app.store.file(tree["README.md"]).read_text())
        if errors:
            raise Refusal(400, "; ".join(errors))
    ref = f"refs/heads/{rev}"
    number = 1 + sum(name.startswith("refs/pr/") for name in found.refs)
    if as_pull_request:
        ref = f"refs/pr/{number}"
    user = app.user(request)
    new = found.add(ref, tree, header["summary"], header.get("description", ""), user, head.id)
    app.store.save(found)
    base = f"{app.url}/datasets/{repo}"
    answer = {"success": True, "commitOid": new.id, "commitUrl": f"{base}/commit/{new.id}"}
    if as_pull_request:
        answer["pullRequestUrl"] = f"{base}/discussions/{number}"
    return Reply(answer)


def _apply(app: Hub, tree: dict[str, Entry], operations: list[dict[str, Any]]) -> dict[str, Entry]:
    for operation in operations:
        value = operation["value"]
        path = value["path"]
        if path != str(PurePosixPath(path)) or {"..", ".git", ""} & set(path.split("/")):
            raise Refusal(400, f"Invalid path: {path}")
        match operation["key"]:
            case "file":
                tree[path] = app.store.add_blob(base64.b64decode(value["content"]))
            case "lfsFile":
                tree[path] = app.store.lfs_entry(value["oid"], value["size"])
            case "deletedFile":
                if tree.pop(path, None) is None:
                    message = f"A file with this name doesn't exist: {path}"
                    raise Refusal(404, message, "EntryNotFound")
            case "deletedFolder":
                tree = {p: e for p, e in tree.items() if not p.startswith(f"{path}/")}
            case unknown:
                raise Refusal(400, f"Unknown operation: {unknown}")
    return tree


@routes.add("GET", "/api/datasets/{repo:repo}")
def info(app: Hub, request: Request, repo: str, rev: str = "main") -> Reply:
    found = app.readable(request, repo)
    at = found.resolve(rev)
    return Reply(
        {
            "id": repo,
            "author": repo.split("/")[0],
            "sha": at.id,
            "private": found.private,
            "gated": "auto" if found.gated else False,
            "lastModified": at.date,
            "tags": [],
            "siblings": [{"rfilename": path} for path in at.tree],
        }
    )


@routes.add("GET", "/api/datasets/{repo:repo}/revision/{rev}")
def info_at(app: Hub, request: Request, repo: str, rev: str) -> Reply:
    return info(app, request, repo, rev)


@routes.add("GET", "/api/datasets/{repo:repo}/refs")
def refs(app: Hub, request: Request, repo: str) -> Reply:
    found = app.readable(request, repo)

    def under(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": oid}
            for ref, oid in found.refs.items()
            if ref.startswith(prefix)
        ]

    body = {"branches": under("refs/heads/"), "tags": under("refs/tags/"), "converts": []}
    if "include_prs" in request.query:
        body["pullRequests"] = under("refs/pr/")
    return Reply(body)


def _add_ref(app: Hub, request: Request, repo: str, ref: str, at: str | None) -> Reply:
    found = app.writable(request, repo)
    if ref in found.refs:
        raise Refusal(409, f"Reference {ref} already exists")
    found.refs[ref] = found.resolve(at or "main").id
    app.store.save(found)
    return Reply({})


def _delete_ref(app: Hub, request: Request, repo: str, ref: str) -> Reply:
    found = app.writable(request, repo)
    if found.refs.pop(ref, None) is None:
        raise Refusal(404, f"Reference {ref} does not exist", "RevisionNotFound")
    app.store.save(found)
    return Reply({})


@routes.add("POST", "/api/datasets/{repo:repo}/tag/{rev}")
def tag(app: Hub, request: Request, repo: str, rev: str) -> Reply:
    return _add_ref(app, request, repo, f"refs/tags/{request.json()['tag']}", rev)


@routes.add("DELETE", "/api/datasets/{repo:repo}/tag/{name}")
def delete_tag(app: Hub, request: Request, repo: str, name: str) -> Reply:
    return _delete_ref(app, request, repo, f"refs/tags/{name}")


@routes.add("POST", "/api/datasets/{repo:repo}/branch/{name}")
def branch(app: Hub, request: Request, repo: str, name: str) -> Reply:
    start = request.json().get("startingPoint") if request.body else None
    return _add_ref(app, request, repo, f"refs/heads/{name}", start)


@routes.add("DELETE", "/api/datasets/{repo:repo}/branch/{name}")
def delete_branch(app: Hub, request: Request, repo: str, name: str) -> Reply:
    return _delete_ref(app, request, repo, f"refs/heads/{name}")


@routes.add("POST", "/api/datasets/{repo:repo}/super-squash/{name}")
def squash(app: Hub, request: Request, repo: str, name: str) -> Reply:
    found = app.writable(request, repo)
    user = app.user(request)
    found.add(f"refs/heads/{name}", found.resolve(name).tree, "Super-squash", "", user, None)
    app.store.save(found)
    return Reply({})


def _described(app: Hub, found: Repo, at: Commit, path: str, expand: bool) -> dict[str, Any]:
    entry = at.tree.get(path)
    if entry is None:
        answer: dict[str, Any] = {"type": "directory", "path": path, "oid": at.id, "size": 0}
        last = at
    else:
        answer = {"type": "file", "path": path, "oid": entry.oid, "size": entry.size}
        if entry.lfs:
            answer["lfs"] = {"oid": entry.lfs, "size": entry.size, "pointerSize": 134}
            if stored := app.store.xet.find(entry.lfs):
                answer["xetHash"] = stored.hash
        last = found.last_change(at, path) if expand else at
    if expand:
        answer["lastCommit"] = {"id": last.id, "title": last.title, "date": last.date}
    return answer


@routes.add("GET", "/api/datasets/{repo:repo}/tree/{rev}")
def tree(app: Hub, request: Request, repo: str, rev: str, path: str = "") -> Reply:
    found = app.readable(request, repo)
    at = found.resolve(rev)
    under = f"{path}/" if path else ""
    names: dict[str, None] = {}
    for file in sorted(at.tree):
        if not file.startswith(under):
            continue
        steps = file.removeprefix(under).split("/")
        names |= {under + "/".join(steps[: n + 1]): None for n in range(len(steps))}
    if path and not names:
        raise Refusal(404, f"{path} does not exist on {rev}", "EntryNotFound")
    if request.query.get("recursive", "").lower() != "true":
        names = {name: None for name in names if "/" not in name.removeprefix(under)}
    start = int(request.query.get("cursor", 0))
    page = list(names)[start : start + app.page_size]
    headers = {}
    if start + app.page_size < len(names):
        query = urlencode(request.query | {"cursor": str(start + app.page_size)})
        headers["Link"] = f'<{app.url}{request.path}?{query}>; rel="next"'
    expand = request.query.get("expand", "").lower() == "true"
    return Reply([_described(app, found, at, name, expand) for name in page], headers=headers)


@routes.add("GET", "/api/datasets/{repo:repo}/tree/{rev}/{path:rest}")
def subtree(app: Hub, request: Request, repo: str, rev: str, path: str) -> Reply:
    return tree(app, request, repo, rev, path)


@routes.add("POST", "/api/datasets/{repo:repo}/paths-info/{rev}")
def paths_info(app: Hub, request: Request, repo: str, rev: str) -> Reply:
    found = app.readable(request, repo)
    at = found.resolve(rev)
    form = parse_qs(request.body.decode())
    expand = form.get("expand", [""])[0].lower() == "true"
    known = [
        path
        for path in form.get("paths", [])
        if path in at.tree or any(file.startswith(f"{path}/") for file in at.tree)
    ]
    return Reply([_described(app, found, at, path, expand) for path in known])


@routes.add("GET", "/api/datasets/{repo:repo}/commits/{rev}")
def commits(app: Hub, request: Request, repo: str, rev: str) -> Reply:
    return Reply(
        [
            {
                "id": commit.id,
                "title": commit.title,
                "message": commit.message,
                "date": commit.date,
                "authors": [{"user": commit.user}],
            }
            for commit in app.readable(request, repo).history(rev)
        ]
    )


@routes.add("GET", "/datasets/{repo:repo}/resolve/{rev}/{path:rest}")
def resolve(app: Hub, request: Request, repo: str, rev: str, path: str) -> Reply:
    found = app.readable(request, repo, contents=True)
    at = found.resolve(rev)
    headers = {"X-Repo-Commit": at.id}
    entry = at.tree.get(path)
    if entry is None:
        refusal = Refusal(404, "Entry not found", "EntryNotFound")
        refusal.headers |= headers
        raise refusal
    if entry.lfs is None:
        return Reply(file=app.store.file(entry), headers=headers | {"ETag": f'"{entry.oid}"'})
    headers |= {
        "X-Linked-Etag": f'"{entry.lfs}"',
        "X-Linked-Size": str(entry.size),
        "Location": f"{app.storage.url}/{quote(entry.lfs)}?{SIGNATURE}",
    }
    if stored := app.store.xet.find(entry.lfs):
        token = f"{app.url}/api/datasets/{repo}/xet-read-token/{at.id}"
        headers |= {"X-Xet-Hash": stored.hash, "Link": f'<{token}>; rel="xet-auth"'}
    return Reply(status=302, headers=headers)
