"""Who is alive: datagrams to and from every peer, and two further questions to one that has fallen silent."""

import http.client
import json
import selectors
import socket
import ssl
import time
from typing import Any

from .store import ask, connect

Json = dict[str, Any]
# Ten datagrams a second: with 30 % of them lost, ten in a row are lost once in 170,000 times.
BEAT_S = 0.1
# Silence that is worth two more questions; that is worth a doubt in the dcs; that is worth acting upon. A stop of
# 0.8 s (a stalled disk, a snapshot) must not be enough to act: for others it lasts a beat longer, and until the woken
# host has found a processor for its next one (1.05 to 1.15 s of silence were seen).
ODD_S, DOUBT_S, GONE_S = 0.3, 0.6, 1.2
# Our own loop came late by more than this: we were stopped ourselves, and know nothing about the others.
STOPPED_S = 0.3
ASK_S = 0.3
# A datagram names the peers that were heard within this: two beats and a bit.
NAMED_S = 0.25
GREETING = "holdfast-watch"
ALONE, WELL = "alone", "well"


class Senses:
    """When each peer gave its last sign of life, on this host's monotonic clock. Shared by threads.

    ``heard``: its last sign of life. ``named``: its last datagram, whatever it said. ``reached``: the last proof that
    it hears this host as well. ``alone``: this host reaches nobody that counts, and says so: it wants to be given up.
    """

    def __init__(self, settings: Json) -> None:
        self.name: str = settings["name"]
        self.peers: dict[str, str] = {k: v for k, v in settings["hosts"].items() if k != settings["name"]}
        self.address, self.port = settings["hosts"][settings["name"]], settings["port"]
        self.heard = dict.fromkeys(self.peers, time.monotonic())
        self.named, self.reached = dict(self.heard), dict(self.heard)
        self.alone = False
        self.stops = 0
        self.beaten = time.monotonic()
        self.unasked = ""

    def silent(self, for_s: float) -> frozenset[str]:
        """Return the peers without a sign of life for so many seconds; none while this host's own beats stay out."""
        now = time.monotonic()
        if now - self.beaten > BEAT_S + STOPPED_S:
            return frozenset()
        return frozenset(name for name, at in self.heard.items() if now - at >= for_s)

    def silence_s(self, name: str) -> float:
        """Return how long a peer has been silent."""
        return time.monotonic() - self.heard.get(name, time.monotonic())

    def reaches_majority(self, within_s: float) -> bool:
        """Return whether a majority of all hosts, this one included, was reached both ways within so many seconds."""
        now = time.monotonic()
        near = 1 + sum(now - at < within_s for at in self.reached.values())
        return near > (len(self.peers) + 1) // 2

    def reached_since(self, moment: float) -> bool:
        """Return whether any other host was reached both ways after a moment."""
        return any(at > moment for at in self.reached.values())

    def answers(self, name: str) -> None:
        """Note that a peer lives and that packets go both ways."""
        self.heard[name] = self.reached[name] = time.monotonic()

    def hears(self, name: str, text: str, late: bool) -> None:
        """Note a datagram. ``late``: it may have waited while this host was stopped, so what it tells is old."""
        now = time.monotonic()
        self.named[name] = now
        greeting, _, said = text.partition(" ")
        state, *near = said.split()
        if greeting == GREETING and state != ALONE:
            self.heard[name] = now
        if self.name in near and not late:
            self.reached[name] = now

    def says(self) -> str:
        """Return the text of a datagram: how this host is, and whom it hears."""
        now = time.monotonic()
        near = [name for name, at in self.named.items() if now - at < NAMED_S]
        return " ".join([GREETING, ALONE if self.alone else WELL, *near])

    def forgive(self, gap_s: float) -> None:
        """Leave the time in which this host itself was stopped out of everybody's silence."""
        self.stops += 1
        for name in self.heard:
            self.heard[name] = min(time.monotonic(), self.heard[name] + gap_s)


def beat(senses: Senses) -> None:
    """Send and receive datagrams and answer questions, for ever. A thread of its own, so that nothing delays it."""
    names = {address: name for name, address in senses.peers.items()}
    with selectors.DefaultSelector() as found:
        datagrams = _socket(socket.SOCK_DGRAM, senses)
        calls = _socket(socket.SOCK_STREAM, senses)
        calls.listen(16)
        found.register(datagrams, selectors.EVENT_READ)
        found.register(calls, selectors.EVENT_READ)
        due = last = time.monotonic()
        while True:
            ready = found.select(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            if late := now - last > BEAT_S + STOPPED_S:
                senses.forgive(now - last)
            for key, _ in ready:
                _hear(datagrams, names, senses, late) if key.fileobj is datagrams else _answer(calls, senses.alone)
            last = senses.beaten = now
            if now >= due:
                due = now + BEAT_S
                _send(datagrams, senses)


def _socket(kind: socket.SocketKind, senses: Senses) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((senses.address, senses.port))
    made.setblocking(False)
    return made


def _send(datagrams: socket.socket, senses: Senses) -> None:
    text = senses.says().encode()
    for address in senses.peers.values():
        try:
            datagrams.sendto(text, (address, senses.port))
        except OSError:
            # No route, or a full buffer: the peer will miss it as it misses a lost one.
            continue


def _hear(datagrams: socket.socket, names: dict[str, str], senses: Senses, late: bool) -> None:
    try:
        while True:
            text, (address, _) = datagrams.recvfrom(4096)
            if address in names:
                senses.hears(names[address], text.decode("ascii", "replace"), late)
    except OSError:
        return


def _answer(calls: socket.socket, alone: bool) -> None:
    try:
        call, _ = calls.accept()
        with call:
            call.send(b"alone\n" if alone else b"alive\n")
    except OSError:
        return


def question(senses: Senses) -> None:
    """Ask the peers whose datagrams stay out whether their service answers, for ever. A thread of its own.

    A refusal is a sign of life too: the host is up, only this service is not. A connection that is taken but never
    answered is none: a host whose programs have all stopped takes connections as well.
    """
    while True:
        for name in senses.silent(ODD_S):
            if _is_alive(senses.peers[name], senses.port):
                senses.answers(name)
        time.sleep(BEAT_S)


def _is_alive(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), ASK_S) as call:
            return call.recv(6) == b"alive\n"
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    except OSError:
        return False


def question_database(senses: Senses, settings: Json, context: ssl.SSLContext) -> None:
    """Ask the database's own API of silent peers, for ever: the host lives even if our service hangs there.

    The fenced host (``unasked``) is not asked: our own fence refuses these connections.
    """
    database = settings["database"]
    while True:
        for name in senses.silent(ODD_S):
            url = f"https://{senses.peers[name]}:{database['api_port']}"
            if name != senses.unasked and _answers(url, database["status_path"], context) and name != senses.unasked:
                senses.answers(name)
        time.sleep(BEAT_S)


def _answers(url: str, path: str, context: ssl.SSLContext) -> bool:
    connection = connect(url, context, ASK_S)
    try:
        ask(connection, "GET", path)
    except json.JSONDecodeError:
        return True
    except ValueError:
        # A bad status is an answer, too.
        return True
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
