"""Pictures of simple objects with exact masks: the drawing half of the picture generator, pure NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from camjax.testbed import _shapes
from camjax.testbed._layout import COLOURS, OCTAVES, SLOTS, Layout, layout

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int, UInt8

_PALETTE = np.array(list(COLOURS.values()), np.float32) / 255
# Where a texture's wave is positive, the object is lighter; (x, y) is in radii and turns with the object.
_PATTERNS = {
    "plain": lambda x, y: np.full_like(x, -1),
    "stripes": lambda x, y: np.sin(9 * x),
    "dots": lambda x, y: 2.4 * np.cos(8 * x) * np.cos(8 * y) - 0.6,
    "checks": lambda x, y: 3 * np.sin(6.5 * x) * np.sin(6.5 * y),
}
TEXTURES: tuple[str, ...] = tuple(_PATTERNS)
"""The textures of objects."""

_CHUNK = 64  # scenes drawn at once: bounds the memory, changes nothing else


class Scenes(NamedTuple):
    """`n` pictures and everything that is true about them.

    Object slots that are not used hold -1 and empty masks.

    Attributes:
        images: the pictures, 8-bit RGB.
        masks: the pixels of each object, all of them: a pixel outside every mask is background alone.
        classes: each object's index into `CLASSES`.
        colours: each object's index into `COLOURS`.
        centres: each object's (row, column), in pixels.
        radii: the radius of each object's bounding circle, in pixels.
        textures: each object's index into `TEXTURES`.
    """

    images: UInt8[np.ndarray, "n h w 3"]
    masks: Bool[np.ndarray, "n 4 h w"]
    classes: Int[np.ndarray, "n 4"]
    colours: Int[np.ndarray, "n 4"]
    centres: Float32[np.ndarray, "n 4 2"]
    radii: Float32[np.ndarray, "n 4"]
    textures: Int[np.ndarray, "n 4"]

    @property
    def labels(self) -> Bool[np.ndarray, "n c"]:
        """Which classes are in each picture."""
        return (self.classes[:, :, None] == np.arange(len(_shapes.CLASSES))).any(1)

    def names(self, i: int) -> tuple[str, ...]:
        """What is in picture `i`, object by object: its colour and its class."""
        pairs = zip(self.colours[i], self.classes[i], strict=True)
        return tuple(f"{tuple(COLOURS)[c]} {_shapes.CLASSES[k]}" for c, k in pairs if k >= 0)


def scenes(
    seed: int,
    n: int,
    *,
    objects: tuple[int, int] = (1, 4),
    size: int = 64,
    start: int = 0,
    distinct: bool = True,
) -> Scenes:
    """Draw scenes `start` .. `start + n - 1` of a seed: objects on a textured, cluttered background.

    Scene `i` of a seed is always the same, whatever `n` and `start`. A scene is described in units of its
    side, so the same scene can be drawn at any `size`. Bounding circles of objects never overlap.

    Args:
        seed: any non-negative integer.
        n: how many scenes.
        objects: the fewest and the most objects of a scene, between 1 and 4.
        size: height and width of the pictures in pixels, at least 32.
        start: the index of the first scene.
        distinct: whether the objects of a scene all have different classes.

    Returns:
        `Scenes` with uint8 pictures [n, size, size, 3], bool masks [n, 4, size, size] and what is in them.

    Raises:
        ValueError: when `objects`, `size`, `n`, `seed` or `start` is out of range.

    Example:
        >>> drawn = scenes(0, 2, objects=(2, 2))
        >>> drawn.images.shape, drawn.masks.shape
        ((2, 64, 64, 3), (2, 4, 64, 64))
        >>> drawn.labels.sum(1).tolist()
        [2, 2]
    """
    low, high = objects
    if not 1 <= low <= high <= SLOTS:
        raise ValueError(f"scenes: objects must be (fewest, most) with 1 <= fewest <= most <= {SLOTS}, got {objects}.")
    if size < 32:
        raise ValueError(f"scenes: size must be at least 32 pixels, got {size}; smaller objects lose their shape.")
    for name, value in {"seed": seed, "n": n, "start": start}.items():
        if value < 0:
            raise ValueError(f"scenes: {name} must not be negative, got {value}.")
    images = np.empty((n, size, size, 3), np.uint8)
    masks = np.empty((n, SLOTS, size, size), bool)
    kept = []
    for first in range(0, n, _CHUNK):
        part = layout(seed, min(_CHUNK, n - first), objects, start + first, distinct)
        rows = slice(first, first + len(part.classes))
        images[rows], masks[rows] = render(part, size)
        textures = np.where(part.classes < 0, -1, part.textures)
        kept.append((part.classes, part.colours, part.centres * size, part.radii * size, textures))
    none = np.empty((0, SLOTS), int)
    kept = kept or [(none, none, np.empty((0, SLOTS, 2)), np.empty((0, SLOTS)), none)]
    return Scenes(images, masks, *(np.concatenate(column) for column in zip(*kept, strict=True)))


def render(scene: Layout, size: int) -> tuple[UInt8[np.ndarray, "n h w 3"], Bool[np.ndarray, "n 4 h w"]]:
    """Draw layouts at a size: 8-bit pictures, and the pixels that each object painted."""
    n = len(scene.classes)
    pad = int(0.3 * size)  # room for the windows of objects at the border
    canvas = np.zeros((n, size + 2 * pad, size + 2 * pad, 3), np.float32)
    inside = slice(pad, pad + size)
    canvas[:, inside, inside], strokes = _background(scene, size)
    everyone = np.arange(n)
    for k in range(strokes.shape[1]):
        radius = scene.stroke_radii[:, k] * size
        at = scene.stroke_centres[:, k] * size + pad
        window, u, _ = _window(everyone, at, radius, scene.stroke_angles[:, k], 0.06 * size)
        alpha, _ = _cover(scene.stroke_shapes[:, k], u, radius)
        _blend(canvas, window, alpha, strokes[:, k, None, None])
    painted = np.zeros((n, SLOTS, *canvas.shape[1:3]), bool)
    for k in range(SLOTS):
        rows = np.flatnonzero(scene.classes[:, k] >= 0)
        radius = scene.radii[rows, k] * size
        at = scene.centres[rows, k] * size + pad
        window, u, upright = _window(rows, at, radius, scene.angles[rows, k], 0.22 * size)
        alpha, depth = _cover(scene.classes[rows, k], u, radius)
        look = (scene.colours[rows, k], scene.tones[rows, k], scene.textures[rows, k])
        _blend(canvas, window, alpha, _paint(*look, u, upright, depth))
        painted[(window[0], k, *window[1:])] = alpha > 0
    pictures = np.clip(np.rint(canvas[:, inside, inside] * 255), 0, 255).astype(np.uint8)
    return pictures, painted[:, :, inside, inside]


def _window(rows, centre, radius, angle, largest):
    """The square of pixels around each object, and their coordinates in its frame, turned and upright."""
    half = int(np.ceil(1.06 * largest)) + 1
    corner = np.floor(centre).astype(int) - half
    ticks = corner[:, :, None] + np.arange(2 * half + 1)  # [n, 2, w]
    y, x = np.moveaxis((ticks + 0.5 - centre[:, :, None]) / radius[:, None, None], 1, 0).astype(np.float32)
    y, x = y[:, :, None], x[:, None, :]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    index = (rows[:, None, None], ticks[:, 0, :, None], ticks[:, 1, None, :])
    return index, (cos * x + sin * y, cos * y - sin * x), (x, y)


def _cover(shape, u, radius):
    """How much of each pixel a shape covers (edges one pixel wide), and the depth inside it, in radii."""
    outside = _shapes.distance(shape, *u)
    alpha = np.clip(0.5 - outside * radius[:, None, None], 0, 1)
    # What would change no grey level is not drawn: so a mask is exactly what was painted.
    return np.where(alpha < 1 / 255, 0, alpha), -outside


def _blend(canvas, window, alpha, colour):
    row, y, x = window
    height, width = canvas.shape[1:3]
    flat = (row * height + y) * width + x
    pixels = canvas.reshape(-1, 3)
    under = np.take(pixels, flat, axis=0)
    pixels[flat] = under + alpha[..., None] * (colour - under)


def _paint(hue, tone, texture, u, upright, depth) -> Float32[np.ndarray, "n w w 3"]:
    """An object's colours: its named one, a texture in a lighter shade, a darker rim, light from above."""
    x, y = u
    base = _PALETTE[hue] * (0.88 + 0.2 * tone[:, None])
    wave = np.zeros_like(x)
    for number, draw in enumerate(_PATTERNS.values()):
        rows = texture == number
        wave[rows] = draw(x[rows], y[rows])
    pattern = np.clip(0.5 + 1.5 * wave, 0, 1)[..., None]
    light = 1 - 0.11 * (upright[0] + upright[1])
    shade = light * (0.62 + 0.38 * np.clip((depth - 0.04) / 0.1, 0, 1))
    lighter = 0.5 * (1 - base)
    return np.clip((base[:, None, None] + pattern * lighter[:, None, None]) * shade[..., None], 0, 1)


