"""Reports of drills: the same figures in every form, nothing hostile gets through, nothing is fetched."""

import json
import re
from dataclasses import replace
from io import StringIO
from types import MappingProxyType
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from holdfast.console.report import html, junit, markdown, matrix, summary
from holdfast.console.report.figures import amount, claim, duration, headline, loss, worst_promises
from holdfast.drills.record import DrillRecord, Finding, Proof, Verdict
from holdfast.drills.record_json import RecordError, as_json, from_json, record_as_json, record_from_json
from proofs import EMPTY, PROOFS, failed_vip, kept, nasty, power_off, proof, split, vacuous


def printed(what: RenderableType, width: int = 100) -> str:
    out = StringIO()
    Console(file=out, width=width, force_terminal=False, color_system=None).print(what)
    return out.getvalue()


def every_form(whole: Proof) -> dict[str, str]:
    terminal = [printed(summary(each)) for each in whole.drills] + [printed(matrix(whole))]
    return {
        "html": html(whole),
        "markdown": markdown(whole),
        "junit": junit(whole),
        "terminal": "".join(terminal),
    }


# JSON


DRILLS = st.builds(DrillRecord, phases_s=st.dictionaries(st.text(), st.floats(), max_size=2))


@settings(max_examples=40, deadline=None)
@given(DRILLS)
def test_a_drill_comes_back_from_json_as_it_was(drill: DrillRecord) -> None:
    assume("nan" not in repr(drill))  # which is not equal to itself
    assert record_from_json(json.loads(json.dumps(record_as_json(drill)))) == drill


def test_any_mapping_is_written() -> None:
    drill = replace(power_off(), phases_s=MappingProxyType({"detect": 1.5}))
    assert record_as_json(drill)["phases_s"] == {"detect": 1.5}


@pytest.mark.parametrize("name", ["mixed", "kept", "empty"])
def test_a_proof_comes_back_from_json_as_it_was(name: str) -> None:
    data = json.loads(json.dumps(as_json(PROOFS[name])))
    assert data["schema_version"] == 1
    assert from_json(data) == PROOFS[name]


def test_json_of_another_version_is_refused() -> None:
    with pytest.raises(RecordError, match="schema_version is 2"):
        from_json(as_json(proof()) | {"schema_version": 2})


def test_json_that_is_no_proof_is_refused_with_the_path() -> None:
    data = as_json(proof())
    data["drills"][1]["paths"][0]["acknowledged"] = "many"
    with pytest.raises(RecordError, match=r"drills\.1\.paths\.0\.acknowledged: Input should be a valid integer"):
        from_json(data)


def test_what_later_versions_add_is_passed_over() -> None:
    assert from_json(as_json(proof()) | {"weather": "rain"}) == proof()


# What is said


def test_verdicts_and_counts() -> None:
    assert headline(kept()) == "Every promise was kept in 2 drills"
    assert headline(proof()) == "1 broken, 1 unknown, 2 kept, of 4 drills"
    assert headline(EMPTY) == "No drill was run"
    assert claim(kept()) == "no violation in 2 drills, 67,210 acknowledged writes, 2 faults, seed 42"
    # A fault that did not bite is none; broken promises, broken rules and violated invariants are all violations.
    assert claim(proof()) == "5 violations in 4 drills, 134,420 acknowledged writes, 4 faults, seed 42"


def test_a_drill_that_broke_without_a_rule_is_not_called_free_of_violations() -> None:
    ill = replace(power_off(), verdict=Verdict.BROKEN, reason="not healthy after 300 s")
    assert claim(replace(proof(), drills=(ill,))).startswith("1 broken drill in 1 drill, ")


def test_loss_is_told_with_its_path_and_never_guessed() -> None:
    assert loss(power_off().paths) == "0"
    assert loss(split().paths) == "3 (write order)"
    assert loss(vacuous().paths) == "0 (write order not read back)"
    assert loss(power_off().paths[:1]) == "–"


def test_the_worst_of_each_promise() -> None:
    back, lost, whole = worst_promises(proof().drills)
    assert (back.promise.measured, back.drill, back.drills) == ("38.1 s", split().title, 4)
    assert (lost.promise.measured, lost.promise.verdict) == ("3 lost of 14,125", Verdict.BROKEN)
    assert whole.promise.verdict is Verdict.KEPT
    assert worst_promises((failed_vip(), power_off()))[0].promise.measured == "21.4 s"


@pytest.mark.parametrize(
    ("words", "value"), [("830 ms", 0.83), ("21.4 s", 21.4), ("2 min", 120), ("1,204 lost", 1204), ("none", -1)]
)
def test_amounts_in_words(words: str, value: float) -> None:
    assert amount(words) == pytest.approx(value)


@pytest.mark.parametrize(
    ("value_s", "words"), [(None, "–"), (0.0123, "13 ms"), (21.36, "21.4 s"), (120, "2 min"), (725.1, "12 min 6 s")]
)
def test_durations_are_rounded_to_the_worse_side(value_s: float | None, words: str) -> None:
    assert duration(value_s) == words


@pytest.mark.parametrize("name", PROOFS)
def test_no_report_claims_more_than_counts(name: str) -> None:
    for form, text in every_form(PROOFS[name]).items():
        assert not re.search(r"\bprov(ed|en|es)\b", text, re.IGNORECASE), form


