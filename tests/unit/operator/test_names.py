from __future__ import annotations

from securemodel_operator.names import Names, Seat

NAMES = Names(namespace="ns", model="digits")


def test_a_players_first_seat_has_the_names_that_its_stateful_set_gives() -> None:
    seat = Seat("bob")
    assert NAMES.pod(seat) == "digits-bob-0"
    assert NAMES.claim(seat) == "data-digits-bob-0"
    assert NAMES.seat_host(seat) == "digits-bob-0.digits.ns.svc"


def test_a_replica_has_a_pod_a_claim_and_a_host_of_its_own_and_the_players_service() -> None:
    seat = Seat("bob", 2)
    assert NAMES.pod(seat) == "digits-bob-2"
    assert NAMES.claim(seat) == "data-digits-bob-2"
    assert NAMES.seat_subject(seat, "bob").hosts == (
        "digits-bob-2.digits.ns.svc",
        "digits-bob-2.digits.ns.svc.cluster.local",
        "digits-bob.ns.svc",
        "digits-bob.ns.svc.cluster.local",
        "localhost",
    )


def test_a_certificate_says_the_role_and_the_share_steps_names_no_host() -> None:
    assert NAMES.seat_subject(Seat("p2"), "bob").uri == "securemodel://ns/digits/bob"
    share = NAMES.share_subject()
    assert (share.uri, share.hosts, share.addresses) == ("securemodel://ns/digits/share", (), ())
