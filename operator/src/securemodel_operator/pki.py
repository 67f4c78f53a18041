"""Certificates of one SecureModel: its CA's, one a player, one for the share step.

Their form: docs/wire.md, Certificates. Pure but for the randomness of keys: the clock is an
argument. `python -m securemodel_operator.pki --out DIR` writes a set for three players on one
machine.
"""

from __future__ import annotations

import argparse
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .names import ROLES, SHARE, Names, Seat, Subject

VALIDITY = timedelta(days=365)
# a node's clock may be a little behind ours
BACKDATE = timedelta(minutes=5)
# a certificate with less left is issued anew
RENEWAL = timedelta(days=30)
# what cryptography raises for text that is no certificate or no key
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound)


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A certificate and its key, PEM."""

    certificate: str
    key: str


def make_ca(common_name: str, now: datetime) -> Issued:
    """A CA that signs nothing but one SecureModel's certificates."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())

    builder = _builder(name, name, key, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(ca=True), critical=True)
    builder = builder.add_extension(identifier, critical=False)
    return _pem(builder.sign(key, hashes.SHA256()), key)


def issue(ca: Issued, subject: Subject, now: datetime) -> Issued:
    """A certificate with a new key, for a server and client, or for a client alone.

    Raises:
        ValueError, TypeError: the CA is not one that `ca_problem` finds good.
    """
    ca_certificate = x509.load_pem_x509_certificate(ca.certificate.encode())
    ca_key = serialization.load_pem_private_key(ca.key.encode(), password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError("the CA key is not an elliptic-curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())

    builder = _builder(_name(subject.common_name), ca_certificate.subject, key, now)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(ca=False), True),
        (x509.SubjectAlternativeName(_alternative_names(subject)), False),
        (x509.ExtendedKeyUsage(_usages(subject)), False),
        (issuer, False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return _pem(builder.sign(ca_key, hashes.SHA256()), key)


def ca_problem(ca: Issued, now: datetime) -> str | None:
    """Why this CA cannot go on issuing; None if it can."""
    try:
        certificate = x509.load_pem_x509_certificate(ca.certificate.encode())
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        key = serialization.load_pem_private_key(ca.key.encode(), password=None)
    except _UNREADABLE:
        return "is not readable"
    if not constraints.ca or key.public_key() != certificate.public_key():
        return "is not a CA with its key"
    return _age_problem(certificate, now)


def problem(issued: Issued, ca: Issued, subject: Subject, now: datetime) -> str | None:
    """Why a certificate must be issued anew; None if it is as `issue` makes it and lasts."""
    if not issued_by(issued.certificate, ca.certificate):
        return "is not issued by the CA"
    try:
        certificate = x509.load_pem_x509_certificate(issued.certificate.encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        key = serialization.load_pem_private_key(issued.key.encode(), password=None)
    except _UNREADABLE:
        return "is not readable"
    if key.public_key() != certificate.public_key():
        return "does not belong to its key"
    if list(names) != _alternative_names(subject):
        return "was issued for other names"
    return _age_problem(certificate, now)


def _age_problem(certificate: x509.Certificate, now: datetime) -> str | None:
    if certificate.not_valid_before_utc > now:
        return "is not valid yet"
    if certificate.not_valid_after_utc < now + RENEWAL:
        return "expires soon"
    return None


def _alternative_names(subject: Subject) -> list[x509.GeneralName]:
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in subject.addresses]
    hosts = [x509.DNSName(host) for host in subject.hosts]
    return [x509.UniformResourceIdentifier(subject.uri), *hosts, *addresses]


def _usages(subject: Subject) -> list[x509.ObjectIdentifier]:
    serves = [ExtendedKeyUsageOID.SERVER_AUTH] if subject.hosts else []
    return [*serves, ExtendedKeyUsageOID.CLIENT_AUTH]


def issued_by(certificate: str, ca_certificate: str) -> bool:
    """Whether the CA signed this PEM certificate; False for anything that is not a certificate."""
    try:
        leaf = x509.load_pem_x509_certificate(certificate.encode())
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(ca_certificate.encode()))
    except Exception:  # noqa: BLE001 - cryptography raises many kinds here, and all mean no
        return False
    return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - BACKDATE).not_valid_after(now + VALIDITY)


def _name(common_name: str) -> x509.Name:
    """X.520 allows 64 characters; nothing reads it."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[-64:])])


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Issued:
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return Issued(certificate=certificate.public_bytes(pem).decode(), key=private.decode())


def main(argv: list[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    names, now = Names(namespace=args.namespace, model=args.model), datetime.now(UTC)
    players = zip(args.players.split(","), ROLES, strict=True)
    subjects = {player: names.seat_subject(Seat(player), role) for player, role in players}
    subjects[SHARE] = names.share_subject()

    ca = make_ca(names.authority(), now)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "ca.crt").write_text(ca.certificate)
    for holder, subject in subjects.items():
        _write(args.out / holder, issue(ca, subject, now), ca.certificate)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m securemodel_operator.pki",
        description="Certificates for three players and a share step on one machine.",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write; a subfolder a player, and share"
    )
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--model", default="digits")
    parser.add_argument(
        "--players",
        default=",".join(ROLES),
        help="three names, in the order of the roles alice, bob, carol",
    )
    return parser


def _write(folder: Path, issued: Issued, ca: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "ca.crt").write_text(ca)
    (folder / "tls.crt").write_text(issued.certificate)
    (folder / "tls.key").touch(mode=0o600)
    (folder / "tls.key").write_text(issued.key)


if __name__ == "__main__":
    main()
