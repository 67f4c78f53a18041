"""The functions that clients apply, against contract/functions.json."""

from __future__ import annotations

from securemodel.functions import WORDS
from words import contents, table

LISTED = contents("functions.json")


def test_the_client_has_the_functions_of_the_contract() -> None:
    known = [{"function": word, "takes": list(row.takes)} for word, row in WORDS.items()]
    assert known == LISTED


def test_users_are_told_of_every_function() -> None:
    told = [
        {"function": word.strip("`"), "takes": [key.strip("`") for key in takes.split(", ") if key]}
        for word, takes, _ in table("client.md", "function | takes")
    ]
    assert told == LISTED
