"""One machine: its disk, its start, its end."""

import secrets
import shutil
import socket
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from holdfast.lab import disk, image, network
from holdfast.lab.host import LABS, PRIVATE_MOUNTS, detach, run, systemd_host
from holdfast.lab.plan import (
    LabError,
    LabPlan,
    MachinePlan,
    bridge_name,
    gateway,
    link_name,
    machine_id,
    prefix_length,
)
from holdfast.lab.processes import directory

HOST_KEY = "etc/ssh/ssh_host_ed25519_key"

# Runs in a mount namespace of its own, so the machine's mounts end with the machine.
# Arguments: console log, overlay options, mount point, cgroup or nothing, then the command to become.
LAUNCH = """
set -eu
exec >"$1" 2>&1 </dev/null
mount -t overlay overlay -o "$2" "$3"
if [ -n "$4" ]; then
  while umount -l /sys/fs/cgroup 2>/dev/null; do :; done
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p "/sys/fs/cgroup/$4"
  echo 0 >"/sys/fs/cgroup/$4/cgroup.freeze"
  echo $$ >"/sys/fs/cgroup/$4/cgroup.procs"
fi
shift 4
exec "$@"
"""

# Arguments: the cgroup to remove with all below it. A process that is ending has lost its command line, by which
# machines are recognised, a moment before it leaves its cgroup: wait for that, 5 s at most.
REMOVE_CGROUPS = """
set -eu
while umount -l /sys/fs/cgroup 2>/dev/null; do :; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
tries=0
while [ $tries -lt 250 ] && grep -qs 'populated 1' "/sys/fs/cgroup/$1/cgroup.events"; do
  sleep 0.02
  tries=$((tries + 1))
done
[ ! -d "/sys/fs/cgroup/$1" ] || find "/sys/fs/cgroup/$1" -depth -type d -exec rmdir {} +
rmdir /sys/fs/cgroup/holdfast 2>/dev/null || true
"""

NETWORK_FILE = """[Match]
Name=host0

[Link]
MTUBytes={mtu}

[Network]
Address={address}/{prefix}
Gateway={gateway}
LinkLocalAddressing=no
IPv6AcceptRA=no
# A restarted networkd must not take a floating address away.
KeepConfiguration=static
"""


def names(lab: str) -> list[str]:
    """The machines of `lab` that have a disk."""
    return sorted(path.name for path in (LABS / lab / "machines").glob("*") if not path.name.startswith("."))


def create(lab: str, host: str, image_name: str, authorized_key: str) -> None:
    """Make the machine's disk with its identity: all of it or nothing."""
    place = directory(lab, host)
    draft = place.with_name(f".{host}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    upper = draft / "upper"
    for part in (upper, draft / "work", draft / "root"):
        _make_directory(part)
    _make_directory(upper / "root", 0o700)
    _make_directory(upper / "root/.ssh", 0o700)
    _write(draft / "image", image_name)
    _write(upper / "etc/machine-id", secrets.token_hex(16) + "\n")
    _write(upper / "etc/hostname", host + "\n")
    _write(upper / "root/.ssh/authorized_keys", authorized_key.strip() + "\n", 0o600)
    private, public = _host_key()
    _write(upper / f"{HOST_KEY}.pub", f"{public} root@{host}\n")
    _write(upper / HOST_KEY, private, 0o600)
    disk.make(draft)
    draft.rename(place)


def _make_directory(path: Path, mode: int = 0o755) -> None:
    """The mode is set, not asked for: the caller's umask must not reach into a machine."""
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir()
        path.chmod(mode)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    _make_directory(path.parent)
    path.touch(mode=0o600)
    path.write_text(text)
    path.chmod(mode)


def _host_key() -> tuple[str, str]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private.decode(), public.decode()


def host_key(lab: str, host: str) -> str:
    """The machine's public SSH host key, as in a known_hosts file."""
    path = directory(lab, host) / "upper" / f"{HOST_KEY}.pub"
    return " ".join(path.read_text().split()[:2])


def start(plan: LabPlan, machine: MachinePlan) -> None:
    """Power the machine on; it goes on booting after this returns. Raises LabError."""
    place = directory(plan.name, machine.name)
    lower = image.rootfs((place / "image").read_text())
    if not lower.is_dir():
        raise LabError(f"machine {machine.name}: its image {lower.parent.name} was removed; lab down, then up")
    network.remove_link(link_name(plan.name, machine.name))
    _write(place / "upper/etc/systemd/network/10-host0.network", _network_file(plan, machine))
    _write(place / "upper/etc/resolv.conf", network.resolv_conf())
    command = [*_launcher(plan.name, machine.name, lower), *nspawn_argv(plan.name, machine.name)]
    if systemd_host():
        run([*_unit_argv(plan.name, machine.name), *command])
    else:
        detach(command)


def _network_file(plan: LabPlan, machine: MachinePlan) -> str:
    return NETWORK_FILE.format(
        mtu=network.uplink_mtu(), address=machine.address, prefix=prefix_length(plan), gateway=gateway(plan)
    )


def _launcher(lab: str, host: str, lower: Path) -> list[str]:
    place = directory(lab, host)
    upper, work = disk.layers(place)
    overlay = f"lowerdir={lower},upperdir={upper},workdir={work}"
    group = "" if systemd_host() else f"holdfast/{lab}/{host}"
    arguments = [str(place / "console.log"), overlay, str(place / "root"), group]
    return [*PRIVATE_MOUNTS, *disk.launcher(place), "sh", "-c", LAUNCH, "holdfast-lab", *arguments]


def nspawn_argv(lab: str, host: str) -> list[str]:
    """The command that is the machine."""
    return [
        "systemd-nspawn",
        f"--directory={directory(lab, host) / 'root'}",
        "--boot",
        "--quiet",
        f"--machine={machine_id(lab, host)}",
        f"--hostname={host}",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        f"--network-bridge={bridge_name(lab)}",
        "--capability=CAP_IPC_LOCK",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=pipe",
        "--kill-signal=SIGRTMIN+3",
    ]


def _unit_argv(lab: str, host: str) -> list[str]:
    # A name of its own for every start: systemd may still be putting the last start's unit away.
    unit = f"holdfast-lab-{machine_id(lab, host)}-{secrets.token_hex(4)}"
    return [
        *("systemd-run", "--quiet", "--collect", f"--unit={unit}"),
        f"--description=Holdfast lab {lab}, machine {host}",
        *("--property=Delegate=yes", "--property=KillMode=mixed", "--property=TasksMax=infinity", "--"),
    ]


def remove_cgroups(lab: str) -> None:
    """Remove the control groups of a lab whose machines are all off."""
    if not systemd_host():
        run([*PRIVATE_MOUNTS, "sh", "-c", REMOVE_CGROUPS, "holdfast-lab", f"holdfast/{lab}"])


def answers_ssh(address: str, timeout_s: float = 0.5) -> bool:
    """Whether an SSH server greets at `address`."""
    try:
        with socket.create_connection((address, 22), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def console_tail(lab: str, host: str, lines: int = 10) -> str:
    """The last lines the machine printed on its console."""
    log = directory(lab, host) / "console.log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
