from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from securemodel_operator import pki
from securemodel_operator.certificates import renewed
from securemodel_operator.children import children
from securemodel_operator.children.child import Materials
from securemodel_operator.names import Seat
from securemodel_operator.settings import Settings
from securemodel_operator.spec.parse import parse

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SM = parse(
    {
        "metadata": {"name": "digits", "namespace": "ns", "uid": "u", "generation": 1},
        "spec": {"model": {"uri": "configmap://m/k", "sha256": "0" * 64}},
    }
)


SETTINGS = Settings(player_image="player:1", share_image="share:1")


def issued_all(now: datetime = NOW) -> dict:
    materials = Materials(settings=SETTINGS, certificates=renewed(SM, {}, now), digest=None)
    found = [child for child in children(SM) if child.kind == "Secret"]
    return {child.key: child.manifest(SM, materials, None) for child in found}


def test_a_players_certificate_says_who_it_is_and_where() -> None:
    ca = pki.make_ca(SM.names.authority(), NOW)
    certificate = x509.load_pem_x509_certificate(
        pki.issue(ca, SM.names.seat_subject(Seat("p1"), "bob"), NOW).certificate.encode()
    )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "securemodel://ns/digits/bob"
    ]
    assert "digits-p1-0.digits.ns.svc" in names.get_values_for_type(x509.DNSName)
    assert "digits-p1.ns.svc.cluster.local" in names.get_values_for_type(x509.DNSName)


def test_the_share_certificate_cannot_serve() -> None:
    ca = pki.make_ca(SM.names.authority(), NOW)
    certificate = x509.load_pem_x509_certificate(
        pki.issue(ca, SM.names.share_subject(), NOW).certificate.encode()
    )
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_good_certificates_are_left_alone() -> None:
    assert list(renewed(SM, issued_all(), NOW).issued) == []


def test_a_deleted_certificate_is_issued_again_alone() -> None:
    live = issued_all()
    del live["Secret", "digits-bob-tls"]
    assert list(renewed(SM, live, NOW).issued) == ["bob"]


def test_certificates_are_renewed_a_month_before_they_end() -> None:
    live = issued_all()
    assert list(renewed(SM, live, NOW + timedelta(days=334)).issued) == []
    assert list(renewed(SM, live, NOW + timedelta(days=336)).issued) == [
        "ca",
        "alice",
        "bob",
        "carol",
        "share",
    ]


def test_another_cas_certificate_and_garbage_are_stale() -> None:
    live = issued_all()
    live["Secret", "digits-carol-tls"] = issued_all()["Secret", "digits-carol-tls"]
    live["Secret", "digits-alice-tls"]["data"]["tls.crt"] = base64.b64encode(b"garbage").decode()
    live["Secret", "digits-bob-tls"]["data"]["tls.crt"] = "%%%"
    assert list(renewed(SM, live, NOW).issued) == ["alice", "bob", "carol"]
