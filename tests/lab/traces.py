"""What a lab leaves on this computer: nothing may be left after `down`."""

import subprocess
from pathlib import Path

from holdfast.lab import processes
from holdfast.lab.disk import in_use
from holdfast.lab.host import LABS
from holdfast.lab.lab import Lab
from holdfast.lab.plan import bridge_name, delayed_link_name, link_name, pump_link_name, table_name
from holdfast.lab.pump import carriers


def traces(lab: Lab) -> list[str]:
    """Everything on this computer that belongs to a lab."""
    name = lab.plan.name
    named = (link_name, delayed_link_name, pump_link_name)
    links = {bridge_name(name)} | {name_of(name, one.name) for one in lab.plan.machines for name_of in named}
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [
        *(f"process {pid}" for pid in processes.running(name).values()),
        *(f"slow cable {pid}" for one in lab.plan.machines for pid in carriers(name, one.name)),
        *(f"link {link}" for link in sorted(links) if Path("/sys/class/net", link).exists()),
        *(f"mount {line}" for line in mounts if f"{LABS}/{name}/" in line),
        *(f"table {line}" for line in nft_tables() if table_name(name) in line),
        *(f"disk {path}" for path in in_use(name)),
        *(f"directory {path}" for path in LABS.glob(name)),
        *(f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(f"**/holdfast/{name}")),
    ]


def nft_tables() -> list[str]:
    """The names of all nft tables of this computer."""
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.splitlines()
