"""Looking at the state of parts on a server; changes nothing."""

import grp
import hashlib
import pwd
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from holdfast.runner.onhost.basics import Data, digest_of, read_ledger, run, unit_states

SHOWN_BYTES = 200_000


def installed_packages() -> set[str]:
    """Return the names of the installed Debian packages."""
    text = Path("/var/lib/dpkg/status").read_text(errors="replace")
    names = set()
    for block in text.split("\n\n"):
        if "\nStatus: install ok installed" in block:
            names.add(block.split("\n", 1)[0].removeprefix("Package: "))
    return names


def answer(request: Data) -> Data:
    """Return the state of every part, files of the ledger that no part names, and the ledger itself."""
    ledger, parts = read_ledger(), request["parts"]
    of: dict[str, list[Data]] = {}
    for part in parts:
        of.setdefault(part["kind"], []).append(part)
    # systemd and the engines are asked side by side while files are read: most of that time is waiting.
    with ThreadPoolExecutor(max_workers=8) as pool:
        units = pool.submit(unit_states, [part["name"] for part in of.get("unit", [])])
        steps = [(part["key"], pool.submit(look_step, part)) for part in of.pop("step", [])]
        facts: Data = {"packages": installed_packages()}
        wanted = {part.get("path") for part in parts if part["kind"] in ("file", "link")}
        extra = {path: digest_of(Path(path)) for path in ledger["files"] if path not in wanted}
        still = [part for kind, own in of.items() if kind != "unit" for part in own]
        states = {part["key"]: LOOKS[part["kind"]](part, facts) for part in still}
        facts["units"] = units.result()
    states |= {part["key"]: look_unit(part, facts) for part in of.get("unit", [])}
    states |= {key: asked.result() for key, asked in steps}
    states = {key: {"state": "same"} | found for key, found in states.items()}
    return {"states": states, "extra": extra, "ledger": ledger}


def look_package(part: Data, facts: Data) -> Data:
    """Installed or not."""
    return {} if part["name"] in facts["packages"] else {"state": "absent"}


def look_user(part: Data, facts: Data) -> Data:
    """There and in its groups or not."""
    try:
        pwd.getpwnam(part["name"])
    except KeyError:
        return {"state": "absent"}
    missing = [name for name in part["groups"] if part["name"] not in members_of(name)]
    return {"state": "differs", "why": f"not in group {', '.join(missing)}"} if missing else {}


def members_of(group: str) -> list[str]:
    """Return the members of a group; none when there is no such group."""
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []


def look_directory(part: Data, facts: Data) -> Data:
    """There with owner and mode or not."""
    path = Path(part["path"])
    return look_owner(part, path) if path.is_dir() else {"state": "absent"}


def look_owner(part: Data, path: Path) -> Data:
    """Compare owner, group and mode."""
    found = path.stat()
    present = f"{name_of(pwd.getpwuid, found.st_uid)}:{name_of(grp.getgrgid, found.st_gid)}"
    present += f" {stat.S_IMODE(found.st_mode):04o}"
    wanted = f"{part['owner']}:{part['group']} {part['mode']:04o}"
    return {} if present == wanted else {"state": "differs", "why": f"{present}, should be {wanted}"}


def name_of(lookup: Any, number: int) -> str:
    """Return the name of a user or group number; the number itself when it has none."""
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def look_file(part: Data, facts: Data) -> Data:
    """Compare content, owner and mode; a text that differs comes along for the diff."""
    path = Path(part["path"])
    if not path.is_file():
        return {"state": "absent"}
    data = path.read_bytes()
    present = hashlib.sha256(data).hexdigest()
    if present == part["sha256"]:
        return look_owner(part, path) | {"sha256": present}
    shown = not part["sensitive"] and len(data) <= SHOWN_BYTES
    text = {"text": data.decode(errors="replace")} if shown else {}
    return {"state": "differs", "why": "content", "sha256": present} | text


def look_archive(part: Data, facts: Data) -> Data:
    """Unpacked or not; the directory is made whole by a rename, so its being there is enough."""
    return {} if Path(part["path"]).is_dir() else {"state": "absent"}


def look_link(part: Data, facts: Data) -> Data:
    """Compare the target."""
    path = Path(part["path"])
    if not path.is_symlink():
        return {"state": "absent"}
    target = str(path.readlink())
    return {} if target == part["target"] else {"state": "differs", "why": f"points to {target}"}


def look_unit(part: Data, facts: Data) -> Data:
    """Compare enabled and running with what is wanted."""
    found = facts["units"].get(part["name"], {})
    active = found.get("ActiveState") in ("active", "activating", "reloading")
    enabled = found.get("UnitFileState") not in ("disabled", "", None)
    if not part["running"]:
        return {"state": "differs", "why": "is running or enabled"} if active or enabled else {}
    if found.get("LoadState") == "not-found":
        return {"state": "absent"}
    wrong = [] if enabled else ["not enabled"]
    wrong += [] if active else [f"not running ({found.get('ActiveState')})"]
    return {"state": "differs", "why": ", ".join(wrong), "active": active} if wrong else {}


def look_step(part: Data) -> Data:
    """Ask the step's own check."""
    done = run(part["unless"], 20)
    if done["exit_code"] == 0:
        return {}
    return {"state": "differs", "why": (done["stdout"] or done["stderr"]).strip()[:300] or "not done yet"}


LOOKS = {
    "package": look_package,
    "user": look_user,
    "directory": look_directory,
    "file": look_file,
    "archive": look_archive,
    "link": look_link,
}
