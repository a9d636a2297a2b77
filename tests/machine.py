"""A server made of dicts that answers the agent's requests, for trying the runner without any server."""

import base64
import json
import zlib
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from holdfast.model.watch import Output
from holdfast.runner import agent
from holdfast.wire.fake import FakeWire

Data = dict[str, Any]


@dataclass
class Machine:
    """State of one server: files by path, packages, units that run, and what was done in which order."""

    name: str
    files: dict[str, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    running: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    ledger: Data = field(
        default_factory=lambda: {"files": {}, "units": {}, "owed": {}, "archives": [], "vault": "", "design": ""}
    )
    done: list[str] = field(default_factory=list)
    probes: dict[str, Data] = field(default_factory=dict)
    # From the moment when the part of this key is done, these probes answer so.
    probes_after: dict[str, dict[str, Data]] = field(default_factory=dict)
    fails_at: str = ""
    # Doing the part of this key leaves a restart of the unit owed; while one is owed, probes say so and fail.
    owes_after: dict[str, str] = field(default_factory=dict)
    waits_while_owed: dict[str, str] = field(default_factory=dict)

    def wire(self) -> FakeWire:
        """An open wire to this machine."""
        return FakeWire(self.name, self.answer)

    def answer(self, argv: tuple[str, ...], stdin: bytes) -> Output:
        """Answer a request of the agent as the helper on a server would; any other command succeeds."""
        if argv != agent.ARGV:
            self.done.append(" ".join(argv))
            return Output(0)
        request = json.loads(zlib.decompress(base64.b64decode(stdin.splitlines()[0])))["request"]
        events = {"look": self._look, "act": self._act, "observe": self._observe, "hold": self._hold}[request["ask"]](
            request
        )
        return Output(0, "".join(json.dumps(event) + "\n" for event in events))

    def _look(self, request: Data) -> list[Data]:
        states = {part["key"]: self._state(part) for part in request["parts"]}
        wanted = {part.get("path") for part in request["parts"]}
        extra = {path: self._digest(path) for path in self.ledger["files"] if path not in wanted}
        return [{"event": "answer", "answer": {"states": states, "extra": extra, "ledger": self.ledger}}]

    def _state(self, part: Data) -> Data:
        if part["kind"] == "package":
            return {"state": "same" if part["name"] in self.packages else "absent"}
        if part["kind"] == "unit":
            there = (part["name"] in self.running) == part["running"]
            return {"state": "same"} if there else {"state": "differs", "why": "not running", "active": False}
        if part["kind"] != "file":
            return {"state": "same" if part["key"] in self.others else "absent"}
        if part["path"] not in self.files:
            return {"state": "absent"}
        present = self._digest(part["path"])
        if present == part["sha256"]:
            return {"state": "same", "sha256": present}
        return {"state": "differs", "why": "content", "sha256": present, "text": self.files[part["path"]]}

    def _digest(self, path: str) -> str:
        return sha256(self.files[path].encode()).hexdigest() if path in self.files else ""

    def _act(self, request: Data) -> list[Data]:
        self.ledger |= {key: request[key] for key in ("vault", "design") if key in request}
        for path in request["remove"]:
            self.files.pop(path, None)
            self.ledger["files"].pop(path)
        for unit in request["stop"]:
            self.running.discard(unit)
            self.ledger["units"].pop(unit)
        for member in request["members"]:
            for part in member["parts"]:
                if part["key"] == self.fails_at:
                    return [{"event": "failed", "why": f"{part['key']} cannot be done"}]
                self._do(member["name"], part)
        return [{"event": "answer", "answer": {}}]

    def _do(self, member: str, part: Data) -> None:
        self.done.append(part["key"])
        self.probes |= self.probes_after.get(part["key"], {})
        if part["key"] in self.owes_after:
            self.ledger["owed"][self.owes_after[part["key"]]] = "restart"
        elif part["kind"] == "unit":
            self.ledger["owed"].pop(part["name"], None)
        if part["kind"] == "file":
            self.files[part["path"]] = part["content"]
            self.ledger["files"][part["path"]] = {"sha256": self._digest(part["path"]), "member": member}
        elif part["kind"] == "package":
            self.packages.add(part["name"])
        elif part["kind"] == "unit" and part["running"]:
            self.running.add(part["name"])
            self.ledger["units"][part["name"]] = {"member": member}
        else:
            self.others.add(part["key"])

    def _observe(self, request: Data) -> list[Data]:
        healthy = {"exit_code": 0, "stdout": "", "stderr": ""}
        answer = {probe["key"]: self.probes.get(probe["key"], healthy) for probe in request["probes"]}
        if self.ledger["owed"]:
            answer |= {
                key: {"exit_code": 1, "stdout": "", "stderr": why} for key, why in self.waits_while_owed.items()
            }
        return [{"event": "answer", "answer": answer}]

    def _hold(self, request: Data) -> list[Data]:
        return [{"event": "answer", "answer": {"held": True, "by": ""}}]
