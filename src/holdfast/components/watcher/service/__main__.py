"""holdfast-watch SETTINGS [restore]: the service; with ``restore`` only a written-down fence is put into force."""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from .fencing import load_rules, removal
from .hangs import guard_greetings, guard_logins
from .nearness import TABLE as NEARNESS
from .nearness import keep_manager_near
from .seclusion import TABLE as SECLUSION
from .seclusion import Seclusion, seclude
from .senses import Senses, beat, question, question_database
from .store import Store, follow, read_anew, tls
from .upkeep import Local, guard_process, keep_store_leader_away
from .watcher import Watcher


def main(path: str, verb: str = "run") -> None:
    """Start the threads and work until told to stop."""
    settings = json.loads(Path(path).read_text())
    context = tls(settings["tls"])
    signs = Senses(settings)
    store = Store(settings, context)
    local = Local(settings, context, lambda text: print(text, flush=True))
    seclusion = Seclusion(settings, signs, local, local.say)
    watcher = Watcher(settings, store, signs, local, seclusion)
    watcher.restore()
    # What an earlier service may have left.
    load_rules(removal(SECLUSION) + removal(NEARNESS))
    if verb == "restore":
        return

    def leave(_number: int, _frame: FrameType | None) -> None:
        watcher.leaving = True
        watcher.changed.set()

    def renew(_number: int, _frame: FrameType | None) -> None:
        read_anew(context, settings["tls"])
        print("certificates read anew", flush=True)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, renew)
    threading.excepthook = give_up
    for work, *arguments in (
        (beat, signs),
        (question, signs),
        (question_database, signs, settings, context),
        (follow, store, watcher.changed),
        (guard_process, local),
        (guard_greetings, local),
        (guard_logins, local),
        (keep_store_leader_away, local),
        (keep_manager_near, local),
        (seclude, seclusion),
    ):
        threading.Thread(target=work, args=arguments, daemon=True).start()
    watcher.report()
    watcher.run()


def give_up(said: threading.ExceptHookArgs) -> None:
    """End the service when one of its threads fails: half of it would mislead the others."""
    print(f"{said.thread.name if said.thread else 'a thread'} failed: {said.exc_value!r}", flush=True)
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
