"""The command `securemodel`."""

from __future__ import annotations

import sys
import time
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from . import functions
from .connect import connect, endpoint
from .errors import InputError, SecureModelError
from .model import DATA_ROLES, TIMEOUT_S, Model
from .sharing import FRACTION_BITS

SHOWN_ROWS = 20
SHOWN_VALUES = 12
EXIT_INPUT = 2

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Private predictions from a SecureModel. Exit status: 0 done; "
    "1 the model or a player could not answer; 2 the input or the command line is wrong.",
)

Name = Annotated[str, typer.Argument(help="The SecureModel's name")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Its namespace")]
Context = Annotated[
    str | None, typer.Option(help="Context of the kubeconfig, if not the current one")
]
Endpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--endpoint",
        help="alice=https://host:port and bob=https://host:port, instead of asking a cluster",
    ),
]
Ca = Annotated[
    Path | None, typer.Option("--ca", help="With --endpoint: the SecureModel's CA certificate")
]
Timeout = Annotated[
    float | None,
    typer.Option(help="Seconds for each batch, tries included; as the model's batches need"),
]


@app.command()
def predict(
    name: Name,
    input_path: Annotated[
        Path,
        typer.Option("--input", help="Input rows, .npy or .npz with one array, shape (B, ...)"),
    ],
    output: Annotated[Path | None, typer.Option(help="Write the result there (.npy)")] = None,
    namespace: Namespace = "default",
    context: Context = None,
    endpoints: Endpoints = None,
    ca: Ca = None,
    timeout: Timeout = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Logits: without the model's last softmax and the like")
    ] = False,
) -> None:
    """Predict privately: no player sees the input, the output or the weights."""
    rows = _load(input_path)

    with _connect(name, namespace, context, endpoints, ca) as model:
        metadata = model.metadata(TIMEOUT_S if timeout is None else timeout)
        begin = time.perf_counter()
        progress = _progress if sys.stderr.isatty() else None
        result = model.predict(rows, timeout, progress, raw=raw)
        seconds = time.perf_counter() - begin
        names = _names(model, result)

    if output:
        np.save(output, result)
    _show(result, names, _kind(metadata, raw=raw), kept=output is not None)
    typer.echo(
        f"{len(result)} rows in {seconds * 1000:.1f} ms"
        + (f", written to {output}" if output else "")
    )


@app.command()
def status(
    name: Name,
    namespace: Namespace = "default",
    context: Context = None,
    endpoints: Endpoints = None,
    ca: Ca = None,
    timeout: Timeout = None,
) -> None:
    """Show what the players say of the model."""
    with _connect(name, namespace, context, endpoints, ca) as model:
        for key, value in _told(model.metadata(TIMEOUT_S if timeout is None else timeout)).items():
            typer.echo(_printable(f"{key + ':':<15} {value}"))


def _told(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata as users read it."""
    bounds = ("input_bound", "input_low", "input_high")
    low, high = (metadata[key] / 2**FRACTION_BITS for key in bounds[1:])
    return {
        **{key: value for key, value in metadata.items() if key not in bounds},
        "input_range": f"{low:g} to {high:g}",
        "functions": ", ".join(map(_spelled, metadata["functions"])) or "none",
        "labels": ", ".join(metadata["labels"]) or "none",
    }


def _spelled(function: dict[str, Any]) -> str:
    """softmax(axis=-1)."""
    settings = ", ".join(f"{key}={value}" for key, value in function.items() if key != "function")
    word = str(function["function"])
    return f"{word}({settings})" if settings else word


def _printable(text: str) -> str:
    """A player's text without what would steer the terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,  # the plugin's own
)
def check(context: typer.Context) -> None:
    """Say whether a Keras file can be served, what it costs, and what becomes public."""
    plugin = entry_points(group="securemodel.commands", name="check")
    if not plugin:
        raise InputError(
            "securemodel check runs the share step's own code, which is not installed here: "
            "install the package securemodel-share beside this one (pip install "
            "securemodel-share, or from the repository pip install worker_image/share)"
        )
    raise typer.Exit(plugin["check"].load()(context.args, functions.apply))


def _version(show: bool) -> None:
    if show:
        typer.echo(version("securemodel"))
        raise typer.Exit


@app.callback()
def _main(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version")
    ] = False,
) -> None:
    pass


def _connect(
    name: str, namespace: str, context: str | None, endpoints: list[str] | None, ca: Path | None
) -> Model:
    if not endpoints:
        return connect(name, namespace, context=context)
    given = dict(pair.partition("=")[::2] for pair in endpoints)
    if ca is None or set(given) != set(DATA_ROLES):
        raise InputError("--endpoint is needed for alice and for bob, and --ca with them")
    try:
        return Model(
            {role: endpoint(role, role, given[role]) for role in DATA_ROLES},
            ca.read_text(),
            name,
            namespace,
        )
    except OSError as error:
        raise InputError(f"the CA certificate {ca} cannot be used: {error}") from error


def _load(path: Path) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as .npy or .npz without pickled objects: {error}"
        ) from error
    if isinstance(loaded, np.ndarray):
        return loaded
    names = list(loaded)
    if len(names) != 1:
        raise InputError(
            f"{path} holds {len(names)} arrays ({', '.join(names)}); give a file with one"
        )
    only: np.ndarray = loaded[names[0]]
    return only


def _kind(metadata: dict[str, Any], *, raw: bool) -> str:
    """What the values of a prediction are."""
    if not metadata["functions"]:
        return "values"
    return "logits" if raw else str(metadata["functions"][-1]["function"])


def _names(model: Model, result: np.ndarray) -> list[str] | None:
    """The label of each row, if the model has labels and one output vector a row."""
    one_each = result.ndim == 2  # noqa: PLR2004
    labelled = model.labels and one_each
    return [_printable(name) for name in model.classes(result)] if labelled else None


def _show(result: np.ndarray, names: list[str] | None, kind: str, *, kept: bool) -> None:
    """The first rows, with the largest value of each and its place or label.

    `names`: a label for each row; `kind`: what the values are; `kept`: whether the whole result
    is in a file.
    """
    flat = result.reshape(len(result), -1)
    first = flat[:SHOWN_ROWS]
    found = names[: len(first)] if names else [str(i) for i in first.argmax(1)]
    title = "class" if names else "argmax"
    width = max(6, *map(len, found))
    typer.echo(f"{'row':>5}  {title:>{width}}  {'largest':>8}  {kind}")
    for i, (name, values) in enumerate(zip(found, first, strict=True)):
        shown = " ".join(f"{v:8.4f}" for v in values[:SHOWN_VALUES])
        cut = " ..." if len(values) > SHOWN_VALUES else ""
        typer.echo(f"{i:>5}  {name:>{width}}  {values.max():8.4f}  {shown}{cut}")

    if len(flat) > SHOWN_ROWS:
        more = f"  ... {len(flat) - SHOWN_ROWS} more rows"
        typer.echo(more + ("" if kept else "; keep them with --output result.npy"))


def _progress(done: int, rows: int) -> None:
    sys.stderr.write(f"\r{done} of {rows} rows" + ("\n" if done == rows else ""))
    sys.stderr.flush()


def main() -> None:
    """Entry point: errors as one sentence, never a traceback."""
    try:
        app()
    except SecureModelError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(EXIT_INPUT if isinstance(error, InputError) else 1)
