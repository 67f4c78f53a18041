"""Reasons and protocols: each part's own list against contract/."""

from __future__ import annotations

import re

import yaml

from securemodel_operator import reasons
from securemodel_operator.spec.protocols import PROTOCOLS
from securemodel_share import shares
from securemodel_share.errors import Reason
from words import ROOT, contents

REASONS = contents("reasons.json")
SAYERS = {"operator", "share", "player"}
CODE = ROOT / "operator/src/securemodel_operator"


def said_by(who: str) -> list[str]:
    return sorted(row["word"] for row in REASONS if who in row["said_by"])


def test_the_operator_knows_every_reason_as_the_contract_has_it() -> None:
    known = [
        {"word": r.value, "condition": r.condition.value, "outlook": r.outlook.value}
        for r in reasons.Reason
    ]
    listed = [{k: v for k, v in row.items() if k != "said_by"} for row in REASONS]
    assert listed == known


def test_every_reason_is_said_by_somebody() -> None:
    assert [row["word"] for row in REASONS if not row["said_by"]] == []
    assert {who for row in REASONS for who in row["said_by"]} == SAYERS


def test_the_operator_says_the_reasons_that_the_contract_has_for_it() -> None:
    code = "".join(path.read_text() for path in CODE.rglob("*.py") if path.name != "reasons.py")
    said = {reasons.Reason[name].value for name in re.findall(r"\bReason\.([A-Z_]+)\b", code)}
    assert sorted(said) == said_by("operator")


def test_the_share_step_says_the_reasons_that_the_contract_has_for_it() -> None:
    assert sorted(Reason) == said_by("share")


def test_the_protocols_are_those_of_the_contract_and_so_is_the_default() -> None:
    contract = contents("protocols.json")
    assert contract["protocols"][0] == contract["default"]
    assert list(PROTOCOLS) == contract["protocols"]
    assert list(shares.PROTOCOLS) == contract["protocols"]


def test_the_crd_offers_the_protocols_of_the_contract() -> None:
    crd = yaml.safe_load((ROOT / "crds/securemodels.securemodel.dev.yaml").read_text())
    version = crd["spec"]["versions"][0]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    field = spec["properties"]["protocol"]
    contract = contents("protocols.json")
    assert (field["enum"], field["default"]) == (contract["protocols"], contract["default"])
