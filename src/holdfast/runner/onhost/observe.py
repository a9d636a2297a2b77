"""Running probes on a server, side by side."""

from concurrent.futures import ThreadPoolExecutor

from holdfast.runner.onhost.basics import Data, run


def answer(request: Data, aside: bool = False) -> Data:
    """Run probes; return their outputs by key. ``aside``: the caller has not stepped back itself."""
    probes = request["probes"]
    with ThreadPoolExecutor(max_workers=8) as pool:
        outputs = pool.map(lambda probe: run(probe["argv"], probe["timeout_s"], aside=aside), probes)
    return {probe["key"]: output for probe, output in zip(probes, outputs, strict=True)}
