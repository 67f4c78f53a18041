from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509

from securemodel_operator import builders, pki
from securemodel_operator.certificates import stale_certificates
from securemodel_operator.names import Seat
from securemodel_operator.objects import key
from securemodel_operator.seen import Snapshot
from securemodel_operator.spec.parse import parse

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SM = parse(
    {
        "metadata": {"name": "digits", "namespace": "ns", "uid": "u", "generation": 1},
        "spec": {"model": {"uri": "configmap://m/k", "sha256": "0" * 64}},
    }
)


def issued_all(now: datetime = NOW) -> dict:
    ca = pki.make_ca(SM.names.authority(), now)
    secrets = [
        builders.ca_secret(SM, ca),
        builders.leaf_secret(
            SM, "share", pki.issue(ca, SM.names.share_subject(), now), ca.certificate
        ),
    ]
    secrets += [
        builders.leaf_secret(
            SM, p.name, pki.issue(ca, SM.names.seat_subject(p.seat, p.role), now), ca.certificate
        )
        for p in SM.players
    ]
    return {key(secret): secret for secret in secrets}


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
    assert (
        list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
        if hasattr(x509, "ExtendedKeyUsageOID")
        else len(list(usage)) == 1
    )


def test_good_certificates_are_left_alone() -> None:
    assert stale_certificates(SM, Snapshot(issued_all()), NOW) == []


def test_a_deleted_certificate_is_issued_again_alone() -> None:
    live = issued_all()
    del live["Secret", "digits-bob-tls"]
    assert stale_certificates(SM, Snapshot(live), NOW) == ["bob"]


def test_certificates_are_renewed_a_month_before_they_end() -> None:
    live = issued_all()
    assert stale_certificates(SM, Snapshot(live), NOW + timedelta(days=334)) == []
    assert stale_certificates(SM, Snapshot(live), NOW + timedelta(days=336)) == [
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
    assert stale_certificates(SM, Snapshot(live), NOW) == ["alice", "bob", "carol"]
