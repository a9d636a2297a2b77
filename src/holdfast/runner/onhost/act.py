"""Bringing parts about on a server: packages, users, files, units, steps, in that order for each member."""

import base64
import copy
import grp
import hashlib
import io
import os
import pwd
import shutil
import stat
import tarfile
import tempfile
from pathlib import Path

from holdfast.runner.onhost.basics import (
    Data,
    Failed,
    digest_of,
    extract,
    link_mark,
    must,
    read_ledger,
    replace,
    run,
    say,
    unit_states,
    write_ledger,
)
from holdfast.runner.onhost.look import look_unit, look_user

ARCHIVES_KEPT = 5
EFFECTS = {"none": 0, "reload": 1, "restart": 2}
UNIT_FILES = "/etc/systemd/system/"
KINDS = ("file", "package", "user", "directory", "archive", "link", "unit", "step")


def answer(request: Data) -> Data:
    """Bring parts about, member by member; every event is told. Raises Failed at the first part that fails.

    Packages of all members are installed in one go, after the files that must be there before them.
    """
    ledger = read_ledger()
    ledger |= {name: request[name] for name in ("vault", "design") if name in request}
    write_ledger(ledger)
    remove(ledger, request["remove"], request["stop"])
    members = [(each["name"], by_kind(each["parts"])) for each in request["members"]]
    for name, of in members:
        write_files(ledger, name, [part for part in of["file"] if part["early"]])
    install([part["name"] for _, of in members for part in of["package"]])
    for name, of in members:
        act_member(ledger, name, of)
    return {}


def by_kind(parts: list[Data]) -> dict[str, list[Data]]:
    """Return parts grouped by kind, in their order."""
    return {kind: [part for part in parts if part["kind"] == kind] for kind in KINDS}


def act_member(ledger: Data, member: str, of: dict[str, list[Data]]) -> None:
    """Bring the parts of one member about in the fixed order of kinds. Raises Failed."""
    before = copy.deepcopy({"files": ledger["files"], "owed": ledger["owed"]})
    owe_for(ledger, of["file"] + of["link"])
    for part in of["user"]:
        add_user(part)
    for part in of["directory"]:
        make_directory(part)
    files = [part for part in of["file"] if not part["early"]]
    saved = {part["path"]: snapshot(Path(part["path"])) for part in files}
    write_files(ledger, member, files)
    for part in of["archive"]:
        unpack(ledger, part)
    try:
        verify(of["unit"] if files else [])
    except Failed:
        for path, data in saved.items():
            put_back(Path(path), data)
        write_ledger(ledger | before)
        raise
    for part in of["link"]:
        make_link(ledger, member, part)
    settle_units(ledger, member, of["unit"], [part["path"] for part in files])
    write_ledger(ledger)
    for part in of["step"]:
        do_step(part)


def owe_for(ledger: Data, parts: list[Data]) -> None:
    """Write down which units must be reloaded or restarted before anything is changed: apply may be cut off."""
    for part in parts:
        if part["unit"] and EFFECTS[part["effect"]] > EFFECTS[ledger["owed"].get(part["unit"], "none")]:
            ledger["owed"][part["unit"]] = part["effect"]
    write_ledger(ledger)


def write_files(ledger: Data, member: str, parts: list[Data]) -> None:
    """Write files. That they are ours is remembered first: an apply may be cut off between the two."""
    for part in parts:
        digest = hashlib.sha256(part["content"].encode()).hexdigest()
        ledger["files"][part["path"]] = {"sha256": digest, "member": member}
    write_ledger(ledger)
    for part in parts:
        path = Path(part["path"])
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace(path, part["content"].encode(), part["mode"], uid(part["owner"]), gid(part["group"]))
        say(event="done", key=part["key"])


def uid(name: str) -> int:
    """Return a user's number. Raises Failed for an unknown one."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise Failed(f"no user {name} on this machine") from None


def gid(name: str) -> int:
    """Return a group's number. Raises Failed for an unknown one."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise Failed(f"no group {name} on this machine") from None


def install(names: list[str]) -> None:
    """Install packages in one go; their services are kept from starting (they have no configuration yet)."""
    if not names:
        return
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        replace(policy, b"#!/bin/sh\nexit 101\n", 0o755, 0, 0)
    os.environ |= {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Options::=--force-confold"]
    try:
        must([*apt, "update"], 300)
        say(event="note", text=f"installing {len(names)} packages")
        must([*apt, "install", "-y", "--no-install-recommends", "--", *names], 1200)
    finally:
        if ours:
            policy.unlink(missing_ok=True)
    for name in names:
        say(event="done", key=f"package:{name}")


def add_user(part: Data) -> None:
    """Make a system user and put it into its groups."""
    name = part["name"]
    if look_user(part, {}).get("state") == "absent":
        must(
            ["useradd", "--system", "--user-group", "--home-dir", part["home"], "--shell", "/usr/sbin/nologin", name]
        )
    for group in part["groups"]:
        must(["usermod", "--append", "--groups", group, name])
    say(event="done", key=part["key"])


def make_directory(part: Data) -> None:
    """Make a directory with owner and mode."""
    path = Path(part["path"])
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, uid(part["owner"]), gid(part["group"]))
    path.chmod(part["mode"])
    say(event="done", key=part["key"])


