"""Experiments of Chaos Toolkit as values: what they hold, and the errors of those that are none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ExperimentError(ValueError):
    """An experiment that cannot be read or must not be run: the path of the key, and what is wrong there."""


class Role(StrEnum):
    """What an activity is for: a probe looks, an action changes something."""

    PROBE = "probe"
    ACTION = "action"


@dataclass(frozen=True, slots=True)
class Process:
    """A program to start: ``argv`` is its path and arguments. ``timeout_s``: None waits as long as it takes."""

    argv: tuple[str, ...]
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Http:
    """A request to make; ``body`` is sent as JSON with methods that have one."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Python:
    """A function to call; read only where code of others was allowed."""

    module: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


Provider = Process | Http | Python


@dataclass(frozen=True, slots=True)
class Activity:
    """One step: a probe or an action. ``tolerance`` is the JSON of the experiment; ``tolerated`` says if it has one.

    ``before_s`` and ``after_s``: pauses. ``background``: the next step does not wait for it.
    """

    role: Role
    name: str
    provider: Provider
    tolerance: Any = None
    tolerated: bool = False
    background: bool = False
    before_s: float = 0.0
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The steady state: every probe must stay within its tolerance, before and after."""

    title: str
    probes: tuple[Activity, ...]


@dataclass(frozen=True, slots=True)
class Experiment:
    """A whole experiment. ``source``: the JSON it was read from, as a journal must repeat it."""

    title: str
    description: str
    method: tuple[Activity, ...]
    hypothesis: Hypothesis | None = None
    rollbacks: tuple[Activity, ...] = ()
    tags: tuple[str, ...] = ()
    source: Mapping[str, Any] = field(default_factory=dict)
