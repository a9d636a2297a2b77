"""Chaos Toolkit's open formats: our drills as experiments and journals, and experiments of others read and run."""

from holdfast.drills.chaos.export import experiment_for, experiment_of, journal_of
from holdfast.drills.chaos.reading import read_experiment
from holdfast.drills.chaos.running import Hands, run_experiment
from holdfast.drills.chaos.values import (
    Activity,
    Experiment,
    ExperimentError,
    Http,
    Hypothesis,
    Process,
    Python,
    Role,
)
from holdfast.drills.chaos.world import real_hands
from holdfast.drills.chaos.writing import experiment_as_json

__all__ = [
    "Activity",
    "Experiment",
    "ExperimentError",
    "Hands",
    "Http",
    "Hypothesis",
    "Process",
    "Python",
    "Role",
    "experiment_as_json",
    "experiment_for",
    "experiment_of",
    "journal_of",
    "read_experiment",
    "real_hands",
    "run_experiment",
]
