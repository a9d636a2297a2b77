"""Whether the application answers its health path."""

from holdfast.components.app.build import UNIT
from holdfast.components.app.spec import AppOptions
from holdfast.model.component import Context
from holdfast.model.watch import Output, Probe, Reading, State

_LINE_MAX = 200
_WHY = {
    7: "nothing listens on its port",
    28: "it took the connection, but did not answer within 2 s",
    52: "it closed the connection without an answer",
    56: "it broke the connection off",
}


def probes(context: Context) -> tuple[Probe, ...]:
    """One request to the health path, as an edge host would make it."""
    options = context.options
    assert isinstance(options, AppOptions)
    url = f"http://{context.host.address}:{options.port}{options.health}"
    argv = ("curl", "--silent", "--show-error", "--globoff", "--max-time", "2", "--write-out", "\n%{http_code}", url)
    return (Probe("health", argv, read_health, units=(UNIT,)),)


def read_health(output: Output) -> Reading:
    """Read the answer and, from the last line, its status."""
    if output.exit_code:
        return Reading(State.DOWN, reason=_WHY.get(output.exit_code, output.stderr.strip() or "no answer"))
    body, _, status = output.stdout.rpartition("\n")
    if status.startswith("2"):
        return Reading(State.OK, facts={"status": status})
    first = next(iter(body.strip().splitlines()), "")[:_LINE_MAX]
    return Reading(
        State.DOWN, reason=f"its health path answers {status}: {first or 'no text'}", facts={"status": status}
    )
