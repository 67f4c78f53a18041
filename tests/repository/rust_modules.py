"""The modules of a Rust crate and the paths that lead from one to another.

Reads text, not types: `mod`, `use` and paths that begin with `crate`, `super`, `self` or the name
of a child. Comments, strings and what is under `cfg(test)` do not count.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

Module = tuple[str, ...]
Token = tuple[str, int]

NO_CODE = re.compile(
    r"""//[^\n]*                      # a comment to the end of the line
      | /\*.*?\*/
      | b?r(\#*)".*?"\1               # a raw string
      | b?"(?:\\.|[^"\\])*"
      | b?'(?:\\.[^']*|[^\\'])'       # a character; a lifetime has no second quote
    """,
    re.DOTALL | re.VERBOSE,
)
TOKEN = re.compile(r"[A-Za-z_]\w*|::|[][{}()<;,#*]")
OPENING, CLOSING = "([{", ")]}"


@dataclass(frozen=True, kw_only=True)
class Use:
    """A path in `file` by which `source` uses `target`, another module of its crate."""

    source: Module
    target: Module
    file: Path
    line: int
    path: str


def uses(root: Path) -> list[Use]:
    """Every use of a module by another in the crate whose `lib.rs` or `main.rs` is `root`."""
    files = module_files((), root)
    return [use for module in files for use in uses_of(module, files)]


def module_files(module: Module, file: Path) -> dict[Module, Path]:
    """The files of `module`, which is `file`, and of all modules below it."""
    owns_folder = not module or file.name == "mod.rs"
    folder = file.parent if owns_folder else file.with_suffix("")
    files = {module: file}

    for name in declared(tokens_of(file)):
        files |= module_files((*module, name), file_of(folder, name))

    return files


def file_of(folder: Path, name: str) -> Path:
    for file in (folder / f"{name}.rs", folder / name / "mod.rs"):
        if file.exists():
            return file

    sys.exit(f"{folder}: no file for `mod {name};`")


def declared(tokens: list[Token]) -> list[str]:
    """The names in `mod name;`."""
    texts = [text for text, _ in tokens]
    return [
        texts[at + 1] for at in range(len(texts) - 2) if texts[at] == "mod" and texts[at + 2] == ";"
    ]


def tokens_of(file: Path) -> list[Token]:
    code = NO_CODE.sub(lambda found: " " + "\n" * found[0].count("\n"), file.read_text())
    lines = enumerate(code.split("\n"), 1)
    return list(
        without_tests([(token, line) for line, text in lines for token in TOKEN.findall(text)])
    )


def without_tests(tokens: list[Token]) -> Iterator[Token]:
    """Leaves out each item under `#[cfg(test)]` or `#[cfg(all(test, ...))]`."""
    at = 0
    while at < len(tokens):
        end = group_end(tokens, at + 1) if tokens[at][0] == "#" else at
        words = [text for text, _ in tokens[at:end] if text.isidentifier()]

        if words[:2] == ["cfg", "test"] or words[:3] == ["cfg", "all", "test"]:
            at = item_end(tokens, end)
        else:
            yield tokens[at]
            at += 1


def group_end(tokens: list[Token], at: int) -> int:
    """One past the bracket that closes the one at `at`."""
    depth = 0
    for index in range(at, len(tokens)):
        depth += (tokens[index][0] in OPENING) - (tokens[index][0] in CLOSING)
        if depth == 0:
            return index + 1

    return len(tokens)


def item_end(tokens: list[Token], at: int) -> int:
    """One past the item, field or arm at `at`, with the attributes before it."""
    while at < len(tokens) and tokens[at][0] not in CLOSING:
        text = tokens[at][0]
        at = group_end(tokens, at) if text in OPENING else at + 1
        if text in "{;,":
            break

    return at


def uses_of(module: Module, files: dict[Module, Path]) -> Iterator[Use]:
    file = files[module]
    children = {other[-1] for other in files if other and other[:-1] == module}

    for scope, path, line in paths(tokens_of(file), module, children):
        target = resolve(scope, path, files)
        if target != module:
            yield Use(source=module, target=target, file=file, line=line, path="::".join(path))


def resolve(scope: Module, path: list[str], files: dict[Module, Path]) -> Module:
    """The module that `path`, written in `scope`, is in."""
    target = scope
    for name in path:
        if name == "crate":
            target = ()
        elif name == "super":
            target = target[:-1]
        elif name != "self":
            target = (*target, name)

    while target not in files:
        target = target[:-1]

    return target


def paths(
    tokens: list[Token], module: Module, children: set[str]
) -> Iterator[tuple[Module, list[str], int]]:
    """Each path that may lead to another module: the scope around it, its names, its line."""
    starts = {"crate", "super", "self"} | children
    blocks: list[Module] = []  # of an inline module its name, of another block nothing
    texts = [text for text, _ in tokens]
    at = 0

    while at < len(tokens):
        scope = sum(blocks, module)
        text, line = tokens[at]
        found, end = [], at + 1

        if text == "{":
            blocks.append((texts[at - 1],) if texts[at - 2 : at - 1] == ["mod"] else ())
        elif text == "}":
            blocks.pop()
        elif text == "use" and texts[at + 1] != "<":
            end = texts.index(";", at)
            found = use_tree(tokens[at + 1 : end])
        elif text in starts and texts[at + 1] == "::" and not continues(texts, at):
            end = path_end(texts, at)
            found = [(texts[at:end:2], line)]

        yield from ((scope, path, line) for path, line in found if path[0] in starts)
        at = end


def continues(texts: list[str], at: int) -> bool:
    """Whether what is at `at` begins no path of its own: `a::super`, `pub(in super::super)`."""
    return texts[at - 1] == "::" or texts[at - 3 : at] == ["pub", "(", "in"]


def path_end(texts: list[str], at: int) -> int:
    while texts[at + 1] == "::" and texts[at + 2].isidentifier():
        at += 2

    return at + 1


def use_tree(tokens: list[Token]) -> list[tuple[list[str], int]]:
    """The paths of a use declaration, `a::{b, c::d}` taken apart."""
    found: list[tuple[list[str], int]] = []
    prefixes: list[list[str]] = [[]]
    path: list[str] = []

    for (text, line), (following, _) in pairwise([*tokens, (",", 0), ("", 0)]):
        if text == "{":
            prefixes.append(path)
        elif text in ",}":
            path = prefixes.pop() if text == "}" else prefixes[-1]
        elif text != "::":
            path = [*path, text]
            if following != "::":
                found.append((path, line))

    return found
