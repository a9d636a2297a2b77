"""What a person reads: snapshots of every page of text."""

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from rich.text import Text

from holdfast.console.page import Line, Page, columns, wrapped
from holdfast.console.tables import explain_lines, findings_lines, history_lines, plan_lines, status_lines
from holdfast.console.words import clean, counted, listed
from holdfast.design.explain import Setting
from holdfast.model.member import Member
from holdfast.model.parts import Effect
from holdfast.model.spec import Finding
from holdfast.model.watch import Reading, State
from holdfast.runner.plan import Change, Plan
from holdfast.runner.runs import Past
from picture_toys import host_down, make, status_of


def shown(page: RenderableType, width: int = 100, terminal: bool = False) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system="standard" if terminal else None)
    console.print(page, soft_wrap=True)
    return file.getvalue()


def test_status_of_a_healthy_cluster_fits_one_screen_without_a_word_too_many() -> None:
    assert shown(status_lines(status_of(make()))) == (
        "● HEALTHY  toy   10.0.0.100 on a   15 members on 3 hosts: 15 ok   design 0123456789ab\n"
        "\n"
        "         a         b          c\n"
        "  door   ● holder  ● standby  ● standby\n"
        "  floor  ●         ●          ●\n"
        "  lock   ●         ●          ●\n"
        "  store  ● leader  ● replica  ● replica\n"
        "  web    ●         ●          ●\n"
    )


def test_status_tells_problems_last_and_violations_after_everything() -> None:
    design = make()
    ill = host_down(design, "c") | {Member("store", "b"): Reading(State.DEGRADED, "replica", "lags by 40 MB")}
    status = replace(status_of(design, ill), health="unsafe", violations=("two leaders: a and b",))
    _, _, trouble = shown(status_lines(status)).partition("\n\n2 problems\n")
    assert trouble == (
        "  ▲ store@b  degraded  lags by 40 MB\n"
        "  ✖ host c   down      host unreachable: timed out\n"
        "  → store@b: holdfast status --watch\n"
        "  → host c: see to its power and network (in the lab: holdfast lab power on c)\n"
        "\n"
        " SAFETY VIOLATED \n"
        "  ✖ two leaders: a and b\n"
        "  → keep the evidence before anything is changed: holdfast status -o json\n"
    )


def test_status_of_thirty_hosts_is_one_line_for_each_component() -> None:
    design = make("".join(chr(ord("a") + i) for i in range(26)) + "äöüß")
    page = shown(status_lines(status_of(design, host_down(design, "d"))))
    assert "  store  ● 29  ✖ 1  leader a, 28 replicas\n" in page
    assert "\n1 problem\n" in page
    assert len(page.splitlines()) < 14


def test_a_missing_holder_of_the_floating_address_is_said() -> None:
    design = make()
    ill = {each: Reading(State.OK, "standby") for each in design.of("door")}
    assert "10.0.0.100 on no host" in shown(status_lines(status_of(design, ill)))


@pytest.mark.parametrize("reason", ["\x1b[31mred\x07", "[bold]red[/bold]", "two\nlines\tand a tab"])
def test_words_of_a_server_never_steer_the_terminal(reason: str) -> None:
    ill = {Member("web", "a"): Reading(State.DOWN, reason=reason)}
    page = shown(status_lines(status_of(make(), ill)), terminal=False)
    assert clean(reason) in page
    assert "\x1b" not in page


def test_colour_goes_to_terminals_only() -> None:
    page = status_lines(status_of(make()))
    assert "\x1b[1;32m" in shown(page, terminal=True)
    assert "\x1b" not in shown(page, terminal=False)


def test_long_reasons_stay_whole_in_a_pipe_and_wrap_under_themselves_on_a_terminal() -> None:
    reason = "the leader is far ahead of what this replica has replayed " * 3
    page = status_lines(status_of(make(), {Member("store", "b"): Reading(State.DEGRADED, "replica", reason)}))
    assert reason.strip() in shown(page, width=60)
    lines = Text.from_ansi(shown(page, width=60, terminal=True)).plain.splitlines()
    first = next(i for i, line in enumerate(lines) if "store@b" in line and "the leader" in line)
    assert all(len(line) <= 60 for line in lines)
    hang = lines[first].index("the leader")
    assert lines[first + 1][:hang].isspace()
    assert lines[first + 1][hang] != " "


def change(member: str, action: str, what: str, effect: Effect = Effect.NONE, **more: object) -> Change:
    component, _, host = member.partition("@")
    key = what.replace(" ", ":", 1)
    return Change(Member(component, host), key, action, effect, what, str(more.get("diff", "")), "drift" in more)


DIFF = "--- /etc/store (now)\n+++ /etc/store (wanted)\n@@ -1 +1 @@\n-port: [1]\n+port: [2]\n"
PLAN = Plan(
    "toy",
    "0123456789abcdef",
    (
        *(change(f"lock@{host}", "+", f"{kind} x") for host in "ab" for kind in ("package", "file", "unit")),
        change("store@b", "~", "file /etc/store", Effect.RESTART, diff=DIFF, drift=True),
        change("store@b", "~", "file /etc/other", Effect.RESTART),
        change("store@a", "~", "unit store", Effect.FAILOVER),
        change("web@a", "-", "file /etc/web"),
    ),
    ("a: /etc/old was changed by hand; it is left alone",),
    {"c": "timed out"},
)


