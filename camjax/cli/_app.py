"""The commands and their options; what they do is in the other files of this room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camjax.cli._errors import one_message

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit status: 0 all explained, 1 some pictures were not (each with its reason), 2 wrong usage.",
)


def _option(*names: str, help: str, metavar: str | None = None) -> typer.models.OptionInfo:
    return typer.Option(*names, metavar=metavar, help=help)


def _input(name: str, metavar: str | None, help: str) -> typer.models.OptionInfo:
    panel = "The model's input (its own way by default, else ImageNet's)"
    return typer.Option(name, metavar=metavar, help=help, rich_help_panel=panel)


MODELS = (
    "testbed (comes with camjax), torchvision:NAME, timm:NAME, torch:FILE (a .pt2, or what camjax_torch.save wrote), "
    "or python:MODULE:FUNCTION, a function that returns a camjax.Model."
)
Spec = Annotated[str, _option("--model", "-m", metavar="SPEC", help=MODELS)]
Weights = Annotated[Path | None, _option("--weights", "-w", metavar="FILE", help=".pth or .safetensors.")]
LAYER = "See camjax layers; several times for several layers, or 'stages'. Default: found."
LayerNames = Annotated[list[str] | None, _option("--layer", "-l", help=LAYER)]
Fusion = Annotated[str | None, _option("--fusion", help="Of several layers: mean, max, sum, product, layercam.")]
Method = Annotated[str, _option("--method", help="One of those that camjax methods lists.")]
Seed = Annotated[int, _option("--seed", help="Of methods that draw random numbers.")]
Scores = Annotated[str, _option("--scores", help="logits (before a softmax) or outputs.")]
Size = Annotated[str | None, _input("--size", "N|HxW", "Size of the input, cut from the centre.")]
Resize = Annotated[str | None, _input("--resize", "N|none", "Resize the shorter side to N first.")]
Mean = Annotated[str | None, _input("--mean", "R,G,B", "Subtracted after --scale.")]
Std = Annotated[str | None, _input("--std", "R,G,B", "Divided by after --mean.")]
Scale = Annotated[float | None, _input("--scale", None, "Pixels 0..255 are divided by it.")]
Layout = Annotated[str | None, _input("--layout", "NHWC|NCHW", "Order of the axes.")]
Interpolation = Annotated[str | None, _input("--interpolation", "NAME", "bilinear, bicubic, ...")]
PICTURES = "Pictures, and folders of them; without any, a picture that comes with camjax."
SOURCE = (
    "A folder of pictures, a list (.csv, .jsonl), arrays (.npy, .npz), shards (.tar, .tfrecord, .array_record; also a "
    "quoted pattern, or a folder of them), or python:MODULE:FUNCTION, which returns a data source."
)
SHARDING = "For parameters that do not fit on one device: a function that returns a camjax.dataset.Sharding."
PATIENCE = "One of several processes stops when another has given no sign of life for so long; inf: it goes on."
OF_ALL = "A class (several times for several), the K best, or each example's own label. Default: the predicted class."
TARGET = "A class's number or name (several times for several classes), or the K best. Default: top:2."


def _version(wanted: bool) -> None:
    if wanted:
        from camjax import __version__

        typer.echo(f"camjax {__version__}")
        raise typer.Exit


@app.callback()
def camjax(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Class-activation maps: where in a picture a model saw what it says."""


@app.command()
def explain(
    pictures: Annotated[list[Path] | None, typer.Argument(metavar="IMAGE|FOLDER", help=PICTURES)] = None,
    model: Spec = "testbed",
    weights: Weights = None,
    layer: LayerNames = None,
    fusion: Fusion = None,
    method: Method = "gradcam",
    seed: Seed = 0,
    target: Annotated[list[str] | None, _option("--target", "-t", metavar="CLASS|NAME|top:K", help=TARGET)] = None,
    scores: Scores = "logits",
    out: Annotated[Path, _option("--out", "-o", metavar="DIR", help="For the panels.")] = Path("camjax-out"),
    save_arrays: Annotated[bool, _option("--save-arrays", help="Also write the maps, as .npz.")] = False,
    batch: Annotated[int, typer.Option("--batch", min=1, help="How many pictures run at once.")] = 16,
    colormap: Annotated[str, _option("--colormap", help="One of matplotlib's.")] = "inferno",
    alpha: Annotated[float, _option("--alpha", help="What the strongest heat covers: 0 to 0.8.")] = 0.65,
    size: Size = None,
    resize: Resize = None,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    layout: Layout = None,
    interpolation: Interpolation = None,
) -> None:
    """Draw where a model saw each class, one panel per picture, and print its predictions."""
    with one_message():
        from camjax.cli._explain import Output, run
        from camjax.cli._prepare import Overrides
        from camjax.cli._question import Question

        overrides = Overrides(size, resize, mean, std, scale, layout, interpolation)
        question = Question(model, weights, layer or [], fusion, method, seed, target or ["top:2"], scores, overrides)
        status = run(pictures or [], question, Output(out, save_arrays, batch, colormap, alpha))
    raise typer.Exit(status)


