"""Reading an experiment of Chaos Toolkit: every fault is told with the path of its key."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from holdfast.drills.chaos.tolerance import check_tolerance
from holdfast.drills.chaos.values import (
    Activity,
    Experiment,
    ExperimentError,
    Http,
    Hypothesis,
    Process,
    Provider,
    Python,
    Role,
)

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_KINDS: Mapping[type, str] = {str: "text", dict: "an object", list: "a list", bool: "true or false"}
_FOREVER_S = 1e9
# They would change what runs, in ways we do not follow: better refused than half obeyed.
_UNREAD = ("controls", "secrets", "configuration")


@dataclass(frozen=True, slots=True)
class _At:
    """A value of the experiment, and the path that leads there."""

    value: Any
    path: str = ""

    def fail(self, words: str) -> NoReturn:
        """Raise the error of this place."""
        raise ExperimentError(f"{self.path or 'the experiment'}: {words}")

    def has(self, key: str) -> bool:
        """Return whether there is a key here."""
        return key in self.value

    def get(self, key: str) -> "_At":
        """Return what lies below a key, None when nothing does."""
        return _At(self.value.get(key), f"{self.path}.{key}" if self.path else key)

    def must(self, key: str) -> "_At":
        """Return what lies below a key that must be there."""
        return self.get(key) if self.has(key) else self.get(key).fail("is missing")

    def be(self, kind: type) -> "_At":
        """Return this place, whose value must be of a kind."""
        return self if isinstance(self.value, kind) else self.fail(f"must be {_KINDS[kind]}, not {self.value!r}")

    def text(self) -> str:
        """Return the text here, which must not be empty."""
        words: str = self.be(str).value
        return words if words.strip() else self.fail("must not be empty")

    def seconds(self) -> float:
        """Return the seconds here: a number that is not negative."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _FOREVER_S:
            self.fail(f"must be a number of seconds, not {value!r}")
        return float(value)

    def items(self) -> Iterator["_At"]:
        """Yield the elements of the list here."""
        for index, value in enumerate(self.be(list).value):
            yield _At(value, f"{self.path}[{index}]")


def read_experiment(data: Mapping[str, Any], allow_code: bool = False) -> Experiment:
    """Return the experiment that JSON data hold.

    Providers ``process`` and ``http`` are read; ``python`` runs code of others and is refused unless
    ``allow_code``. Raises ExperimentError with the path of the first wrong key.
    """
    top = _At(data).be(dict)
    for key in _UNREAD:
        if data.get(key):
            top.get(key).fail("is not supported here")
    known = _References(allow_code)
    title, description = top.must("title").text(), top.must("description").text()
    hypothesis = known.hypothesis(top.get("steady-state-hypothesis"))
    method = known.activities(top.must("method"))
    rollbacks = known.activities(top.get("rollbacks")) if top.has("rollbacks") else ()
    tags = tuple(each.text() for each in top.get("tags").items()) if top.has("tags") else ()
    return Experiment(title, description, method, hypothesis, rollbacks, tags, data)


class _References:
    """The activities read so far, for those that only refer to one by its name."""

    def __init__(self, allow_code: bool) -> None:
        self._allow_code = allow_code
        self._named: dict[str, Activity] = {}

    def hypothesis(self, at: _At) -> Hypothesis | None:
        if at.value is None:
            return None
        at.be(dict)
        probes = self.activities(at.must("probes"))
        for each, found in zip(at.get("probes").items(), probes, strict=True):
            if found.role is not Role.PROBE:
                each.fail("must be a probe: a steady state is looked at, not changed")
            if not found.tolerated:
                each.get("tolerance").fail("is missing: without it nothing could deviate")
        return Hypothesis(at.must("title").text(), probes)

    def activities(self, at: _At) -> tuple[Activity, ...]:
        return tuple(self._activity(each) for each in at.items())

    def _activity(self, at: _At) -> Activity:
        at.be(dict)
        if at.has("ref"):
            name = at.get("ref").text()
            return self._named.get(name) or at.get("ref").fail(f"no activity before it is named {name!r}")
        found = _activity(at, self._allow_code)
        self._named[found.name] = found
        return found


def _activity(at: _At, allow_code: bool) -> Activity:
    kind = at.must("type").text()
    if kind not in tuple(Role):
        at.get("type").fail(f"must be probe or action, not {kind!r}")
    if at.has("controls"):
        at.get("controls").fail("is not supported here")
    if at.has("tolerance"):
        check_tolerance(at.get("tolerance").value, at.get("tolerance").path, _inner)
    before_s, after_s = _pauses(at.get("pauses"))
    return Activity(
        role=Role(kind),
        name=at.must("name").text(),
        provider=_provider(at.must("provider").be(dict), allow_code),
        tolerance=at.get("tolerance").value,
        tolerated=at.has("tolerance"),
        background=bool(at.get("background").be(bool).value) if at.has("background") else False,
        before_s=before_s,
        after_s=after_s,
    )


def _inner(data: Any, path: str) -> None:
    """Check a probe that is a tolerance: it may have no name, and code is refused there in any case."""
    _activity(_At({"name": "tolerance"} | data, path), False)


def _pauses(at: _At) -> tuple[float, float]:
    if at.value is None:
        return 0.0, 0.0
    at.be(dict)
    before_s, after_s = (at.get(key).seconds() if at.has(key) else 0.0 for key in ("before", "after"))
    return before_s, after_s


def _provider(at: _At, allow_code: bool) -> Provider:
    kind = at.must("type").text()
    if kind == "process":
        return Process((at.must("path").text(), *_arguments(at.get("arguments"))), _timeout(at))
    if kind == "http":
        return _http(at)
    if kind != "python":
        at.get("type").fail(f"must be process, http or python, not {kind!r}")
    if not allow_code:
        at.get("type").fail("python runs code of others on this computer: refused unless that is allowed")
    arguments = at.get("arguments").be(dict).value if at.has("arguments") else {}
    return Python(at.must("module").text(), at.must("func").text(), arguments)


def _http(at: _At) -> Http:
    url = at.must("url").text()
    if not url.startswith(("http://", "https://")):
        at.get("url").fail(f"must begin with http:// or https://, not {url!r}")
    method = at.get("method").text().upper() if at.has("method") else "GET"
    if method not in _METHODS:
        at.get("method").fail(f"must be one of {', '.join(_METHODS)}, not {method!r}")
    headers = at.get("headers").be(dict).value if at.has("headers") else {}
    texts = {key: _At(value, f"{at.path}.headers.{key}").be(str).value for key, value in headers.items()}
    return Http(url, method, texts, at.get("arguments").value, _timeout(at))


def _timeout(at: _At) -> float | None:
    found = at.get("timeout").value
    # The format allows two numbers for http: to connect, and to read.
    if isinstance(found, list) and found:
        return max(_At(each, at.get("timeout").path).seconds() for each in found)
    return None if found is None else at.get("timeout").seconds()


def _arguments(at: _At) -> Sequence[str]:
    """Return the arguments of a process: of a list its words; of an object names with their values.

    One text is refused: to part it into words is to guess.
    """
    if at.value is None:
        return ()
    if isinstance(at.value, dict):
        return [_word(_At(part, f"{at.path}.{key}")) for key, value in at.value.items() for part in (key, value)]
    if isinstance(at.value, list):
        return [_word(each) for each in at.items()]
    return at.fail("must be a list of words or an object, so that nothing has to be guessed about spaces")


def _word(at: _At) -> str:
    if isinstance(at.value, bool) or not isinstance(at.value, str | int | float):
        at.fail(f"must be text or a number, not {at.value!r}")
    return str(at.value)
