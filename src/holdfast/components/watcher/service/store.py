"""Speaking HTTPS with the host's certificate: the dcs's JSON gateway, and the database's own API."""

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from .views import look_request, txn_request, view_of, watch_request
from .words import Txn, View

Json = dict[str, Any]
# The dcs answers in milliseconds; what takes longer is asked of another member.
PATIENCE_S = 0.7
# A doubt of a host that fell silent itself must not count for long.
DOUBT_TTL_S = 5
# The engine's own client needs no answer within this time either: a stream without any word is opened anew.
STREAM_S = 3600.0


class StoreError(Exception):
    """Nobody of the dcs answered in time, or the answer made no sense."""


def tls(files: Json) -> ssl.SSLContext:
    """Return the context of a client that shows the host's certificate and trusts the cluster's own CA only."""
    context = ssl.create_default_context(cafile=files["ca"])
    read_anew(context, files)
    return context


def read_anew(context: ssl.SSLContext, files: Json) -> None:
    """Let connections made from now on show the certificate that is on the disk now. Raises OSError."""
    context.load_verify_locations(cafile=files["ca"])
    context.load_cert_chain(files["cert"], files["key"])


def connect(url: str, context: ssl.SSLContext, timeout_s: float) -> http.client.HTTPSConnection:
    """Return a connection that is not open yet."""
    parts = urlsplit(url)
    return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout_s, context=context)


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Json | None = None) -> Any:
    """Return the JSON that is answered. Raises OSError, HTTPException and ValueError."""
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status >= 400:
        raise ValueError(f"{path}: status {answer.status}: {data[:200].decode(errors='replace')}")
    return json.loads(data)


class Store:
    """The dcs: one open connection to the member that answered last. Used by one thread."""

    def __init__(self, settings: Json, context: ssl.SSLContext) -> None:
        self.context = context
        self.gateway = settings["store"]["gateway"]
        self.endpoints: list[str] = list(settings["store"]["endpoints"])
        self.prefix, self.ours = settings["database"]["prefix"], settings["ours"]
        self.connection: http.client.HTTPSConnection | None = None

    def look(self) -> View:
        """Return one linearizable look. Raises StoreError."""
        try:
            return view_of(self.post("/kv/txn", look_request(self.prefix, self.ours)), self.prefix, self.ours)
        except (KeyError, ValueError, TypeError) as error:
            raise StoreError(f"the dcs answers strangely: {error!r}") from error

    def run(self, txn: Txn) -> bool:
        """Run a transaction and return whether its guards held. Raises StoreError: it may have run or not."""
        lease = str(self.post("/lease/grant", {"TTL": DOUBT_TTL_S})["ID"]) if txn.leased else ""
        # Never repeated at another member: a repeat would compare with what its own first try wrote.
        answer = self.post("/kv/txn", txn_request(txn, self.prefix, self.ours, lease), tries=1)
        return bool(answer.get("succeeded"))

    def post(self, path: str, body: Json, tries: int = 0) -> Json:
        """Ask the members in turn until one answers. Raises StoreError."""
        said = "no member"
        for _ in range(tries or len(self.endpoints) + 1):
            try:
                return self._post(path, body)
            except (OSError, http.client.HTTPException, ValueError) as error:
                said = f"{self.endpoints[0]}: {error}"
                self._next()
        raise StoreError(f"the dcs does not answer: {said}")

    def _post(self, path: str, body: Json) -> Json:
        if self.connection is None:
            self.connection = connect(self.endpoints[0], self.context, PATIENCE_S)
        found = ask(self.connection, "POST", self.gateway + path, body)
        if not isinstance(found, dict):
            raise ValueError("no object")
        return found

    def _next(self) -> None:
        if self.connection:
            self.connection.close()
        self.connection = None
        self.endpoints.append(self.endpoints.pop(0))


def follow(store: Store, changed: threading.Event) -> None:
    """Set the event at every change of our keys and of the leader key, for ever. A thread of its own."""
    pause = threading.Event()
    endpoints = list(store.endpoints)
    while True:
        try:
            for _ in _changes(store, endpoints[0]):
                changed.set()
        except (OSError, http.client.HTTPException, ValueError):
            endpoints.append(endpoints.pop(0))
        pause.wait(1.0)


def _changes(store: Store, endpoint: str) -> Iterator[bytes]:
    connection = connect(endpoint, store.context, STREAM_S)
    body = "".join(json.dumps(each) + "\n" for each in watch_request(store.ours, store.prefix))
    connection.request("POST", store.gateway + "/watch", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    while line := answer.readline():
        yield line
