"""Claim: a data set is explained from JPEG files at 0.9 of the rate from memory, or as decoding leaves processors free.

    .venv/bin/python benchmarks/dataset.py [--repeats 3] [--scale 1]
    .venv/bin/python benchmarks/dataset.py --memory 50000 [--plot memory.png]

The first line measures `camjax.dataset.run` with Grad-CAM of one class, for two networks: fed from memory with an array
of pixels at the network's size, which costs nothing to read, and from a folder of JPEG files of the same pictures. All
of them take turns in one process; each rate is that between a run's first chunk and its last, without compilation, and
the table has the medians of the repeats, and in brackets the extremes of the ratios, each of a turn.

Decoding takes its share of the processors. Where the network leaves none of them idle, as on a CPU it nearly does, no
overlap can hide it: the bound of the ratio is then c / (c + d), with the processor time c of an image from memory and d
of reading and decoding one, measured alone. Beside it stands the ratio that the runs had in processor time, which other
programs on the machine disturb less than the clock's. The claim holds where the ratio is 0.9, or 0.95 of a bound that
is lower.

The second line has a claim of its own, that memory does not grow: it runs the testbed's network over so many pictures
from files and samples the process's memory every second. From the first tenth of the run to its end it may not grow by
more than 2% and 10 MB.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from _timing import CORES, setting
from PIL import Image

import camjax
from camjax import dataset, testbed
from camjax.dataset._feed import feed
from camjax.dataset._inputs import Inputs
from camjax.dataset._program import viewed

BATCH, RATIO, OF_BOUND = 32, 0.9, 0.95


class Case(NamedTuple):
    """A network, what it sees, and the sides of the JPEGs it is fed with."""

    name: str
    model: camjax.Model
    count: int
    sides: tuple[int, ...]

    @property
    def spec(self) -> camjax.Preprocess:
        """Its preprocessing."""
        return self.model.preprocess or camjax.Preprocess()


def cases(scale: int) -> list[Case]:
    """The testbed's network, and torchvision's MobileNetV2, converted."""
    import torch
    from camjax_torch import from_torch, zoo

    module = zoo.entry("torchvision:mobilenet_v2").make(False, None).eval()
    mobile = from_torch(module, torch.zeros(1, 3, 224, 224))
    mobile = camjax.Model(mobile.apply, mobile.params, None, camjax.Preprocess((224, 224), None, layout="NCHW"))
    return [
        Case("testbed", testbed.model(), 2048 * scale, (64, 96)),
        Case("MobileNetV2", mobile, 256 * scale, (224, 320)),
    ]


def pictures(side: int, count: int, folder: Path | None, size: int) -> np.ndarray:
    """Scenes, `count` of which 256 differ, as JPEG files in a folder, and as the network sees them."""
    scenes = [Image.fromarray(scene) for scene in testbed.scenes(0, 256, size=side).images]
    if folder is not None:
        folder.mkdir()
        for number in range(count):
            scenes[number % 256].save(folder / f"{number:06}.jpg", quality=90)
    small = np.stack([np.asarray(scene.resize((size, size), Image.Resampling.BILINEAR)) for scene in scenes])
    return small[np.arange(count) % 256]


class Rate(NamedTuple):
    """Milliseconds for an image: on the clock, and of all processors together."""

    clock: float
    processors: float


def explained(case: Case, source: object, store: Path) -> Rate:
    """A run, from its first chunk to its last."""
    ticks: list[tuple[int, float, float]] = []

    def tell(progress: dataset.Progress) -> None:
        ticks.append((progress.here, time.perf_counter(), time.process_time()))

    dataset.run(source, case.model, store, target=0, batch=BATCH, chunk=case.count // 8, progress=tell)
    (first, *then), (last, *now) = ticks[0], ticks[-1]
    return Rate(*((end - start) / (last - first) * 1e3 for start, end in zip(then, now, strict=True)))


def read(case: Case, source: object) -> Rate:
    """Reading and decoding alone, as a run does it."""
    inputs = Inputs.of(dataset.source_of(source), case.model, None, False)
    batches = inputs.batches(range(0, case.count, BATCH), BATCH, viewed(case.spec))
    start = time.perf_counter(), time.process_time()
    with feed(batches, CORES, 0) as found:
        for _ in found:
            pass
    return Rate(
        *(
            (now - then) / case.count * 1e3
            for then, now in zip(start, (time.perf_counter(), time.process_time()), strict=True)
        )
    )


def throughput(repeats: int, scale: int) -> bool:
    """Prints the table; whether the claim holds."""
    print(setting("jax", also=jax.devices()[0].device_kind) + f", batches of {BATCH}\n")
    print("| network | JPEG files | from memory | from files | ratio | in processor time | bound |")
    print("|---|---|---|---|---|---|---|", flush=True)
    holds = True
    for case in cases(scale):
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            jax.config.update("jax_compilation_cache_dir", str(root / "compiled"))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
            size = case.spec.size[0]
            memory = pictures(size, case.count, None, size)
            for side in case.sides:
                pictures(side, case.count, root / str(side), size)
            turns = []
            for turn in range(repeats):
                turns.append({0: explained(case, memory, root / f"{turn}.zarr")})
                for side in case.sides:
                    turns[-1][side] = explained(case, root / str(side), root / f"{turn}-{side}.zarr")
            for side in case.sides:
                holds &= row(case, side, turns, read(case, root / str(side)))
    return holds


def row(case: Case, side: int, turns: list[dict[int, Rate]], decoding: Rate) -> bool:
    """Prints one line; whether the claim holds for it."""
    ratios = [turn[0].clock / turn[side].clock for turn in turns]
    ratio = statistics.median(ratios)
    computing = statistics.median(turn[0].processors for turn in turns)
    processors = statistics.median(turn[0].processors / turn[side].processors for turn in turns)
    bound = computing / (computing + decoding.processors)
    memory, files = (1e3 / statistics.median(turn[key].clock for turn in turns) for key in (0, side))
    print(
        f"| {case.name}, {case.spec.size[0]} px | {side} px, {decoding.processors:.2f} ms each | {memory:.0f}/s | "
        f"{files:.0f}/s | {ratio:.2f} [{min(ratios):.2f}, {max(ratios):.2f}] | {processors:.2f} | {bound:.2f} |",
        flush=True,
    )
    return ratio >= min(RATIO, OF_BOUND * bound)


def resident() -> float:
    """This process's memory in MB, as Linux says."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(count: int, plot: Path | None) -> bool:
    """Runs over so many pictures; whether the memory stays."""
    samples: list[tuple[int, float]] = []
    done, over = [0], threading.Event()

    def sample() -> None:
        while not over.wait(1.0):
            samples.append((done[0], resident()))

    def tell(progress: dataset.Progress) -> None:
        done[0] = progress.here

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        pictures(64, count, root / "files", 64)
        thread = threading.Thread(target=sample)
        thread.start()
        try:
            dataset.run(root / "files", testbed.model(), root / "run.zarr", target=0, batch=BATCH, progress=tell)
        finally:
            over.set()
            thread.join()
    early = max(value for number, value in samples if number <= count / 10)
    late = max(value for _, value in samples)
    print(f"\n{count} pictures: {early:.0f} MB at most in the first tenth, {late:.0f} MB at most in all.")
    if plot is not None:
        draw(samples, plot)
    return late <= 1.02 * early + 10


def draw(samples: list[tuple[int, float]], path: Path) -> None:
    """The memory along the run."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 2.5), layout="constrained")
    axes.plot(*zip(*samples, strict=True), linewidth=1)
    axes.set(xlabel="pictures explained", ylabel="resident memory, MB", ylim=(0, None))
    figure.savefig(path, dpi=80)
    print(f"{path}: {len(samples)} samples")


def main() -> int:
    """Measures, prints and judges the claim."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=int, default=1, help="times as many pictures")
    parser.add_argument("--memory", type=int)
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    holds = memory(asked.memory, asked.plot) if asked.memory else throughput(asked.repeats, asked.scale)
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
