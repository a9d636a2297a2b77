"""The vault: generated secrets and certificates, kept 0600 beside the cluster file in ``.holdfast/``."""

import contextlib
import json
import os
import secrets
import string
import tempfile
from datetime import datetime
from pathlib import Path

from holdfast.design.design import Design
from holdfast.model.parts import Certificate, Secret
from holdfast.runner.authority import Pair, good_for, issue, new_authority

FOLDER = ".holdfast"
CA = "pki/ca"
ID = "vault/id"
CLUSTER = "vault/cluster"
_ALPHABET = string.ascii_letters + string.digits


class VaultError(Exception):
    """The vault cannot be read or does not belong to this cluster; the message says what to do."""


class Vault:
    """Values by name. Nothing is written before `save`, so that a plan leaves no trace."""

    def __init__(self, path: Path, values: dict[str, str]) -> None:
        self.path = path
        self._values = values
        self._saved = dict(values)

    @classmethod
    def beside(cls, cluster_file: Path) -> "Vault":
        """Open the vault of a cluster file; an empty one when there is none. Raises VaultError."""
        path = cluster_file.resolve().parent / FOLDER / "vault.json"
        try:
            return cls(path, json.loads(path.read_text()))
        except FileNotFoundError:
            return cls(path, {})
        except (OSError, ValueError) as error:
            raise VaultError(f"{path} cannot be read: {error}") from error

    @property
    def id(self) -> str:
        """The vault's own name, also kept on the servers: another vault must not take a cluster over."""
        return self._values.setdefault(ID, secrets.token_hex(8))

    def values_for(self, design: Design, now: datetime) -> dict[str, str]:
        """Return all values a design names; what is missing or runs out soon is made anew (in memory).

        Raises VaultError when a file of the user's own cannot be read, or the vault is another cluster's.
        """
        if self._values.setdefault(CLUSTER, design.spec.name) != design.spec.name:
            raise VaultError(
                f"{self.path} belongs to cluster {self._values[CLUSTER]}, not {design.spec.name}: "
                "keep each cluster file in a folder of its own"
            )
        for secret in design.secrets():
            self._provide_secret(secret)
        authority = self._authority(design.spec.name, now)
        for certificate in design.certificates():
            self._provide_certificate(certificate, authority, now)
        return {ID: self.id} | self._values

    def hidden(self) -> dict[str, str]:
        """Return value → name of everything that must never be printed (certificates are public)."""
        return {
            text: name
            for name, text in self._values.items()
            if not name.endswith(".crt") and name not in (ID, CLUSTER)
        }

    @property
    def changed(self) -> bool:
        """Whether there is something to save."""
        return self._values != self._saved

    def save(self) -> None:
        """Write the vault atomically, readable by its owner only."""
        if not self.changed and self.path.exists():
            return
        private_folder(self.path.parent)
        handle, name = tempfile.mkstemp(dir=self.path.parent)
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(self._values, file, indent=1, sort_keys=True)
            Path(name).replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        self._saved = dict(self._values)
        self._export_ca()

    def _export_ca(self) -> None:
        # For browsers and clients: the CA's certificate is public.
        (self.path.parent / "ca.crt").write_text(self._values[f"{CA}.crt"])

    def _provide_secret(self, secret: Secret) -> None:
        if secret.file:
            self._values[secret.name] = _read(self.path.parent.parent / secret.file)
        elif len(self._values.get(secret.name, "")) != secret.length:
            self._values[secret.name] = "".join(secrets.choice(_ALPHABET) for _ in range(secret.length))

    def _authority(self, cluster: str, now: datetime) -> Pair:
        known = self._pair(CA)
        if known is None:
            known = new_authority(cluster, now)
            self._keep(CA, known)
        return known

    def _provide_certificate(self, wanted: Certificate, authority: Pair, now: datetime) -> None:
        known = self._pair(wanted.name)
        if known is None or not good_for(known, wanted, authority, now):
            self._keep(wanted.name, issue(authority, wanted, now))

    def _pair(self, name: str) -> Pair | None:
        if f"{name}.crt" not in self._values:
            return None
        return Pair(self._values[f"{name}.crt"], self._values[f"{name}.key"])

    def _keep(self, name: str, pair: Pair) -> None:
        self._values |= {f"{name}.crt": pair.certificate, f"{name}.key": pair.key}


def private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for its owner only."""
    for each in (*reversed(path.parents), path):
        if not each.exists():
            each.mkdir(mode=0o700)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise VaultError(f"{path} cannot be read: {error}") from error
