"""Member (``postgres@a``): one component on one host, the unit of speech of every report."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """One component on one host."""

    component: str
    host: str

    @property
    def name(self) -> str:
        """The member in speech: ``postgres@a``."""
        return f"{self.component}@{self.host}"
