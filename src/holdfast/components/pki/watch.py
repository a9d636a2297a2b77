"""How long the certificates of a host are still good."""

from holdfast.components.pki.build import PROBE
from holdfast.model.component import Context
from holdfast.model.watch import Output, Probe, Reading, State

# Apply renews under 30 days; under 14 days nobody has applied for a long time.
WARN_DAYS = 14


def probes(_context: Context) -> tuple[Probe, ...]:
    """Days left, of the host's certificate and of the authority."""
    return (Probe("certificates", (PROBE,), read_certificates),)


def read_certificates(output: Output) -> Reading:
    """Read lines of ``file=days left``; the worst decides."""
    facts = dict(line.split("=", 1) for line in output.stdout.splitlines() if "=" in line)
    if output.exit_code or not facts:
        return Reading(State.DOWN, reason=f"no certificate can be read: {output.stderr.strip() or 'no answer'}")
    path, days = min(((path, int(days)) for path, days in facts.items()), key=lambda pair: pair[1])
    return Reading(_state(days), reason=_reason(path, days), facts={"days_left": str(days)})


def _state(days: int) -> State:
    if days < 0:
        return State.DOWN
    return State.DEGRADED if days < WARN_DAYS else State.OK


def _reason(path: str, days: int) -> str:
    if days < 0:
        return f"{path} has expired; the next apply renews it"
    return f"{path} expires in {days} days; the next apply renews it" if days < WARN_DAYS else ""
