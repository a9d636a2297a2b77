"""Blows over SSH that any engine can be given: a unit killed, hung, kept away; a file swapped; packets dropped.

Nothing here does anything: each function returns the commands. Undoing is safe at any time, more than once too.
"""

import json
from collections.abc import Callable

from holdfast.model.fault import Argv, Blow, Evidence
from holdfast.model.watch import Output

# systemd tells of an end a moment after it; what is older is another drill's.
_RECENT = "--since=-20s"
_STATES = """
group=$(systemctl show --property=ControlGroup --value "$1")
main=$(systemctl show --property=MainPID --value "$1")
[ -n "$group" ] || exit 1
if [ "$2" = main ]; then echo "$main"; else cat "/sys/fs/cgroup$group/cgroup.procs"; fi | while read -r pid; do
    sed -n 's/^State:[[:space:]]*\\([A-Za-z]\\).*/\\1/p' "/proc/$pid/status"
done
"""
_CONTINUE = """
case "$(systemctl show --property=ActiveState --value "$1")" in inactive | failed) exit 0 ;; esac
systemctl kill --kill-whom="$2" --signal=SIGCONT "$1"
"""
_STOP_TRANSIENT = """
systemctl stop "$1" 2>/dev/null
! systemctl --quiet is-active "$1"
"""
_KEEP = """
set -eu
[ -e "$1.before-drill" ] || cp -p "$1" "$1.before-drill"
"""
_PUT_BACK = """
set -eu
[ -e "$1.before-drill" ] || exit 0
cat "$1.before-drill" > "$1"
rm "$1.before-drill"
"""
# The same names and the same key, but signed by nobody but itself: the cluster's own CA is not on its servers.
_EXPIRE = """
set -eu
fresh=$(openssl x509 -in "$1.before-drill" -signkey "$2" -not_before 20240101000000Z -not_after 20240102000000Z)
printf '%s\\n' "$fresh" > "$1"
"""
_SERVED = """
address=$1
shift
openssl s_client -connect "$address" "$@" < /dev/null 2> /dev/null | openssl x509 -noout -checkend 0 -enddate
"""


def shell(script: str, *words: str) -> Argv:
    """Return a command that runs a constant script with words as ``$1`` …; no word becomes part of the script."""
    return ("sh", "-c", script, "drill", *words)


def python(script: str, *words: str) -> Argv:
    """Return a command that runs a constant program with words as ``sys.argv[1:]``."""
    return ("python3", "-I", "-c", script, *words)


def kill_unit(host: str, unit: str, *, whom: str = "all") -> Blow:
    """Kill a unit's processes by signal 9; ``whom="main"``: its main process only."""
    inject = ("systemctl", "kill", f"--kill-whom={whom}", "--signal=SIGKILL", unit)
    return Blow(host, (inject,), (), (_manager_said(unit, "status=9/KILL", f"{unit} was killed by signal 9"),))


def restart_unit(host: str, unit: str) -> Blow:
    """Restart a unit as an operator would."""
    inject = ("systemctl", "restart", "--no-block", unit)
    return Blow(host, (inject,), (), (_manager_said(unit, "Stopp", f"{unit} was stopped for its restart"),))


def hang_unit(host: str, unit: str, *, whom: str = "all") -> Blow:
    """Stop a unit's processes where they stand; they keep their ports and connections, and do nothing."""
    inject = ("systemctl", "kill", f"--kill-whom={whom}", "--signal=SIGSTOP", unit)
    shown = Evidence(shell(_STATES, unit, whom), _all_stopped(f"of {unit}"))
    return Blow(host, (inject,), (shell(_CONTINUE, unit, whom),), (shown,))


def keep_down(host: str, unit: str) -> Blow:
    """Kill a unit and keep it from starting again until it is healed."""
    kill = ("systemctl", "kill", "--kill-whom=all", "--signal=SIGKILL", unit)
    # Not --no-block: a unit that its manager was just starting again must be gone when this returns.
    stop = ("systemctl", "stop", unit)
    start = ("systemctl", "start", "--no-block", unit)
    shown = Evidence(("systemctl", "show", "--property=ActiveState", "--value", unit), _is_down(unit))
    return Blow(host, (kill, stop), (start,), (shown,))