def unpack(ledger: Data, part: Data) -> None:
    """Unpack an archive beside its place, then rename: it is there whole or not at all."""
    path = Path(part["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=".holdfast-"))
    try:
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(part["data"]))) as archive:
            extract(archive, fresh)
        fresh.chmod(0o755)
        fresh.rename(path)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    ledger["archives"] = [*(each for each in ledger["archives"] if each != part["path"]), part["path"]]
    forget_archives(ledger)
    say(event="done", key=part["key"])


def forget_archives(ledger: Data) -> None:
    """Remove the oldest archives of ours; never one that a link of ours points to."""
    linked = {entry["sha256"] for entry in ledger["files"].values()}
    for path in ledger["archives"][:-ARCHIVES_KEPT]:
        if link_mark(path) not in linked:
            shutil.rmtree(path, ignore_errors=True)
            ledger["archives"].remove(path)


def make_link(ledger: Data, member: str, part: Data) -> None:
    """Point a symbolic link somewhere else atomically."""
    path = Path(part["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.parent / f".holdfast-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(part["target"])
    fresh.replace(path)
    ledger["files"][part["path"]] = {"sha256": link_mark(part["target"]), "member": member}
    say(event="done", key=part["key"])


def verify(units: list[Data]) -> None:
    """Let every engine check its new files. Raises Failed with the engine's own words."""
    for part in units:
        if part["verify"] and (done := run(part["verify"], 30))["exit_code"]:
            words = (done["stderr"] or done["stdout"]).strip()
            raise Failed(f"{part['name']} refuses its new configuration (the old files are back): {words[-1500:]}")


def snapshot(path: Path) -> tuple[bytes, os.stat_result] | None:
    """Return the content and ownership of a file; None when there is none."""
    return (path.read_bytes(), path.stat()) if path.is_file() else None


def put_back(path: Path, before: tuple[bytes, os.stat_result] | None) -> None:
    """Make a file what it was."""
    if before is None:
        path.unlink(missing_ok=True)
    else:
        data, found = before
        replace(path, data, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def settle_units(ledger: Data, member: str, units: list[Data], changed: list[str]) -> None:
    """Start, reload, restart or stop units as wanted and owed; ``changed``: paths of files just written."""
    names = [part["name"] for part in units]
    read_units_anew(names, changed)
    for name in [name for name in ledger["owed"] if name not in names]:
        if unit_states([name])[name].get("ActiveState") == "active":
            settle(ledger, name, ledger["owed"][name])
        ledger["owed"].pop(name, None)
    for part in units:
        if part["running"]:
            ledger["units"][part["name"]] = {"member": member}
            settle(ledger, part["name"], ledger["owed"].get(part["name"], "none"))
        elif look_unit(part, {"units": unit_states([part["name"]])}):
            must(["systemctl", "disable", "--now", "--quiet", "--", part["name"]], 90)
        say(event="done", key=part["key"])


def read_units_anew(names: list[str], changed: list[str]) -> None:
    """Let systemd read its units anew when it has to, also for an apply that was cut off before it did.

    That takes a third of a second, or more on a busy server. So does disabling a unit with an old init script (done
    twice by Debian's tool), even one that is disabled.
    """
    stale = any(found.get("NeedDaemonReload") == "yes" for found in unit_states(names).values())
    if stale or any(path.startswith(UNIT_FILES) for path in changed):
        must(["systemctl", "daemon-reload"])


def settle(ledger: Data, name: str, effect: str) -> None:
    """Enable a unit and bring it to run with its present files."""
    state = unit_states([name])[name]
    if state.get("UnitFileState") == "disabled":
        must(["systemctl", "enable", "--quiet", "--", name])
    if state.get("ActiveState") not in ("active", "reloading"):
        must(["systemctl", "reset-failed", "--", name])
        action = "restart" if effect != "none" else "start"
    else:
        action = {"none": "", "reload": "reload-or-restart", "restart": "restart"}[effect]
    if action:
        say(event="unit", unit=name, action=action)
        start_or_explain(action, name)
    ledger["owed"].pop(name, None)
    write_ledger(ledger)


def start_or_explain(action: str, name: str) -> None:
    """Do something to a unit. Raises Failed with the unit's last journal lines."""
    done = run(["systemctl", action, "--", name], 120)
    if done["exit_code"]:
        lines = run(["journalctl", "-u", name, "-n", "8", "--no-pager", "-o", "cat"], 10)["stdout"]
        raise Failed(f"systemctl {action} {name}: {done['stderr'].strip()}\n{lines.rstrip()}")


def do_step(part: Data) -> None:
    """Run a step unless its state is there; afterwards it must be. Raises Failed."""
    if run(part["unless"], 20)["exit_code"] != 0:
        say(event="step", name=part["name"])
        must(part["argv"], part["timeout_s"])
        after = run(part["unless"], 20)
        if after["exit_code"] != 0:
            raise Failed(f"step {part['name']} ran, but its state is not there: {after['stdout'] or after['stderr']}")
    say(event="done", key=part["key"])


def remove(ledger: Data, paths: list[str], units: list[str]) -> None:
    """Stop units and remove files that are Holdfast's, no longer wanted, and as Holdfast wrote them."""
    for name in units:
        run(["systemctl", "disable", "--now", "--quiet", "--", name], 90)
        ledger["units"].pop(name, None)
        say(event="done", key=f"unit:{name}")
    for path in paths:
        if digest_of(Path(path)) in ("", ledger["files"].get(path, {}).get("sha256")):
            Path(path).unlink(missing_ok=True)
            ledger["files"].pop(path, None)
            say(event="done", key=f"file:{path}")
    if paths or units:
        write_ledger(ledger)
        run(["systemctl", "daemon-reload"])
