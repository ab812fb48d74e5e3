"""Claim: on scenes with exact masks, every class-discriminative method clearly beats the controls.

    .venv/bin/python benchmarks/pointing.py [--scenes 2000] [--only NAME ...] [--keep FOLDER]

Held-out testbed scenes with two objects; the map of each object's class is asked for. Prints, for each method of
`camjax methods` with its defaults, a Markdown row:

- pointing: how often the heatmap's maximum lies in the asked object (an empty heatmap points nowhere: a miss);
- mass: the mean share of the heatmap's sum that lies in the asked object (an empty heatmap has none there).

Intervals are 95 %, from the spread over scenes, whose two answers are not independent of each other. The controls
know nothing of the class asked for: random channel weights, the mean activation, a Gaussian in the centre; "true
mask" is the mask itself at the layer's resolution, which bounds what such a coarse map can reach. Methods whose map
does not depend on the class ("any class") can point into at most one of the two objects, so at most 50 %. RISE has 1000
masks, a quarter of its default. Some methods evaluate the network thousands of times for each scene, which takes hours:
with --keep what is measured is kept after each batch, and the same command continues. Exits with 1 if the lower end of
a class-discriminative method's pointing interval does not exceed the upper end of every control's.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import camjax
from camjax import testbed
from camjax.methods import METHODS
from camjax.methods._contract import needs_of

SEED = 100_077  # no training scene has it
CONTROLS = ("randomcam", "meanactivation", "centeredgaussian")
SHORTER = {"rise": camjax.RISE(samples=1000)}
BATCH, CHUNK = 100, 64


class Row(NamedTuple):
    """One line of the table: means over scenes, and the half widths of their intervals."""

    name: str
    pointing: float
    off: float
    mass: float
    mass_off: float
    scenes: int
    note: str
    seconds: float


def main() -> int:
    """Measure, print, and check the claim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--only", nargs="*", default=[], help="these methods and the controls")
    parser.add_argument("--keep", type=Path, help="a folder for what is measured")
    options = parser.parse_args()
    drawn = testbed.scenes(SEED, options.scenes, objects=(2, 2))
    print("| method | points into its object, % | mass in its object, % | scenes | |", flush=True)
    print("|---|---|---|---|---|", flush=True)
    rows = {}
    for name, method in METHODS.items():
        if options.only and name not in (*options.only, *CONTROLS):
            continue
        try:
            rows[name] = measure(name, SHORTER.get(name, method()), drawn, keep=options.keep)
        except ValueError as error:  # token methods: this network has no attention
            print(f"{name}: {error}", file=sys.stderr)
            continue
        show(rows[name])
    show(row("true mask", judged(mask_maps(drawn), drawn.masks), "the bound of a 16x16 map", 0.0))
    bar = max(rows[name].pointing + rows[name].off for name in CONTROLS)
    low = [r.name for r in rows.values() if not r.note and r.pointing - r.off <= bar]
    if low:
        print(f"not clearly above the controls' {bar:.1f} %: {', '.join(low)}", file=sys.stderr)
    return 1 if low else 0


def measure(
    name: str, method: Any, drawn: testbed.Scenes, model: camjax.Model | None = None, keep: Path | None = None
) -> Row:
    """Explain both classes of every scene, a batch at a time, by default for the testbed's network."""
    model, x = model or testbed.model(), testbed.preprocess(drawn.images)
    note = ""
    if name in CONTROLS:
        note = "control"
    elif not {"gradients", "head", "score", "model", "probability", "run", "attention"}.intersection(needs_of(method)):
        note = "any class" if not getattr(method, "of", None) and name not in ("fullgrad", "liftcam") else ""
    elif name == "attentionrollout":
        note = "any class"
    f = jax.jit(camjax.explainer(model, x[:1], method=method, chunk=CHUNK))
    file = None if keep is None else keep / f"{name}.npy"
    found = np.zeros((0, 2, 2)) if file is None or not file.exists() else np.load(file)[: len(x)]
    start = time.perf_counter()
    while (first := len(found)) < len(x):
        rows = slice(first, min(first + BATCH, len(x)))
        ids = jnp.arange(rows.start, rows.stop)
        result = f(model, x[rows], drawn.classes[rows, :2], ids=ids, key=jax.random.key(0))
        if (np.asarray(result.status) & ~int(camjax.Status.EMPTY)).any():
            raise RuntimeError(f"{name}: status {np.unique(result.status)}")
        found = np.concatenate([found, judged(np.asarray(result.heatmap), drawn.masks[rows])])
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, found)
    title = METHODS[name].__name__ + (", 1000 masks" if name in SHORTER and method == SHORTER[name] else "")
    return row(title, found, note, time.perf_counter() - start)


def mask_maps(drawn: testbed.Scenes) -> np.ndarray:
    """The true masks through the layer's resolution: averaged to 16x16, and up again as heatmaps are."""
    coarse = drawn.masks[:, :2].reshape(len(drawn.masks), 2, 16, 4, 16, 4).mean((3, 5), dtype=np.float32)
    up = jax.vmap(jax.vmap(lambda m: jax.image.resize(m, (64, 64), "linear", antialias=False)))
    return np.asarray(up(jnp.asarray(coarse)))


def judged(heatmaps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """`[scenes, 2, 2]`: for each scene and object, whether the maximum lies in it, and the share of the sum."""
    heat = heatmaps.reshape(-1, 2, 64 * 64).astype(np.float64)
    masks = masks[:, :2].reshape(-1, 2, 64 * 64)
    hit = np.take_along_axis(masks, heat.argmax(-1)[..., None], -1)[..., 0] & (heat.max(-1) > 0)
    total = heat.sum(-1)
    mass = np.where(total > 0, (heat * masks).sum(-1) / np.where(total > 0, total, 1), 0)
    return np.stack([hit, mass], -1)


def row(name: str, found: np.ndarray, note: str, seconds: float) -> Row:
    """The two figures of a method, from what was judged."""
    means = [100 * found[..., figure].mean(1) for figure in (0, 1)]  # of a scene
    off = [1.96 * m.std(ddof=1) / np.sqrt(len(m)) for m in means]
    return Row(name, means[0].mean(), off[0], means[1].mean(), off[1], len(found), note, seconds)


def show(row: Row) -> None:
    """Print one line, and the time on the error stream."""
    print(
        f"| {row.name} | {row.pointing:.1f} ± {row.off:.1f} | {row.mass:.1f} ± {row.mass_off:.1f} | {row.scenes} | "
        f"{row.note} |",
        flush=True,
    )
    print(f"{row.name}: {row.seconds:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
