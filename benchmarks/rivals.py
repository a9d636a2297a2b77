"""The same question in the words of pyinfra and ansible: their programs written from a design.

Files, packages and units of every member; what else a design has (users, steps, links, archives) is left out, which
is in the rivals' favour. Files with secrets are written where only their owner can read them, and go with the folder.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.design.design import Design
from holdfast.model.parts import File, Package, Unit
from holdfast.runner.authority import now
from holdfast.runner.manifest import content
from holdfast.runner.vault import FOLDER, Vault

KEY = f"{FOLDER}/ssh/id_ed25519"
# Machines of a lab are new each time, so nobody knows their host keys.
ENVIRONMENT = {
    "ANSIBLE_HOST_KEY_CHECKING": "False",
    "ANSIBLE_PIPELINING": "True",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORKS": "20",
}

PYINFRA_DEPLOY = """\
import json
from pathlib import Path
from pyinfra import host
from pyinfra.operations import apt, files, systemd

wanted = json.loads(Path("wanted.json").read_text())[host.name]
apt.packages(name="packages", packages=wanted["packages"])
for file in wanted["files"]:
    files.put(name=file["path"], src=file["source"], dest=file["path"], user=file["owner"], group=file["group"],
              mode=file["mode"])
for unit in wanted["units"]:
    systemd.service(name=unit["name"], service=unit["name"], running=unit["running"], enabled=unit["running"])
"""
PYINFRA_INVENTORY = """\
import json
from pathlib import Path

hosts = [
    (each["name"], {"ssh_hostname": each["address"], "ssh_user": "root", "ssh_key": "KEY",
                    "ssh_strict_host_key_checking": "no", "ssh_known_hosts_file": "/dev/null"})
    for each in json.loads(Path("hosts.json").read_text())
]
"""
ANSIBLE_PLAYBOOK: list[dict[str, Any]] = [
    {
        "hosts": "all",
        "gather_facts": False,
        "vars": {"wanted": "{{ (lookup('file', 'wanted.json') | from_json)[inventory_hostname] }}"},
        "tasks": [
            {
                "name": "packages",
                # Its own Python package must first be installed on the hosts, when it acts for the first time.
                "ansible.builtin.apt": {
                    "name": "{{ wanted.packages }}",
                    "update_cache": "{{ not ansible_check_mode }}",
                },
            },
            {
                "name": "files",
                "ansible.builtin.copy": {
                    "src": "{{ item.source }}",
                    "dest": "{{ item.path }}",
                    "owner": "{{ item.owner }}",
                    "group": "{{ item.group }}",
                    "mode": "{{ item.mode }}",
                },
                "loop": "{{ wanted.files }}",
            },
            {
                "name": "units",
                "ansible.builtin.systemd_service": {
                    "name": "{{ item.name }}",
                    "enabled": "{{ item.running }}",
                    "state": "{{ 'started' if item.running else 'stopped' }}",
                },
                "loop": "{{ wanted.units }}",
            },
        ],
    }
]


@dataclass(frozen=True, slots=True)
class Commands:
    """How a rival acts and asks, and what of its answer says that it wants to change something ("" for nothing)."""

    act: tuple[str, ...]
    ask: tuple[str, ...]
    changes: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Rival:
    """Another tool; ``prepare`` writes its program into a folder."""

    name: str
    program: str
    prepare: Callable[[Path, Design], Commands]


def sizes(design: Design) -> dict[str, int]:
    """Return how many files, packages and units a design has, on all machines together."""
    kinds = {File: "files", Package: "packages", Unit: "units"}
    return dict(
        Counter(kinds[type(part)] for parts in design.parts.values() for part in parts if type(part) in kinds)
    )


def wanted_on(host: str, folder: Path, design: Design, values: Mapping[str, str]) -> dict[str, Any]:
    """Return what a host needs as plain data; its files lie in the folder."""
    parts = [part for member in design.on(host) for part in design.parts[member]]
    files = [part for part in parts if isinstance(part, File)]
    return {
        "packages": sorted({part.name for part in parts if isinstance(part, Package)}),
        "files": [written(folder / "files" / host / str(number), part, values) for number, part in enumerate(files)],
        "units": [{"name": part.name, "running": part.running} for part in parts if isinstance(part, Unit)],
    }


def written(place: Path, file: File, values: Mapping[str, str]) -> dict[str, str]:
    """Write a file with its values, for its owner only, and return how it should be on the host."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    place.touch(mode=0o600)
    place.write_text(content(file, values))
    mode = f"{file.mode:04o}"
    return {"path": file.path, "source": str(place), "owner": file.owner, "group": file.group, "mode": mode}


