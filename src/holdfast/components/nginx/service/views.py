"""What is written for others to read. Pure."""

from typing import Any

Views = dict[str, dict[str, Any]]


def weights(servers: Views, at: float) -> str:
    """Return the lines that the front door reads: when they were written, then a name and a weight each.

    A server out of use has the weight 0.
    """
    lines = [f"at {at:.0f}", *(f"{name} {0 if each['out'] else each['weight']}" for name, each in servers.items())]
    return "\n".join(lines) + "\n"


def metrics(servers: Views) -> str:
    """Return the figures as Prometheus' textfile collector reads them."""
    figures = (
        ("weight", "Weight of the server at this edge, 0 when it is out of use.", _weight),
        ("strain", "Load of the server as the weights see it.", lambda each: each["strain"]),
        ("latency_seconds", "Mean time to the head of an answer.", _latency_s),
    )
    lines = []
    for name, what, read in figures:
        lines += [f"# HELP holdfast_edge_{name} {what}", f"# TYPE holdfast_edge_{name} gauge"]
        found = {server: read(each) for server, each in servers.items()}
        lines += [f'holdfast_edge_{name}{{server="{server}"}} {n}' for server, n in found.items() if n is not None]
    return "\n".join(lines) + "\n"


def _weight(server: dict[str, Any]) -> float:
    return 0.0 if server["out"] else float(server["weight"])


def _latency_s(server: dict[str, Any]) -> float | None:
    return None if server["latency_ms"] is None else server["latency_ms"] / 1000
