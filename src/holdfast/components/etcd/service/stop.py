#!/usr/bin/python3
# Written by Holdfast. Changes made here are shown as drift and undone by the next apply.
"""etcd-stop OWN_URL OTHER_URL…: before a member is stopped, another one leads.

Without that its end costs an election of a second or two. When nobody can take the lead over, it costs that.
"""

import http.client
import json
import ssl
import sys
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

TLS = "/etc/etcd/tls"
STATUS, TRANSFER = "/v3/maintenance/status", "/v3/maintenance/transfer-leadership"
ANSWER_S = 1.0
Ask = Callable[[str, str, dict[str, Any]], Any]
# What a member says that is not there, or not well.
TROUBLE = (OSError, http.client.HTTPException, ValueError, KeyError)


def successor(leader: str, others: Sequence[str], ask: Ask) -> tuple[str, str] | None:
    """Return the address and number of the first of the others that follows this leader and may vote, or None."""
    for url in others:
        try:
            found = ask(url, STATUS, {})
            follows = found["leader"] == leader and not found.get("isLearner")
            number = str(found["header"]["member_id"])
        except TROUBLE:
            continue
        if follows:
            return url, number
    return None


def hand_over(own: str, others: Sequence[str], ask: Ask) -> str:
    """Hand the lead over when it is here; return what came of it. Raises what `TROUBLE` holds."""
    status = ask(own, STATUS, {})
    if status["leader"] != status["header"]["member_id"]:
        return "another member leads"
    chosen = successor(str(status["leader"]), others, ask)
    if chosen is None:
        return "no other member can lead: they elect one when they can"
    ask(own, TRANSFER, {"targetID": chosen[1]})
    return f"the lead went to {chosen[0]}"


def asking() -> Ask:
    """Return how a member is asked: JSON over TLS, with this host's certificate."""
    context = ssl.create_default_context(cafile=f"{TLS}/ca.crt")
    context.load_cert_chain(f"{TLS}/host.crt", f"{TLS}/host.key")

    def ask(url: str, path: str, body: dict[str, Any]) -> Any:
        connection = http.client.HTTPSConnection(urlsplit(url).netloc, timeout=ANSWER_S, context=context)
        try:
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise ValueError(f"{url}{path}: {answer.status} {said.decode(errors='replace').strip()}")
        return json.loads(said)

    return ask


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{hand_over(sys.argv[1], sys.argv[2:], asking())}\n")
    except TROUBLE as error:
        sys.exit(f"the lead was not handed over: {type(error).__name__}: {error}")