def lay_out(folder: Path, design: Design) -> None:
    """Write what both rivals read: the hosts, and what is wanted on each."""
    values = Vault.beside(folder / "cluster.yaml").values_for(design, now())
    hosts = [{"name": host.name, "address": host.address} for host in design.spec.hosts]
    wanted = {host.name: wanted_on(host.name, folder, design, values) for host in design.spec.hosts}
    (folder / "hosts.json").write_text(json.dumps(hosts))
    (folder / "wanted.json").write_text(json.dumps(wanted))


def prepare_pyinfra(folder: Path, design: Design) -> Commands:
    """Write pyinfra's inventory and deploy."""
    lay_out(folder, design)
    (folder / "inventory.py").write_text(PYINFRA_INVENTORY.replace("KEY", str(folder / KEY)))
    (folder / "deploy.py").write_text(PYINFRA_DEPLOY)
    files = ("inventory.py", "deploy.py")
    # Not -y with --dry: that would skip the very detection of changes that is to be timed.
    return Commands(("pyinfra", "-y", *files), ("pyinfra", "--dry", *files), pyinfra_changes)


def pyinfra_changes(output: str) -> str:
    """Return the rows of its table of detected changes that name a host; an answer without that table is none."""
    before, found, table = output.partition("Detected changes:")
    if not found:
        return f"nothing, for it did not look: {before[-200:]}"
    rows = [line.strip() for line in table.split("Detected changes may not")[0].splitlines()]
    return "; ".join(row for row in rows if re.search(r"\s[1-9][0-9]* \(", row))


def prepare_ansible(folder: Path, design: Design) -> Commands:
    """Write ansible's inventory and playbook."""
    lay_out(folder, design)
    options = (
        f"ansible_user=root ansible_python_interpreter=/usr/bin/python3 ansible_ssh_private_key_file={folder / KEY}"
    )
    lines = [f"{host.name} ansible_host={host.address} {options}" for host in design.spec.hosts]
    (folder / "hosts.ini").write_text("[all]\n" + "\n".join(lines) + "\n")
    (folder / "site.json").write_text(json.dumps(ANSIBLE_PLAYBOOK))
    command = ("ansible-playbook", "-i", "hosts.ini", "site.json")
    return Commands(command, (*command, "--check"), ansible_changes)


def ansible_changes(output: str) -> str:
    """Return the lines of the recap that count a change; an answer without recap is none."""
    before, found, recap = output.partition("PLAY RECAP")
    if not found:
        return f"nothing, for it did not look: {before[-200:]}"
    return "; ".join(line for line in recap.splitlines() if "changed=" in line and "changed=0" not in line)


RIVALS = (
    Rival("pyinfra --dry", "pyinfra", prepare_pyinfra),
    Rival("ansible-playbook --check", "ansible-playbook", prepare_ansible),
)


def installed() -> tuple[Rival, ...]:
    """Return the rivals whose program is on the PATH."""
    return tuple(rival for rival in RIVALS if shutil.which(rival.program))


def absent() -> str:
    """Say which rivals could not be asked."""
    missing = [rival.program for rival in RIVALS if not shutil.which(rival.program)]
    return f"not installed, so not compared: {', '.join(missing)}\n" if missing else ""