@app.command()
def run(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=SOURCE)],
    out: Annotated[Path, _option("--out", "-o", metavar="RUN.zarr", help="The store; one that is there is continued.")],
    model: Spec = "testbed",
    weights: Weights = None,
    layer: LayerNames = None,
    fusion: Fusion = None,
    method: Method = "gradcam",
    seed: Seed = 0,
    target: Annotated[list[str] | None, _option("--target", "-t", metavar="CLASS|top:K|label", help=OF_ALL)] = None,
    scores: Scores = "logits",
    batch: Annotated[int, typer.Option("--batch", min=1, help="How many examples run at once.")] = 32,
    chunk: Annotated[int | None, typer.Option("--chunk", min=1, help="How many are written at once.")] = None,
    maps: Annotated[str, _option("--maps", help="coarse, or full: also heatmaps of the input's size.")] = "coarse",
    dtype: Annotated[str, _option("--dtype", help="Of the coarse maps: float32 or float16.")] = "float32",
    save_weights: Annotated[bool, _option("--save-weights", help="Also keep the channels' weights.")] = False,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Of each reading process.")] = None,
    devices: Annotated[
        int | None, typer.Option("--devices", min=1, help="How many of this process's are used; all by default.")
    ] = None,
    sharding: Annotated[str | None, _option("--sharding", metavar="python:MODULE:FUNCTION", help=SHARDING)] = None,
    coordinator: Annotated[
        str | None, _option("--coordinator", metavar="HOST:PORT|auto", help="Several processes; auto: TPU pod, Slurm.")
    ] = None,
    processes: Annotated[int | None, typer.Option("--processes", min=1, help="How many there are.")] = None,
    process: Annotated[int | None, typer.Option("--process", min=0, help="Which this one is.")] = None,
    patience: Annotated[float, _option("--patience", metavar="SECONDS", help=PATIENCE)] = 300.0,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes that read; 0: this one does.")] = 0,
    strict: Annotated[bool, _option("--strict", help="Stop at the first that cannot be explained.")] = False,
    json: Annotated[bool, _option("--json", help="Print the progress as lines of JSON.")] = False,
    size: Size = None,
    resize: Resize = None,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    layout: Layout = None,
    interpolation: Interpolation = None,
) -> None:
    """Explain a whole data set into a Zarr store. Killed at any moment, the same command continues.

    Exit status: as for all commands, and 3: stopped before the end, or the disk is full; the same command continues.
    """
    with one_message():
        from camjax.cli._prepare import Overrides
        from camjax.cli._question import Question
        from camjax.cli._run import Together, Work
        from camjax.cli._run import run as run_all

        overrides = Overrides(size, resize, mean, std, scale, layout, interpolation)
        question = Question(model, weights, layer or [], fusion, method, seed, target or [], scores, overrides)
        work = Work(out, batch, chunk, maps, save_weights, dtype, threads, workers, devices, sharding, strict, json)
        together = Together(coordinator, processes, process, patience)
        status = run_all(source, question, work, together)
    raise typer.Exit(status)


@app.command()
def status(
    store: Annotated[Path, typer.Argument(metavar="RUN.zarr", help="What camjax run writes.")],
    json: Annotated[bool, _option("--json", help="As JSON.")] = False,
) -> None:
    """Tell how far a run is, and what failed; at any time, also while it runs."""
    with one_message():
        from camjax.cli._progress import status as tell

        code = tell(store, json)
    raise typer.Exit(code)


@app.command()
def show(
    store: Annotated[Path, typer.Argument(metavar="RUN.zarr", help="What camjax run writes.")],
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Examples, as camjax status calls them.")],
    out: Annotated[Path, _option("--out", "-o", metavar="DIR", help="For the panels.")] = Path("camjax-out"),
    source: Annotated[str | None, _option("--source", help="Where the pictures are now, if they were moved.")] = None,
) -> None:
    """Draw panels of examples of a run."""
    with one_message():
        from camjax.cli._show import show as draw

        code = draw(store, names, out, source)
    raise typer.Exit(code)


@app.command()
def layers(
    model: Spec = "testbed",
    weights: Weights = None,
    size: Size = None,
    resize: Resize = None,
    layout: Layout = None,
) -> None:
    """List a model's layers; the one that is explained by default has a star."""
    with one_message():
        from camjax.cli._layers import table
        from camjax.cli._prepare import Overrides

        text = table(model, weights, Overrides(size=size, resize=resize, layout=layout))
    typer.echo(text)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show all about this one.")] = None,
) -> None:
    """List the methods: what they need, what they cost, when to choose them."""
    with one_message():
        from camjax.cli._methods import show

        show(name)
