"""What every host gets before any engine."""

from holdfast.model.component import Context, Declaration
from holdfast.model.parts import Effect, File, Package, Part, Unit
from holdfast.model.spec import Host, Spec
from holdfast.model.templates import render

PROBE = "/usr/local/lib/holdfast/base-probe"
CHRONYD = "/usr/local/lib/holdfast/base-chronyd"
PACKAGES = ("ca-certificates", "chrony", "curl", "openssl", "socat")
JOURNAL_UNIT, SYSCTL_UNIT, CLOCK_UNIT = "systemd-journald.service", "systemd-sysctl.service", "chrony.service"


def place(spec: Spec) -> tuple[str, ...]:
    """Every host."""
    return tuple(host.name for host in spec.hosts)


def declare(_spec: Spec, _host: Host) -> Declaration:
    """Nothing is offered and nothing needed."""
    return Declaration()


def build(context: Context) -> tuple[Part, ...]:
    """Return the parts of one host."""
    return (
        *(Package(name) for name in PACKAGES),
        File("/etc/hosts", render(__package__, "hosts.j2", hosts=context.spec.hosts)),
        *_clock(),
        *_journal(),
        *_kernel(),
        File(PROBE, render(__package__, "probe.sh.j2"), mode=0o755),
    )


def _clock() -> tuple[Part, ...]:
    drop_in = render(__package__, "chrony.conf.j2", chronyd=CHRONYD)
    return (
        File(CHRONYD, render(__package__, "chronyd.sh.j2"), mode=0o755, unit=CLOCK_UNIT, effect=Effect.RESTART),
        File(_drop_in(CLOCK_UNIT), drop_in, unit=CLOCK_UNIT, effect=Effect.RESTART),
        Unit(CLOCK_UNIT),
    )


def _journal() -> tuple[Part, ...]:
    content = render(__package__, "journald.conf.j2")
    path = "/etc/systemd/journald.conf.d/holdfast.conf"
    # No Unit part: the unit is systemd's own, ours is only what it reads.
    return (File(path, content, unit=JOURNAL_UNIT, effect=Effect.RESTART),)


def _kernel() -> tuple[Part, ...]:
    content = render(__package__, "sysctl.conf.j2")
    path = "/etc/sysctl.d/60-holdfast.conf"
    return (File(path, content, unit=SYSCTL_UNIT, effect=Effect.RESTART),)


def _drop_in(unit: str) -> str:
    return f"/etc/systemd/system/{unit}.d/holdfast.conf"
