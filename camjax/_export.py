"""A model and its explanation as one file, which runs wherever jax does: StableHLO and the weights."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from camjax._explainer import explainer
from camjax._explanation import Explanation
from camjax._model import Model, Preprocess
from camjax._validate import check_ids, check_input, class_indices, class_of
from camjax.methods import GradCAM, Method
from camjax.methods._contract import describe

_PROGRAM, _WEIGHTS, _ABOUT = "explain.stablehlo", "weights.bin", "about.json"
_FORMAT = 1
_GRADCAM = GradCAM()
jax_export.register_namedtuple_serialization(Explanation, serialized_name="camjax.Explanation")


def export(
    model: Model,
    x: Any,
    path: str | Path,
    *,
    classes: int = 1,
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
    method: Method = _GRADCAM,
    **options: Any,
) -> None:
    """Writes a model and its explanation to one file, for any batch size, without any of the code that made it.

    `load_exported` reads it in a process that has jax and camjax, and needs no framework.

    Args:
        model: a `Model`.
        x: an input like those to come; only shapes and dtypes matter.
        path: the file, which is replaced if it exists.
        classes: K, how many classes are asked for per example, `[batch, K]`.
        platforms: where the file shall run.
        method: as for `camjax.explain`.
        **options: all others of `camjax.explainer` (`layer`, `size`, `smoothing`, ...).

    Raises:
        ValueError: as `camjax.explainer`.
        ImportError: `flatbuffers` is missing (`pip install 'camjax[export]'`).

    Example:
        >>> import camjax, os, tempfile
        >>> model, x = camjax.testbed.model(), jnp.zeros((1, 64, 64, 3))
        >>> path = os.path.join(tempfile.mkdtemp(), "testbed.camjax")
        >>> camjax.export(model, x, path, platforms=("cpu",))
        >>> load_exported(path)(jnp.zeros((5, 64, 64, 3)), "star").heatmap.shape
        (5, 1, 64, 64)
    """
    try:
        import flatbuffers  # noqa: F401 - jax.export imports it too late to say it in words
    except ImportError as error:
        raise ImportError("camjax.export needs flatbuffers: pip install 'camjax[export]'") from error
    x, _ = check_input(x, shapes=True)
    f = explainer(model, x, method=method, **options)
    leaves, tree = jax.tree.flatten(model.params)
    leaves = [jnp.asarray(leaf) for leaf in leaves]

    def run(leaves: list[Any], x: Any, index: Any, ids: Any, key: Any) -> Explanation:
        own = dataclasses.replace(model, params=jax.tree.unflatten(tree, leaves))
        return f(own, x, index, ids=ids, key=jax.random.wrap_key_data(key))

    (batch,) = jax_export.symbolic_shape("b")
    specs = (
        [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves],
        jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((batch, *leaf.shape[1:]), leaf.dtype), x),
        jax.ShapeDtypeStruct((batch, classes), jnp.int32),
        jax.ShapeDtypeStruct((batch,), jnp.int32),
        jax.ShapeDtypeStruct(jax.random.key_data(jax.random.key(0)).shape, jnp.uint32),
    )
    program = jax_export.export(jax.jit(run), platforms=platforms)(*specs)
    arrays = [np.asarray(leaf) for leaf in leaves]
    about = {
        "format": _FORMAT,
        "labels": model.labels,
        "preprocess": None if model.preprocess is None else dataclasses.asdict(model.preprocess),
        "method": describe(method),
        "classes": classes,
        "weights": [[str(array.dtype), array.shape] for array in arrays],
    }
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(_ABOUT, json.dumps(about, indent=1))
        file.writestr(_PROGRAM, program.serialize())
        with file.open(_WEIGHTS, "w", force_zip64=True) as weights:
            for array in arrays:
                weights.write(np.ascontiguousarray(array).tobytes())


@dataclasses.dataclass(frozen=True, eq=False)
class Exported:
    """A model and its explanation from a file.

    Attributes:
        labels: the names of the classes, if they are known.
        preprocess: how a picture becomes the input, if that is known.
        method: the method's name.
        classes: K, how many classes are asked for per example.
        platforms: where it runs.
    """

    labels: tuple[str, ...] | None
    preprocess: Preprocess | None
    method: str
    classes: int
    platforms: tuple[str, ...]
    _program: Any = dataclasses.field(repr=False)
    _weights: list[Any] = dataclasses.field(repr=False)

    def __call__(self, x: Any, target: Any, *, ids: Any = None, key: Any = None) -> Explanation:
        """The explanation of a batch of any size; with the axis K.

        Args:
            x: the input, batch axis first.
            target: K class names, or indices `[B, K]`, `[1, K]`, `[B]` or one, with K = `classes`.
            ids: as for `camjax.explain`.
            key: as for `camjax.explain`; without one, `jax.random.key(0)`.

        Raises:
            ValueError: when the input or the target does not fit.
        """
        x, batch = check_input(x)
        names = [target] if isinstance(target, str) else target
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
            names = [[class_of(name, self.labels) for name in names]]
        index = jnp.asarray(class_indices(names, batch), jnp.int32)
        index = index.reshape((-1, 1) if index.ndim < 2 else index.shape)
        if index.shape[1] != self.classes:
            raise ValueError(
                f"target: {index.shape[1]} classes per example, but this file was exported for {self.classes}; export "
                f"it again with classes={index.shape[1]}."
            )
        ids = check_ids(ids, batch)
        ids = jnp.arange(batch, dtype=jnp.int32) if ids is None else jnp.asarray(ids, jnp.int32)
        data = jax.random.key_data(jax.random.key(0) if key is None else key)
        return self._program.call(self._weights, x, jnp.broadcast_to(index, (batch, self.classes)), ids, data)


def load_exported(path: str | Path) -> Exported:
    """Reads what `export` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is none of camjax's, or it is incomplete.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"camjax.load_exported: {path} does not exist.")
    try:
        with zipfile.ZipFile(path) as file:
            about = json.loads(file.read(_ABOUT))
            program = jax_export.deserialize(bytearray(file.read(_PROGRAM)))
            weights = _arrays(io.BytesIO(file.read(_WEIGHTS)), about["weights"])
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(f"camjax.load_exported: {path} is no file that camjax.export wrote: {error}") from error
    if about["format"] != _FORMAT:
        raise ValueError(
            f"camjax.load_exported: {path} has format {about['format']}, expected {_FORMAT}; export it again."
        )
    shape = about["preprocess"]
    return Exported(
        labels=None if about["labels"] is None else tuple(about["labels"]),
        preprocess=None if shape is None else Preprocess.from_dict(shape),
        method=about["method"],
        classes=about["classes"],
        platforms=tuple(program.platforms),
        _program=program,
        _weights=weights,
    )


def _arrays(file: io.BytesIO, specs: list[Any]) -> list[Any]:
    arrays = []
    for name, shape in specs:
        dtype = jnp.dtype(name)
        arrays.append(jnp.asarray(np.frombuffer(file.read(dtype.itemsize * int(np.prod(shape))), dtype).reshape(shape)))
    return arrays
