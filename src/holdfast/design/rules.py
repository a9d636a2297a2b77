"""Rules that hold between the parts of a document: names, addresses, promises."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network

from holdfast.design.document import PromisesEntry
from holdfast.design.errors import did_you_mean
from holdfast.design.wording import Fault
from holdfast.model.spec import Durability

Addresses = Mapping[str, str]


def network_of(given: IPv4Network | None, addresses: Addresses) -> IPv4Network:
    """Return the network of the cluster: the one given, else the /24 of the first host by name."""
    if given is not None:
        return given
    first = min(addresses, default="")
    return IPv4Network(f"{addresses.get(first, '192.0.2.1')}/24", strict=False)


def misplaced(network: IPv4Network, given: bool, addresses: Addresses) -> Iterator[tuple[str, str, str]]:
    """Yield host, message and hint for every address that is not one of a host in the network."""
    wider = _wider(given, addresses)
    for name, text in sorted(addresses.items()):
        address = IPv4Address(text)
        if address not in network:
            yield name, f"address {text} of host {name} is outside the network {network}", wider
        elif address in (network.network_address, network.broadcast_address):
            kind = "network" if address == network.network_address else "broadcast"
            yield name, f"address {text} of host {name} is the {kind} address of {network}", "take another one"


def _wider(given: bool, addresses: Addresses) -> str:
    if given or not addresses:
        return "every host must lie inside network"
    low, high = min(map(IPv4Address, addresses.values())), max(map(IPv4Address, addresses.values()))
    bits = (int(low) ^ int(high)).bit_length()
    wider = f"write network: {IPv4Network((int(low), 32 - bits), strict=False)}" if bits <= 24 else "give network"
    return f"by default it is the /24 of the first host; {wider}"


def duplicates(addresses: Addresses) -> Iterator[tuple[str, str, str]]:
    """Yield host, message and hint for every address that an earlier host has already."""
    owners: dict[str, str] = {}
    for name, text in addresses.items():
        owner = owners.setdefault(text, name)
        if owner != name:
            yield name, f"duplicate address {text}: host {owner} has it already", "every host has its own"


def strangers(layer: str, hosts: tuple[str, ...], known: frozenset[str]) -> Iterator[Fault]:
    """Yield a fault for every host of a layer that the document does not know, or that is listed twice."""
    for index, name in enumerate(hosts):
        path = ("layers", layer, "hosts", index)
        if name not in known:
            yield Fault(path, f"host {name!r} of layer {layer} is not in hosts", did_you_mean(name, known))
        elif name in hosts[:index]:
            yield Fault(path, f"host {name} is listed twice in layer {layer}", "remove one")


def contradictions(promises: PromisesEntry) -> Iterator[Fault]:
    """Yield a fault when the promised loss is less than the durability can keep."""
    if promises.rpo == 0 and promises.durability is Durability.PERFORMANCE:
        message = "rpo 0 contradicts durability performance, which may lose the last commits at a failover"
        yield Fault(("promises", "rpo"), message, "remove rpo, or choose durability availability or protection")
