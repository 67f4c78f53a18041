"""The certificates of a SecureModel: as they are stored, and issued anew where that is due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from . import names, pki
from .objects import Key, Object, secret_values
from .pki import Issued
from .spec.model import SecureModel


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """The CA's, and one a holder: the players by name, and share. `issued`: which are new."""

    ca: Issued
    leaves: dict[str, Issued]
    issued: tuple[str, ...] = ()


def subjects(sm: SecureModel) -> dict[str, names.Subject]:
    """Whom certificates are issued to, by holder."""
    players = {player.name: sm.names.seat_subject(player.seat, player.role) for player in sm.hosted}
    return players | {names.SHARE: sm.names.share_subject()}


def renewed(sm: SecureModel, live: Mapping[Key, Object], now: datetime) -> Certificates:
    """The stored certificates; those that are missing, broken or about to end are issued anew."""
    ca, issued = _stored(live, sm.names.ca_secret()), []
    if pki.ca_problem(ca, now):
        ca = pki.make_ca(sm.names.authority(), now)
        issued.append("ca")

    leaves = {}
    for holder, subject in subjects(sm).items():
        name = sm.names.tls_secret(holder)
        leaves[holder] = _stored(live, name)
        of_another_ca = _values(live, name).get("ca.crt") != ca.certificate
        if of_another_ca or pki.problem(leaves[holder], ca, subject, now):
            leaves[holder] = pki.issue(ca, subject, now)
            issued.append(holder)
    return Certificates(ca=ca, leaves=leaves, issued=tuple(issued))


def _stored(live: Mapping[Key, Object], name: str) -> Issued:
    """Empty where there is nothing: that is no certificate."""
    values = _values(live, name)
    return Issued(certificate=values.get("tls.crt", ""), key=values.get("tls.key", ""))


def _values(live: Mapping[Key, Object], name: str) -> dict[str, str]:
    return secret_values(live.get(("Secret", name)))
