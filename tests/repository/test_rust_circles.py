from __future__ import annotations

from pathlib import Path

import pytest
import rust_circles

Sources = dict[str, str]


def check(folder: Path, sources: Sources) -> int:
    for name, text in sources.items():
        file = folder / "src" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return rust_circles.main([str(folder)])


CIRCLES: dict[str, tuple[Sources, str]] = {
    "siblings": (
        {"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": "use super::a::A;"},
        "crate: a -> b -> a",
    ),
    "three siblings": (
        {
            "lib.rs": "mod a; mod b; mod c;",
            "a.rs": "use crate::b::B;",
            "b.rs": "use crate::c::C;",
            "c.rs": "use crate::a::A;",
        },
        "crate: a -> b -> c -> a",
    ),
    "folders, by different files of theirs": (
        {
            "lib.rs": "mod a; mod b;",
            "a/mod.rs": "mod x; mod y;",
            "a/x.rs": "use crate::b::z::Z;",
            "a/y.rs": "",
            "b.rs": "mod z; mod w;",
            "b/z.rs": "",
            "b/w.rs": "use crate::a::y::Y;",
        },
        "crate: a -> b -> a",
    ),
    "below the top": (
        {
            "main.rs": "mod a;",
            "a/mod.rs": "mod x; mod y;",
            "a/x.rs": "use super::y;",
            "a/y.rs": "use crate::a::x;",
        },
        "crate::a: x -> y -> x",
    ),
    "a file and its child": (
        {"lib.rs": "mod a;", "a.rs": "mod x; use x::X; struct A;", "a/x.rs": "use super::A;"},
        "crate::a: (the file above) -> x -> (the file above)",
    ),
    "a name that is handed on": (
        {
            "lib.rs": "mod a; mod b; pub use a::A; pub use b::B;",
            "a.rs": "",
            "b.rs": "use crate::A;",
        },
        "crate: (the file above) -> b -> (the file above)",
    ),
    "nested use": (
        {
            "lib.rs": "mod a; mod b;",
            "a.rs": "use super::{std::{fmt}, b::{self, B}};",
            "b.rs": "use crate::{a::*};",
        },
        "crate: a -> b -> a",
    ),
    "paths in code": (
        {
            "lib.rs": "mod a; mod b;",
            "a.rs": "fn f() { crate::b::g(); }",
            "b.rs": "fn g(a: &'a super::a::A) -> char { 'a' }",
        },
        "crate: a -> b -> a",
    ),
    "a path inside an inline module": (
        {
            "lib.rs": "mod a;",
            "a.rs": "mod x; mod y;",
            "a/x.rs": "mod i { use super::super::y::Y; }",
            "a/y.rs": "use super::x::i::X;",
        },
        "crate::a: x -> y -> x",
    ),
    "code between quotes and after tests": (
        {
            "lib.rs": "mod a; mod b; mod c;",
            "a.rs": """const A: char = '"'; use crate::b::B; const B: char = '"';""",
            "b.rs": r"""const A: &str = r"\"; use crate::c::C; const B: &str = "";""",
            "c.rs": "struct C { #[cfg(test)] b: u8, a: crate::a::A }",
        },
        "crate: a -> b -> c -> a",
    ),
    "code for tests of other crates": (
        {
            "lib.rs": "mod a; mod b;",
            "a.rs": '#[cfg(any(test, feature = "testing"))] use crate::b::B;',
            "b.rs": "use crate::a::A;",
        },
        "crate: a -> b -> a",
    ),
}


@pytest.mark.parametrize(("sources", "circle"), CIRCLES.values(), ids=CIRCLES)
def test_a_circle_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sources: Sources, circle: str
) -> None:
    status = check(tmp_path, sources)

    assert f"circle in {circle}\n" in capsys.readouterr().out
    assert status == 1


def test_the_lines_that_close_a_circle_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = {
        "lib.rs": "mod a;\nmod b;",
        "a.rs": "/* two\nlines */\nuse crate::b::B;",
        "b.rs": 'const TEXT: &str = "two\nlines";\n\nfn g() {\n    super::a::f();\n}',
    }

    check(tmp_path, sources)

    src = tmp_path / "src"
    assert capsys.readouterr().out.splitlines() == [
        f"{src}/lib.rs: circle in crate: a -> b -> a",
        f"    {src}/a.rs:3: crate::b::B",
        f"    {src}/b.rs:5: super::a::f",
    ]


NO_CIRCLES: dict[str, Sources] = {
    "one way": {"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": "use std::fmt;"},
    "tests": {
        "lib.rs": "mod a; mod b;",
        "a.rs": "use crate::b::B;",
        "b.rs": "#[cfg(test)] use crate::a::A;\n"
        "#[cfg(test)]\n#[allow(unused)]\nmod tests { use crate::a::A; fn f() {} }\n"
        "struct B { #[cfg(test)] a: crate::a::A, b: u8 }\n"
        "#[cfg(all(test, unix))] fn g() { crate::a::f() }",
    },
    "a folder of tests": {
        "lib.rs": "mod a; use a::A; struct Own;",
        "a/mod.rs": "#[cfg(test)]\nmod tests;",
        "a/tests/mod.rs": "mod deep; use crate::Own;",
        "a/tests/deep.rs": "use crate::Own;",
    },
    "comments and strings": {
        "lib.rs": "mod a; mod b;",
        "a.rs": "use crate::b::B;",
        "b.rs": "//! [`crate::a::A`]\n"
        '/* use crate::a; */ const TEXT: &str = r#" use crate::a::A;""#;\n'
        "const BYTE: u8 = b'\"'; // use crate::a;\nconst OTHER: char = '\\'';",
    },
    "visibility": {
        "lib.rs": "mod a; use a::A;",
        "a.rs": "mod x; use x::X;",
        "a/x.rs": "pub(super) struct X; pub(in super::super) struct Y; pub(crate) struct Z;",
    },
    "a child that takes from a sibling": {
        "lib.rs": "mod a;",
        "a.rs": "mod x; mod y; pub use x::X; pub use y::Y;",
        "a/x.rs": "use super::y::Y;",
        "a/y.rs": "",
    },
    "a group that ends with a comma": {
        "lib.rs": "mod a; mod b; use a::A;",
        "a.rs": "use super::{b::{B, C,},};",
        "b.rs": "",
    },
}


@pytest.mark.parametrize("sources", NO_CIRCLES.values(), ids=NO_CIRCLES)
def test_other_crates_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sources: Sources
) -> None:
    status = check(tmp_path, sources)

    assert (status, capsys.readouterr().out) == (0, "")


def test_a_folder_without_a_crate_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no crate under"):
        check(tmp_path, {})


def test_a_module_without_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no file for `mod a;`"):
        check(tmp_path, {"lib.rs": "mod a;"})
