"""The functions that clients apply, against contract/functions.json."""

from __future__ import annotations

from securemodel.functions import WORDS
from securemodel_share.layers.functions import NAMED, OF_KERAS_2
from words import contents, table

LISTED = contents("functions.json")


def test_the_client_has_the_functions_of_the_contract() -> None:
    known = [{"function": word, "takes": list(row.takes)} for word, row in WORDS.items()]
    assert known == LISTED


def test_the_share_step_writes_functions_of_the_contract() -> None:
    for function in [*NAMED.values(), *OF_KERAS_2.values()]:
        if function.public:
            word, *takes = function.public
            assert word == "function"
            assert {"function": function.public[word], "takes": takes} in LISTED


def test_users_are_told_of_every_function() -> None:
    told = [
        {"function": word.strip("`"), "takes": [key.strip("`") for key in takes.split(", ") if key]}
        for word, takes, _ in table("client.md", "function | takes")
    ]
    assert told == LISTED