def test_plan_folds_new_members_names_effects_and_counts_interruptions_by_member() -> None:
    assert shown(plan_lines(PLAN, diffs=False), width=140) == (
        "toy: plan for design 0123456789ab\n"
        "\n"
        "  + lock  on a, b  1 package, 1 file, 1 unit\n"
        "  ~ store@b\n"
        "      ~ file /etc/store  [restart]  drift\n"
        "      ~ file /etc/other  [restart]\n"
        "  ~ store@a\n"
        "      ~ unit store  [failover]\n"
        "  - web@a\n"
        "      - file /etc/web\n"
        "\n"
        "note: a: /etc/old was changed by hand; it is left alone\n"
        "✖ c did not answer: timed out; its changes are not in this plan\n"
        "6 to add, 3 to change, 1 to remove; interrupts: 1 failover (planned, by switchover), "
        "1 restart (one member at a time); 1 drifted (not as the last apply left it)\n"
    )


def test_diffs_stand_below_their_file_and_verbose_unfolds() -> None:
    page = shown(plan_lines(PLAN, diffs=True, verbose=True))
    below = "      ~ file /etc/store  [restart]  drift\n" + "".join(
        f"          {line}\n" for line in DIFF.splitlines()
    )
    assert below in page
    assert "  + lock@b\n      + package x\n      + file x\n      + unit x\n" in page


def test_a_plan_that_only_reloads_says_that_it_interrupts_nothing() -> None:
    plan = replace(PLAN, changes=(change("store@b", "~", "file /x", Effect.RELOAD),), notes=(), unreachable={})
    assert shown(plan_lines(plan, False)).endswith("1 to change, 0 to remove; interrupts nothing (1 reload)\n")


def test_a_destructive_change_is_said_first() -> None:
    plan = replace(PLAN, changes=(*PLAN.changes, change("lock@c", "~", "step wipe", Effect.DESTRUCTIVE)))
    assert "interrupts: destructive for 1 member, 1 failover" in shown(plan_lines(plan, False), width=200)


def test_an_empty_plan_is_one_sentence_and_never_claims_more_than_was_seen() -> None:
    empty = Plan("toy", "0123456789abcdef", ())
    assert shown(plan_lines(empty, True)) == "Nothing to change: toy is as design 0123456789ab wants it.\n"
    partly = shown(plan_lines(replace(empty, unreachable={"c": "timed out"}), True))
    assert partly.endswith("Nothing to change on the hosts that answered.\n")


def test_findings_name_cost_place_and_remedy() -> None:
    found = (Finding("losing it loses the quorum", "rack1", "use three zones"),)
    assert shown(findings_lines(found)) == ("▲ rack1: losing it loses the quorum\n  → use three zones\n\n1 finding\n")
    assert shown(findings_lines(())) == "● no weakness found in this design\n"


def test_history_ends_with_the_latest_run_and_names_one_that_was_cut_off() -> None:
    past = (
        Past("x", "2026-01-02T03:04:05.678+00:00", "apply", "0123456789abcdef", "failed: b: disk full"),
        Past("y", "2026-01-02T05:04:05.678+02:00", "switchover", "0123456789abcdef", ""),
    )
    assert shown(history_lines(past)) == (
        "begun (UTC)          verb        design        result\n"
        "2026-01-02 03:04:05  apply       0123456789ab  failed: b: disk full\n"
        "2026-01-02 03:04:05  switchover  0123456789ab  still running, or cut off\n"
    )


def test_explanation_tells_each_meaning_once() -> None:
    found = (
        Setting(("hosts", "a", "zone"), "rack1", "given", "Failure domain."),
        Setting(("hosts", "b", "zone"), "b", "default", "Failure domain."),
        Setting(("ssh", "key"), "", "default", "Key file."),
        Setting(("layers", "app", "hosts"), ["a", "b"], "given", ""),
        Setting(("drills", "allowed"), False, "default", ""),
    )
    assert shown(explain_lines(found)) == (
        "key               origin   value\n"
        "hosts.a.zone      given    rack1  # Failure domain.\n"
        "hosts.b.zone      default  b\n"
        'ssh.key           default  ""  # Key file.\n'
        "layers.app.hosts  given    [a, b]\n"
        "drills.allowed    default  false\n"
    )


@given(st.text(max_size=200), st.integers(30, 90), st.integers(0, 40))
def test_wrapping_loses_no_word_and_keeps_the_width(text: str, width: int, hang: int) -> None:
    line = Line(Text(clean(text)), hang)
    pieces = list(wrapped(line, Console(width=width), width))
    assert all(piece.cell_len <= width for piece in pieces)
    assert "".join("".join(piece.plain for piece in pieces).split()) == "".join(clean(text).split())


@given(st.text())
def test_clean_text_is_printable_and_on_one_line(text: str) -> None:
    assert all(each.isprintable() for each in clean(text))
    assert len(clean(text).splitlines()) <= 1


def test_columns_align_and_small_words() -> None:
    table = columns([[Text("a"), Text("bb")], [Text("ccc"), Text("d")]], indent=1)
    assert shown(Page(table)) == " a    bb\n ccc  d\n"
    assert counted(2, "directory") == "2 directories"
    assert listed(["a", "b", "c"], 2) == "a and 2 more"