@pytest.mark.parametrize("form", ["html", "markdown", "junit", "terminal"])
def test_every_form_tells_the_figures_of_every_drill(form: str) -> None:
    text = every_form(proof())[form]
    for drill in proof().drills:
        assert drill.repeat in text
        assert drill.title[:40] in text
        assert drill.reason in text.replace("\\", "") or drill.reason.capitalize() in text
        assert all(duration(path.longest_gap_s) in text for path in drill.paths)
    assert claim(proof()) in text


@pytest.mark.parametrize("form", ["html", "markdown", "junit"])
def test_a_report_carries_what_it_was_made_with(form: str) -> None:
    text = every_form(proof())[form]
    for words in (proof().digest, "0.3.0", "17.6", "seed", "42", proof().machine, proof().repeat):
        assert words in text
    for fault in proof().unsupported:
        assert fault.reason in text


# Markdown


def tables(text: str) -> list[list[str]]:
    blocks = (block.splitlines() for block in text.split("\n\n"))
    return [block for block in blocks if block and block[0].startswith("|")]


@pytest.mark.parametrize("name", ["mixed", "nasty"])
def test_tables_of_markdown_are_aligned(name: str) -> None:
    found = tables(markdown(PROOFS[name]))
    assert len(found) > 6
    for table in found:
        assert len({len(line) for line in table}) == 1
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
        assert len(columns) == 1
        assert re.fullmatch(r"\|( -+:? \|)+", table[1])


def test_hostile_words_stay_words_in_markdown() -> None:
    prose = re.sub(r"^(`{3,})sh\n.*\n\1$", "", markdown(nasty()), flags=re.MULTILINE)
    assert not re.search(r"(?<!\\)<", prose)
    assert not re.search(r"(?<!\\)\[", prose)
    assert "\x1b" not in prose


# JUnit


def test_junit_has_a_case_for_every_drill() -> None:
    root = ElementTree.fromstring(junit(proof()))
    suite = root[0]
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6",
        "failures": "1",
        "errors": "1",
        "skipped": "2",
    }
    cases = {each.get("name"): each for each in suite.iter("testcase")}
    assert len(cases) == 6
    assert [each.tag for each in cases["power-off@leader"]] == ["properties", "system-out"]
    failure = cases["isolate@leader+clients"].find("failure")
    assert failure is not None
    assert failure.get("message") == split().reason
    assert "lost: 3 of 14,125 acknowledged writes are gone (for example s4:118, s4:119, s4:120)" in (
        failure.text or ""
    )
    assert cases["slow-disk@leader"].find("error") is not None
    assert cases["clock-jump"].find("skipped") is not None
    properties = {each.get("name"): each.get("value") for each in suite.findall("properties/property")}
    assert properties["design"] == proof().digest
    assert (properties["seed"], properties["engine.etcd"]) == ("42", "3.5.16")


@pytest.mark.parametrize("name", PROOFS)
def test_junit_is_well_formed(name: str) -> None:
    root = ElementTree.fromstring(junit(PROOFS[name]).encode())
    assert len(list(root.iter("testcase"))) == len(PROOFS[name].drills) + len(PROOFS[name].unsupported)


# The terminal


@pytest.mark.parametrize("drill", [power_off(), split(), vacuous(), failed_vip()], ids=lambda each: each.name)
def test_a_summary_is_short(drill: DrillRecord) -> None:
    lines = printed(summary(drill)).splitlines()
    assert len(lines) <= 14
    assert drill.verdict.value.upper() in lines[0]
    assert drill.repeat in lines[-1]


def test_a_summary_of_a_drill_with_much_to_tell_is_short_too() -> None:
    drill = split()
    rich = replace(drill, struck=drill.struck * 5, paths=drill.paths * 3, findings=drill.findings * 4)
    assert len(printed(summary(rich)).splitlines()) <= 14


def test_a_summary_tells_what_was_lost_and_what_broke() -> None:
    text = printed(summary(split()))
    assert "acknowledged writes lost: 3 (write order)" in text
    assert "lost: 3 of 14,125 acknowledged writes are gone (and 1 more rule broken)" in text
    assert "healed by hand: holdfast reinit b" in text
    assert "1 of 3 promises kept: writes come back: promised within 30 s, measured 38.1 s" in text


def test_a_summary_says_how_large_an_allowed_loss_was() -> None:
    text = "5 of 485 acknowledged keys are gone, the latest 1.645 s after one had begun (allowed: 3.5 s)."
    found = (Finding("cache: cache lost", Verdict.KEPT, text),)
    drill = replace(split(), findings=found)
    assert f"allowed: {text}" in printed(summary(drill), 140)
    assert text not in printed(summary(replace(power_off(), findings=found)), 140)


def test_the_matrix_has_a_line_for_every_drill() -> None:
    lines = printed(matrix(proof()), 140).splitlines()
    assert lines[0].split("  ")[0] == "drill"
    assert [each.split()[-1] for each in (lines[1], lines[4])] == ["0", "0"]
    assert "✖ broken" in lines[2]
    assert "38.1 s" in lines[2]


def test_hostile_words_do_not_steer_a_terminal() -> None:
    for what in (*map(summary, nasty().drills), matrix(nasty())):
        assert "\x1b" not in printed(what)
