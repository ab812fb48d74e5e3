"""The one compiled program of a run: a batch of inputs to everything that is stored of them, over all devices."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

import camjax
from camjax import images
from camjax._example import class_scores, wide
from camjax._layers import splits
from camjax._model import Preprocess
from camjax._portions import entries, in_portions, most, widest
from camjax._target import logits
from camjax.dataset._sharding import AXIS, Places
from camjax.dataset._target import is_label, target_of

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked of every example: the arguments of `camjax.explain`, and what is kept of the answer."""

    method: Any
    layer: Any = None
    target: Any = None
    fusion: Any = None
    scores: str = "logits"
    smoothing: Any = None
    axes: Any = None
    seed: int = 0
    heatmaps: bool = False
    weights: bool = False
    dtype: str = "float32"


class Answers(NamedTuple):
    """What is kept of a batch, by the names of a store's arrays; None where it is not asked for."""

    maps: Float[Array, "b K *space"]
    score: Float[Array, "b K"]
    target: Int[Array, "b K"]
    status: Int[Array, "b K"]
    prediction: Int[Array, " b"]
    scale: Float[Array, "b K"] | None = None
    heatmap: Int[Array, "b K *size"] | None = None
    weights: Float[Array, "b K C"] | None = None


class Program:
    """`camjax.explainer` for batches of one size, compiled once; each device explains a part of a batch.

    Examples do not depend on each other, so each device, or each group of devices that share the parameters, runs the
    program for its own rows, and exchanges nothing with the others. The inputs are not donated, since no answer has
    their shape, but nobody holds them: each batch's are freed when it is done.

    Args:
        model: a `Model`.
        example: one example's shape and dtype, without a batch axis.
        question: what is asked.
        batch: how many examples run at once.
        preprocess: how what the model sees of a picture, uint8, becomes its input; it is made on the devices, so that
            a quarter of the bytes go there, and no thread of the host's is busy with it. None: inputs come as they are.
        places: where they run, and where parameters lie; by default all devices of this process, each with a copy.

    Raises:
        ValueError: as `camjax.explainer`; or the parameters cannot be divided.
    """

    def __init__(
        self,
        model: Any,
        example: Any,
        question: Question,
        batch: int,
        preprocess: Preprocess | None = None,
        places: Places | None = None,
    ) -> None:
        self.batch, self.places = batch, places or Places.of(None, None, batch)
        one = jax.ShapeDtypeStruct((1, *example.shape), example.dtype)
        cuts, fusion = splits(
            model, one, question.layer, question.method, question.axes, question.scores, question.fusion
        )
        first = cuts[0]
        self.layers = tuple(cut.name or "a Split" for cut in cuts)
        explain = camjax.explainer(
            model,
            one,
            layer=list(cuts) if len(cuts) > 1 else first,
            fusion=fusion if len(cuts) > 1 else None,
            method=question.method,
            size="input" if question.heatmaps else None,
            scores=question.scores,
            smoothing=question.smoothing,
        )
        try:
            self.classes: int | None = class_scores(first, first.bound(model.params), one).shape[0]
        except ValueError:  # the model has no class scores; then it predicts no class
            self.classes = None
        target = target_of(question.target, model.labels, self.classes)
        answers_of = functools.partial(_answers, explain, first if self.classes else None, question, target, preprocess)

        def run(model: Any, x: Any, *of_rows: Any) -> Answers:
            at_once = most(entries(), x, widest(cuts))
            return in_portions(functools.partial(answers_of, model), at_once, x, *of_rows)

        whole, rows = PartitionSpec(), PartitionSpec(AXIS)
        sharded = jax.shard_map(
            run,
            mesh=self.places.mesh,
            in_specs=(whole, rows, rows, rows),
            out_specs=rows,
            axis_names={AXIS},  # over the others the compiler divides, as the parameters are
            check_vma=False,
        )
        self.model = dataclasses.replace(model, params=self.places.put(model.params))
        self.row = example if preprocess is None else viewed(preprocess)
        shapes = [((batch, *self.row.shape), self.row.dtype), ((batch,), jnp.int32), ((batch,), jnp.int32)]
        inputs = [jax.ShapeDtypeStruct(shape, dtype, sharding=self.places.rows) for shape, dtype in shapes]
        lowered = jax.jit(sharded).lower(self.model, *inputs)
        answers = lowered.out_info._asdict()
        self.shapes: dict[str, tuple[int, ...]] = {k: v.shape for k, v in answers.items() if v is not None}
        self._lowered = lowered

    @functools.cached_property
    def compiled(self) -> Any:
        """The executable; made when it is first needed, since a run that is refused or done needs none."""
        return self._lowered.compile()

    def __call__(self, x: np.ndarray, labels: np.ndarray, ids: np.ndarray) -> Answers:
        """The answers for one batch. They are still being computed when this returns."""
        return self.compiled(self.model, *jax.device_put((x, labels, ids), self.places.rows))