def run_beside(host: str, unit: str, options: tuple[str, ...], argv: Argv, evidence: Evidence) -> Blow:
    """Run a program in a transient unit of its own until it is healed."""
    start = ("systemd-run", "--quiet", "--collect", f"--unit={unit}", *options, "--", *argv)
    return Blow(host, (start,), (shell(_STOP_TRANSIENT, unit),), (evidence,))


def reload_unit(unit: str) -> Argv:
    """Return the command that lets a unit read its files again; one that does not run needs none."""
    return ("systemctl", "try-reload-or-restart", unit)


def swap_file(host: str, path: str, change: tuple[Argv, ...], after: tuple[Argv, ...], evidence: Evidence) -> Blow:
    """Keep a file beside itself (``.before-drill``) and change it; healing puts it back, then runs ``after``."""
    return Blow(host, (shell(_KEEP, path), *change), (shell(_PUT_BACK, path), *after), (evidence,))


def expire_certificate(host: str, path: str, key: str, reload: tuple[Argv, ...], *served: str) -> Blow:
    """Swap a certificate for one that expired long ago. ``served``: its address, and how to ask there for it."""
    shown = Evidence(shell(_SERVED, *served), _expired(served[0]))
    return swap_file(host, path, (shell(_EXPIRE, path, key), *reload), reload, shown)


def drop_packets(host: str, tag: str, incoming: tuple[str, ...], outgoing: tuple[str, ...]) -> Blow:
    """Let a machine's own kernel drop packets: nft matches (and verdicts) that come before everything else.

    Each rule that drops has a counter. ``tag``: the name of the table, so that two such blows do not meet.
    """
    table = f"holdfast_drill_{tag}"
    chains = "".join(_chain(hook, rules) for hook, rules in (("input", incoming), ("output", outgoing)) if rules)
    inject = ("nft", f"{_no_table(table)}; table inet {table} {{ {chains} }};")
    return Blow(host, (inject,), (("nft", _no_table(table)),), (packets_dropped(table),))


def packets_dropped(table: str, family: str = "inet") -> Evidence:
    """Return the evidence that rules of a table dropped something."""
    return Evidence(("nft", "--json", "list", "table", family, table), read_dropped)


def _chain(hook: str, rules: tuple[str, ...]) -> str:
    # Before connection tracking, so before every rule of others.
    return f"chain {hook} {{ type filter hook {hook} priority -300; policy accept; {'; '.join(rules)}; }}; "


def _no_table(table: str) -> str:
    return f"add table inet {table}; delete table inet {table}"


def read_dropped(output: Output) -> str:
    """Read ``nft --json list table``: how many packets its counters saw."""
    if output.exit_code:
        return ""
    rules = [each["rule"]["expr"] for each in json.loads(output.stdout)["nftables"] if "rule" in each]
    dropped = sum(part["counter"]["packets"] for rule in rules for part in rule if "counter" in part)
    return f"{dropped:,} packets dropped" if dropped else ""


def said(word: str, sentence: str) -> Callable[[Output], str]:
    """Return a reader of a successful answer that must hold a word."""
    return lambda output: sentence if output.exit_code == 0 and word in output.stdout else ""


def _manager_said(unit: str, word: str, sentence: str) -> Evidence:
    argv = ("journalctl", "--quiet", "--no-pager", "--output=cat", _RECENT, "_PID=1", f"UNIT={unit}")
    return Evidence(argv, said(word, sentence))


def _all_stopped(whose: str) -> Callable[[Output], str]:
    def read(output: Output) -> str:
        states = [each for each in output.stdout.split() if each != "Z"]
        stopped = bool(states) and all(each == "T" for each in states)
        return f"{len(states)} processes {whose} are stopped (state T)" if stopped and not output.exit_code else ""

    return read


def _is_down(unit: str) -> Callable[[Output], str]:
    def read(output: Output) -> str:
        state = output.stdout.strip()
        return f"{unit} is {state}" if state in ("inactive", "failed") and not output.exit_code else ""

    return read


def _expired(address: str) -> Callable[[Output], str]:
    def read(output: Output) -> str:
        _, found, date = output.stdout.partition("notAfter=")
        expired = bool(found) and output.exit_code == 1
        return f"{address} shows a certificate that expired on {date.splitlines()[0]}" if expired else ""

    return read