def _background(scene: Layout, size: int):
    """A muted, textured ground, and the colours of its clutter."""
    n, g = len(scene.ground), scene.ground
    noise, first = np.zeros((n, size, size), np.float32), 0
    for octave, side in enumerate(OCTAVES):
        grid = scene.noise[:, first : first + side**2].reshape(n, side, side) - 0.5
        first += side**2
        weights = _smooth(side, size)
        # Each finer octave is weaker; how much so is the roughness of the scene.
        noise += (0.4 + 0.3 * g[:, 0, None, None]) ** octave * (weights @ grid @ weights.T)
    ticks = (np.arange(size, dtype=np.float32) + 0.5) / size
    angle = np.pi * g[:, 1, None, None]
    along = np.cos(angle) * ticks[None, None] + np.sin(angle) * ticks[None, :, None]
    waves = np.sin(2 * np.pi * (4 + 8 * g[:, 2, None, None]) * along) * 0.22 * (g[:, 3, None, None] > 0.6)
    mix = np.clip(0.5 + 1.1 * noise + 0.4 * (along - 0.5) + waves, 0, 1)[..., None]
    dark, light = _muted(g[:, 4], 0.22 + 0.3 * g[:, 5]), _muted(g[:, 6], 0.55 + 0.3 * g[:, 5])
    swap = (g[:, 7] < 0.5)[:, None]
    one, two = np.where(swap, dark, light), np.where(swap, light, dark)
    ground = one[:, None, None] * (1 - mix) + two[:, None, None] * mix
    tones = scene.stroke_tones[..., None]
    return ground, dark[:, None] * 0.7 * (1 - tones) + (light[:, None] * 0.7 + 0.3) * tones


def _muted(hue, value) -> Float32[np.ndarray, "n 3"]:
    """Colours of low saturation."""
    wheel = 0.5 + 0.5 * np.cos(2 * np.pi * (hue[:, None] - np.array([0, 1, 2], np.float32) / 3))
    return (value[:, None] * (1 - 0.35 * (1 - wheel))).astype(np.float32)


def _smooth(side: int, size: int) -> Float32[np.ndarray, "size side"]:
    """Weights that interpolate `side` values to `size` pixels with a smooth step between neighbours."""
    position = (np.arange(size) + 0.5) / size * (side - 1)
    left = np.minimum(position.astype(int), side - 2)
    t = position - left
    t = t * t * (3 - 2 * t)
    weights = np.zeros((size, side), np.float32)
    weights[np.arange(size), left] = 1 - t
    weights[np.arange(size), left + 1] = t
    return weights