def _answers(
    explain: Any,
    cut: Any,
    question: Question,
    target: Any,
    preprocess: Preprocess | None,
    model: Any,
    x: Any,
    labels: Any,
    ids: Any,
) -> Answers:
    # The rows of one device, or a portion of them.
    if preprocess is not None:
        x = jax.vmap(functools.partial(images.normalise, spec=preprocess))(x)
    found = explain(model, x, labels if is_label(target) else target, ids=ids, key=jax.random.key(question.seed))
    heatmap = weights = None
    if question.heatmaps:
        heatmap = jnp.round(255 * found.heatmap).astype(jnp.uint8)
    if question.weights and found.weights is not None:
        weights = found.weights.astype(jnp.float32)
    raw, scale = found.raw.astype(jnp.float32), None
    if question.dtype == "float16":
        raw, scale = _halved(raw)
    prediction = jnp.full(x.shape[:1], -1, jnp.int32)
    if cut is not None:
        # The forward pass is the explanation's own: the compiler sees that both are the same.
        params = cut.bound(model.params)
        scores = jax.vmap(lambda one: logits(wide(cut.outputs(params, one))))(x)
        prediction = jnp.argmax(scores, 1).astype(jnp.int32)
    score = found.score.astype(jnp.float32)
    return Answers(raw, score, found.target, found.status, prediction, scale, heatmap, weights)


def _halved(raw: Float[Array, "b K *space"]) -> tuple[Float[Array, "b K *space"], Float[Array, "b K"]]:
    """Maps in half precision: raw = maps scale, with scale the power of two for which 1/2 <= max |map| < 1.

    Dividing by a power of two is exact, so only the rounding to 11 bits is lost, however large or small a map is.
    """
    largest = jnp.max(jnp.abs(raw), axis=tuple(range(2, raw.ndim)))
    _, exponent = jnp.frexp(jnp.where(jnp.isfinite(largest) & (largest > 0), largest, jnp.float32(1)))
    scale = jnp.ldexp(jnp.ones_like(largest), exponent)
    return (raw / jnp.expand_dims(scale, range(2, raw.ndim))).astype(jnp.float16), scale


def viewed(spec: Preprocess) -> jax.ShapeDtypeStruct:
    """What a model sees of one picture."""
    return jax.ShapeDtypeStruct((*spec.size, len(spec.mean)), np.uint8)


def fingerprint(model: Any, example: Any) -> dict[str, str]:
    """Two hashes that identify a model: of its parameters, and of what it computes.

    The second is that of its program for one example, which no name and no file's place enters.
    """
    one = jax.ShapeDtypeStruct((1, *example.shape), example.dtype)
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(model.params):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    program = jax.jit(lambda params, x: model.apply(params, x)).lower(model.params, one).as_text()
    return {"parameters": digest.hexdigest(), "program": hashlib.sha256(program.encode()).hexdigest()}
