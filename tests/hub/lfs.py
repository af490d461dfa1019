"""Large files: the batch call at the Hub and xet's tokens, and the storage host (another origin, as
on the Hub), whose addresses are signed and which must never see a token."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from tests.hub.store import Refusal
from tests.hub.transport import Reply, Request, Routes

if TYPE_CHECKING:
    from tests.hub.server import Hub

hub = Routes()
storage = Routes()

SIGNATURE = "signature=granted"


@hub.add("POST", "/datasets/{repo:repo}.git/info/lfs/objects/batch")
def batch(app: Hub, request: Request, repo: str) -> Reply:
    app.writable(request, repo)
    objects = [_object(app, repo, o["oid"], o["size"]) for o in request.json()["objects"]]
    multipart = any(
        "chunk_size" in o.get("actions", {}).get("upload", {}).get("header", {}) for o in objects
    )
    return Reply({"transfer": "multipart" if multipart else "basic", "objects": objects})


def _object(app: Hub, repo: str, oid: str, size: int) -> dict[str, Any]:
    known = {"oid": oid, "size": size}
    if app.quota is not None and size > app.quota:
        message = "You have exceeded your storage limit."
        return known | {"error": {"code": 403, "message": message}}
    if app.store.lfs_file(oid).is_file():
        return known
    address = f"{app.storage.url}/{oid}"
    upload: dict[str, Any] = {"href": f"{address}?{SIGNATURE}"}
    if app.part_size is not None and size > app.part_size:
        parts = range(1, math.ceil(size / app.part_size) + 1)
        upload["href"] = f"{address}/complete?{SIGNATURE}"
        upload["header"] = {"chunk_size": str(app.part_size)} | {
            f"{n:05}": f"{address}/part/{n}?{SIGNATURE}" for n in parts
        }
    verify = {"href": f"{app.url}/datasets/{repo}.git/info/lfs/verify"}
    return known | {"actions": {"upload": upload, "verify": verify}}


@hub.add("POST", "/datasets/{repo:repo}.git/info/lfs/verify")
def verify(app: Hub, request: Request, repo: str) -> Reply:
    app.writable(request, repo)
    wanted = request.json()
    app.store.lfs_entry(wanted["oid"], wanted["size"])
    return Reply({})


@hub.add("GET", "/api/datasets/{repo:repo}/xet-write-token/{rev}")
def write_token(app: Hub, request: Request, repo: str, rev: str) -> Reply:
    app.writable(request, repo)
    return _token(app.store.xet.url)


@hub.add("GET", "/api/datasets/{repo:repo}/xet-read-token/{rev}")
def read_token(app: Hub, request: Request, repo: str, rev: str) -> Reply:
    app.readable(request, repo, contents=True).resolve(rev)
    return _token(app.store.xet.copy_url())


def _token(url: str) -> Reply:
    end = int(time.time()) + 3600
    headers = {
        "X-Xet-Cas-Url": url,
        "X-Xet-Access-Token": "xet-granted",
        "X-Xet-Token-Expiration": str(end),
    }
    return Reply({"casUrl": url, "accessToken": "xet-granted", "exp": end}, headers=headers)


def _granted(request: Request) -> None:
    if request.query.get("signature") != "granted":
        raise Refusal(403, "SignatureDoesNotMatch")


@storage.add("PUT", "/{oid}")
def put(app: Hub, request: Request, oid: str) -> Reply:
    _granted(request)
    app.store.add_lfs(oid, request.body)
    return Reply(headers={"ETag": f'"{oid[:16]}"'})


@storage.add("PUT", "/{oid}/part/{number}")
def put_part(app: Hub, request: Request, oid: str, number: str) -> Reply:
    _granted(request)
    app.parts.setdefault(oid, {})[int(number)] = request.body
    return Reply(headers={"ETag": f'"{oid[:16]}-{number}"'})


@storage.add("POST", "/{oid}/complete")
def complete(app: Hub, request: Request, oid: str) -> Reply:
    _granted(request)
    parts = app.parts.get(oid, {})
    announced = [part["partNumber"] for part in request.json()["parts"]]
    if announced != sorted(parts):
        raise Refusal(400, "The announced parts are not those that were uploaded.")
    # the parts stay: another who uploads the same file may be about to complete it as well
    app.store.add_lfs(oid, b"".join(parts[number] for number in announced))
    return Reply({})


@storage.add("GET", "/{oid}")
def get(app: Hub, request: Request, oid: str) -> Reply:
    _granted(request)
    file = app.store.lfs_file(oid)
    if not file.is_file():
        raise Refusal(404, "NoSuchKey")
    return Reply(file=file, headers={"ETag": f'"{oid}"'})
