"""Health of the service, and the fence that its host may hold."""

import json
from typing import Any

from holdfast.components.watcher.build import UNIT
from holdfast.model.component import Context
from holdfast.model.watch import Output, Probe, Reading, State

STATUS = "/run/holdfast-watch/status.json"
# It writes its status every 5 s.
OLD_S = 20.0
# So long without any answer of the dcs is more than an election.
MUTE_S = 10.0
# A database that was killed because it hung is spoken of for so long.
KILLED_S = 3600.0


def probes(_context: Context) -> tuple[Probe, ...]:
    """What the service wrote last, and the time: an old status is that of a service that hangs."""
    return (Probe("watch", ("sh", "-c", f"date +%s && cat {STATUS}"), read_watch, units=(UNIT,)),)


def read_watch(output: Output) -> Reading:
    """Read the time of the host in its first line, and the status below."""
    if output.exit_code:
        why = "does not run: a dead leader's host is noticed at the end of its lease only"
        return Reading(State.DOWN, reason=f"{why} ({output.stderr.strip() or 'no answer'})")
    first, _, rest = output.stdout.partition("\n")
    status: dict[str, Any] = json.loads(rest)
    facts = _facts(status)
    if (wrong := _wrong(status, float(first))) != "":
        return Reading(State.DEGRADED, reason=wrong, facts=facts)
    why = _killed(status, float(first)) or ("" if status["acts"] else str(status["why"]))
    return Reading(State.OK, reason=why, facts=facts)


def _wrong(status: dict[str, Any], now: float) -> str:
    if now - status["at"] > OLD_S:
        return f"hangs: its status is {now - status['at']:.0f} s old"
    if fence := status["fence"]:
        return _fence(fence, str(status["why"]))
    if status["secluded_s"]:
        told = "reaches neither a majority of the hosts nor the dcs, so clients of its database must wait"
        return f"{told} (since {status['secluded_s']:.0f} s)"
    if hang := status.get("hang"):
        return f"since {hang['since']}: {hang['why']}"
    if status["mute_s"] > MUTE_S:
        return f"the dcs has not answered it for {status['mute_s']:.0f} s"
    return ""


def _killed(status: dict[str, Any], now: float) -> str:
    killed = status.get("killed")
    return f"at {killed['since']}: {killed['why']}" if killed and now - killed["at"] < KILLED_S else ""


def _fence(fence: dict[str, Any], why: str) -> str:
    limit = "until it is back as a replica" if fence["used"] else f"for at most {fence['limit_s']:.0f} s"
    return f"fences {fence['against']} since {fence['since']} ({fence['owner']}), {limit}: {why}"


def _facts(status: dict[str, Any]) -> dict[str, str]:
    fence = status["fence"] or {}
    found = {
        "leader": status["leader"],
        "silent": ", ".join(status["silent"]),
        "fenced": fence.get("against", ""),
        "killed": (status.get("killed") or {}).get("since", ""),
    }
    return {name: str(each) for name, each in found.items() if each}
