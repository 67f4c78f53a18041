"""Which certificates a SecureModel has, and which must be issued anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from . import names, pki
from .objects import secret_values
from .seen import Snapshot
from .spec.model import SecureModel


@dataclass(frozen=True)
class Certificates:
    """The certificates in use: the CA's and each holder's (players, share), PEM."""

    ca: str
    leaves: dict[str, str]


def stale_certificates(sm: SecureModel, snapshot: Snapshot, now: datetime) -> list[str]:
    """Holders whose certificate is missing, broken, of another CA or about to end.

    They are "ca", players' names and "share". A new CA makes all others stale.
    """

    def values(name: str) -> dict[str, str]:
        return secret_values(snapshot.live.get(("Secret", name)))

    def issued(own: dict[str, str]) -> pki.Issued:
        return pki.Issued(certificate=own.get("tls.crt", ""), key=own.get("tls.key", ""))

    ca = issued(values(sm.names.ca_secret()))
    if pki.ca_problem(ca, now):
        return ["ca", *subjects(sm)]
    stale = []
    for holder, subject in subjects(sm).items():
        own = values(sm.names.tls_secret(holder))
        problem = pki.problem(issued(own), ca, subject, now)
        if problem or own.get("ca.crt") != ca.certificate:
            stale.append(holder)
    return stale


def subjects(sm: SecureModel) -> dict[str, names.Subject]:
    """Whom certificates are issued to, by holder: the players' names, and share."""
    players = {
        player.name: sm.names.seat_subject(player.seat, player.role) for player in sm.players
    }
    return players | {names.SHARE: sm.names.share_subject()}
