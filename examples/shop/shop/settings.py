"""What the shop takes from its environment."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(Exception):
    """A variable of the environment is missing or unusable; the message names it, never its value."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to listen and what to talk to. The addresses carry passwords: repr leaves them out."""

    host: str
    port: int
    database_url: str
    replica_url: str
    cache_url: str | None
    checkout_budget_s: float
    drain_s: float
    hostname: str

    def __repr__(self) -> str:
        return f"Settings(host={self.host!r}, port={self.port}, hostname={self.hostname!r})"


def settings_from(environ: Mapping[str, str]) -> Settings:
    """Read the settings; raises SettingsError when one is missing or out of range."""
    database_url = environ.get("DATABASE_URL")
    if not database_url:
        raise SettingsError("DATABASE_URL is not set: the address of the database's leader")
    return Settings(
        host=environ.get("HOST") or "127.0.0.1",
        port=int(_number(environ, "PORT", 8000, low=1, high=65535)),
        database_url=database_url,
        replica_url=environ.get("DATABASE_REPLICA_URL") or database_url,
        cache_url=environ.get("CACHE_URL") or None,
        checkout_budget_s=_number(environ, "CHECKOUT_BUDGET_S", 8, low=0.5, high=120),
        drain_s=_number(environ, "DRAIN_S", 0.5, low=0, high=3),
        hostname=socket.gethostname(),
    )


def _number(environ: Mapping[str, str], name: str, default: float, *, low: float, high: float) -> float:
    text = environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(f"{name} is not a number") from None
    if not low <= value <= high:
        raise SettingsError(f"{name} must be between {low:g} and {high:g}")
    return value
