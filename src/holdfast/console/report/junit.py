"""A proof as JUnit XML, which every build server reads: one test case for each drill.

An unknown drill is an *error*, not *skipped*: build servers show skipped in green, and a drill that showed nothing
must not look like one that held. A fault that cannot be injected here is skipped: nothing was tried.
"""

from collections.abc import Iterable, Mapping

from holdfast.console.report.figures import claim, duration, healed, loss, tally, whom
from holdfast.console.xmltext import tag, xml
from holdfast.drills.record import DrillRecord, Proof, Unsupported, Verdict


def junit(proof: Proof) -> str:
    """Return the JUnit document of a proof."""
    counts = tally(proof)
    sums: dict[str, str | float] = {
        "tests": str(len(proof.drills) + len(proof.unsupported)),
        "failures": str(counts[Verdict.BROKEN]),
        "errors": str(counts[Verdict.UNKNOWN]),
        "skipped": str(len(proof.unsupported)),
        "time": f"{proof.length_s:.3f}",
    }
    cases = [_case(proof, each) for each in proof.drills] + [_skipped(proof, each) for each in proof.unsupported]
    about = _properties(_facts(proof))
    name = xml(f"holdfast {proof.suite}")
    suite = tag("testsuite", _lines([about, *cases]), name_=name, timestamp=xml(proof.begun), **sums)
    whole = tag("testsuites", _lines([suite]), name_=xml(f"drills of {proof.cluster}"), **sums)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{whole}\n'


def _facts(proof: Proof) -> Mapping[str, str]:
    return {
        "cluster": proof.cluster,
        "design": proof.digest,
        "holdfast": proof.holdfast,
        "suite": proof.suite,
        "seed": str(proof.seed),
        "machine": proof.machine,
        "claim": claim(proof),
        "repeat": proof.repeat,
        **{f"engine.{name}": version for name, version in proof.engines.items()},
    }


def _properties(facts: Mapping[str, str]) -> str:
    return tag(
        "properties", _lines(tag("property", name_=xml(key), value=xml(value)) for key, value in facts.items())
    )


def _lines(parts: Iterable[str]) -> str:
    return "\n" + "".join(f"{part}\n" for part in parts if part)


def _case(proof: Proof, drill: DrillRecord) -> str:
    said = tag("system-out", _lines(map(xml, _said(drill))))
    body = _lines([_properties({"seed": str(drill.seed), "verdict": drill.verdict.value}), _outcome(drill), said])
    return tag("testcase", body, name_=xml(drill.name), classname=_class(proof), time=f"{drill.length_s:.3f}")


def _class(proof: Proof) -> str:
    return xml(f"holdfast.{proof.cluster}.{proof.suite}")


def _outcome(drill: DrillRecord) -> str:
    if drill.verdict is Verdict.KEPT:
        return ""
    element = "failure" if drill.verdict is Verdict.BROKEN else "error"
    details = _lines(map(xml, _reasons(drill)))
    return tag(element, details, message=xml(drill.reason), type=drill.verdict.value)


def _reasons(drill: DrillRecord) -> Iterable[str]:
    for promise in drill.promises:
        if promise.verdict is drill.verdict:
            yield f"{promise.sentence}: {promise.target} was promised, {promise.measured} was measured"
    for finding in drill.findings:
        if finding.verdict is drill.verdict:
            examples = f" (for example {', '.join(finding.examples)})" if finding.examples else ""
            yield f"{finding.rule}: {finding.text}{examples}"


def _said(drill: DrillRecord) -> Iterable[str]:
    yield f"{drill.title}: {drill.reason}"
    for struck in drill.struck:
        yield f"{struck.title} ({whom(struck)}): {'; '.join(struck.evidence) or 'no evidence that it bit'}"
    for path in drill.paths:
        yield f"{path.name}: {path.acknowledged} acknowledged, longest gap {duration(path.longest_gap_s)}"
    yield f"lost: {loss(drill.paths)}; healed {healed(drill)}"
    yield f"repeat: {drill.repeat}"


def _skipped(proof: Proof, fault: Unsupported) -> str:
    body = _lines([tag("skipped", message=xml(f"not supported here: {fault.reason}"))])
    return tag("testcase", body, name_=xml(fault.name), classname=_class(proof), time="0.000")
