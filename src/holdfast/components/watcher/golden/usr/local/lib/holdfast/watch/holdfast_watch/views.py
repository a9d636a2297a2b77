"""Between the protocol's values and the JSON of the dcs's gateway. Pure."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any

from .words import ANSWERS, DOUBTS, PROMISES, Lead, Note, Standing, Sync, Txn, View

Json = dict[str, Any]


def look_request(prefix: str, ours: str) -> Json:
    """Return the request that reads everything of interest at one revision."""
    wanted = ({"key": f"{prefix}leader"}, {"key": f"{prefix}sync"}, {"key": f"{prefix}config"})
    folders = (f"{prefix}members/", ours)
    ranges = [{"key": _encoded(each["key"])} for each in wanted]
    ranges += [_folder(each) for each in folders]
    return {"compare": [], "success": [{"request_range": each} for each in ranges]}


def _folder(path: str) -> Json:
    return {"key": _encoded(path), "range_end": _encoded(path[:-1] + chr(ord(path[-1]) + 1))}


def watch_request(ours: str, prefix: str) -> tuple[Json, ...]:
    """Return the requests for being told of changes of our keys and of the leader key."""
    return ({"create_request": _folder(ours)}, {"create_request": {"key": _encoded(f"{prefix}leader")}})


def view_of(answer: Json, prefix: str, ours: str) -> View:
    """Return what a look shows. Raises KeyError and ValueError for an answer that is none."""
    leader, sync, config, members, own = (_pairs(each) for each in answer["responses"])
    named = {_decoded(each["key"]).removeprefix(ours): each for each in own}
    return View(
        lead=next((Lead(_decoded(each["value"]), int(each["mod_revision"])) for each in leader), None),
        sync=next((_sync(each) for each in sync), None),
        standings={_decoded(each["key"]).rsplit("/", 1)[1]: _standing(each) for each in members},
        doubts=_notes(named, DOUBTS),
        answers=_notes(named, ANSWERS),
        promises=_notes(named, PROMISES),
        paused=any(_object(each).get("pause") is True for each in config),
    )


def _pairs(response: Json) -> list[Json]:
    found: list[Json] = response["response_range"].get("kvs", [])
    return found


def _object(pair: Json) -> Json:
    found = json.loads(_decoded(pair["value"]))
    return found if isinstance(found, dict) else {}


def _sync(pair: Json) -> Sync:
    value = _object(pair)
    voters = tuple(sorted(each.strip() for each in (value.get("sync_standby") or "").split(",") if each.strip()))
    text = _decoded(pair["value"])
    return Sync(value.get("leader") or "", voters, int(value.get("quorum") or 0), int(pair["mod_revision"]), text)


def _standing(pair: Json) -> Standing:
    value = _object(pair)
    timeline = int(value.get("timeline") or 0)
    return Standing(str(value.get("role")), str(value.get("state")), timeline, int(pair["mod_revision"]))


def _notes(named: Mapping[str, Json], kind: str) -> dict[str, Note]:
    return {name.removeprefix(kind): _note(pair) for name, pair in named.items() if name.startswith(kind)}


def _note(pair: Json) -> Note:
    value = _object(pair)
    return Note(str(value["about"]), int(value["under"]), int(pair["mod_revision"]))


def txn_request(txn: Txn, prefix: str, ours: str, lease: str = "") -> Json:
    """Return a transaction as the gateway takes it; ``lease``: what its puts hang on when they are leased."""
    folders = {"db": prefix, "our": ours}

    def full(key: str) -> str:
        kind, name = key.split(":", 1)
        return _encoded(folders[kind] + name)

    hang: Json = {"lease": lease} if txn.leased else {}
    puts = [{"request_put": {"key": full(key), "value": _encoded(text), **hang}} for key, text in txn.puts]
    deletes = [{"request_delete_range": {"key": full(key)}} for key in txn.deletes]
    return {
        "compare": [
            {"key": full(each.key), "target": "MOD", "result": "EQUAL", "mod_revision": str(each.revision)}
            for each in txn.guards
        ],
        "success": [*puts, *deletes],
    }


def metrics(values: Iterable[tuple[str, str, str, float]]) -> str:
    """Return a text for Prometheus from (name, kind, help, value)."""
    return "".join(
        f"# HELP holdfast_watch_{name} {text}\n# TYPE holdfast_watch_{name} {kind}\nholdfast_watch_{name} {value:g}\n"
        for name, kind, text, value in values
    )


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return b64decode(text).decode()
