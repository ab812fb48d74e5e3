import io
import os
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from camjax import plot
from camjax._explanation import Explanation
from camjax.plot._sheet import elide, font

GOLDEN = Path(__file__).parent / "golden"
LUMINANCE = np.array([0.299, 0.587, 0.114])


def scene(height=96, width=96):
    """A picture with edges, texture, dark and light, and two bumps of heat."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([100 + x, 160 - y, 90 + 60 * np.sin(x / 5) * np.sin(y / 7)], -1)
    image[20:50, 30:60] = (200, 60, 40)
    image[60:80, 55:90] = (240, 240, 245)

    def bump(a, b, width):
        return np.exp(-((y - a) ** 2 + (x - b) ** 2) / width)

    return np.uint8(image.clip(0, 255)), np.stack([bump(35, 45, 300), bump(70, 72, 400)])


def explanation(shape=(1, 2), space=(96, 96)):
    maps = scene()[1][:, : space[0], : space[1]]
    raw = np.resize(maps, (*shape, *space)).astype(np.float32)
    score = np.linspace(-2, 12.3456, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    target = np.resize(np.arange(281, 281 + shape[-1], dtype=np.int32), shape)
    return Explanation(raw, raw, None, score, target, np.zeros(shape, np.int32))


def check_golden(name, picture):
    """Compares with tests/golden/<name>.png; CAMJAX_GOLDEN=write makes it, to be looked at."""
    picture, path = picture.convert("RGB"), GOLDEN / f"{name}.png"
    if os.environ.get("CAMJAX_GOLDEN") == "write":
        picture.save(path, optimize=True)
    with Image.open(path) as golden:
        expected, got = np.asarray(golden.convert("RGB"), float), np.asarray(picture, float)
    assert got.shape == expected.shape
    difference = np.abs(got - expected)
    assert difference.mean() < 1  # the outlines of letters differ a little between FreeType's releases
    assert (difference.max(-1) > 40).mean() < 0.005


# Overlay


def test_without_heat_the_picture_is_untouched():
    image, _ = scene()
    np.testing.assert_array_equal(plot.overlay(image, np.zeros((96, 96)), grey=False), image)
    grey = plot.overlay(image, np.zeros((96, 96)))
    assert (grey == np.rint(image @ LUMINANCE)[..., None]).all()


@settings(deadline=None)
@given(
    heat=st.floats(0, 1),
    alpha=st.floats(0, 0.8),
    colormap=st.sampled_from(["inferno", "magma", "viridis", "turbo", "gray"]),
    grey=st.booleans(),
)
def test_the_heat_never_hides_the_picture(heat, alpha, colormap, grey):
    """Any two pixels under the same heat keep at least (1 - alpha) of their difference."""
    image, _ = scene(32, 32)
    image = image[::4, ::4]
    out = plot.overlay(image, np.full((8, 8), heat), alpha=alpha, colormap=colormap, grey=grey)
    before = (image @ LUMINANCE)[..., None].repeat(3, -1) if grey else image.astype(float)
    rounding = 1.001
    for axis in (0, 1):
        kept, had = np.abs(np.diff(out.astype(float), axis=axis)), np.abs(np.diff(before, axis=axis))
        assert (kept >= (1 - alpha) * had - rounding).all()


def test_the_equation():
    image, maps = scene()
    out = plot.overlay(image, maps[0], alpha=0.5, colormap="magma", grey=False)
    a = 0.5 * maps[0][..., None] ** 0.7
    np.testing.assert_allclose(out, (1 - a) * image + a * plot.colorize(maps[0], "magma"), atol=0.51)


def test_heat_shows_where_it_is():
    image, maps = scene()
    change = np.abs(plot.overlay(image, maps[0]).astype(float) - plot.overlay(image, maps[0] * 0)).sum(-1)
    assert change[:60, 20:70].mean() > 20 * change[75:, :].mean()


def test_a_coarse_map_is_interpolated_with_half_pixel_centres():
    coarse = np.random.default_rng(0).random((7, 7))
    fine = np.asarray(jax.image.resize(coarse, (56, 56), "bilinear", antialias=False))
    grey = np.full((56, 56, 3), 128, np.uint8)
    difference = plot.overlay(grey, coarse).astype(int) - plot.overlay(grey, fine)
    assert np.abs(difference).max() <= 1


def test_colours_are_matplotlibs():
    import matplotlib

    ramp = np.linspace(0, 1, 256)[None]
    expected = np.rint(matplotlib.colormaps["viridis"](ramp)[..., :3] * 255)
    np.testing.assert_array_equal(plot.colorize(ramp, "viridis"), expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": np.zeros((4, 4, 3))}, ["image", "float64 [4, 4, 3]", "uint8 [height, width, 3]"]),
        ({"heatmap": np.zeros((1, 96, 96))}, ["heatmap", "[1, 96, 96]", "[h, w] of one picture and target"]),
        ({"heatmap": np.full((96, 96), np.nan)}, ["heatmap", "nan", "finite ones in 0..1"]),
        ({"heatmap": np.full((96, 96), 3.0)}, ["heatmap", "values 3 to 3", "normalize='max'"]),
        ({"heatmap": np.zeros((7, 14))}, ["heatmap", "7x14", "96x96", "the part that the model saw"]),
        ({"alpha": 0.9}, ["alpha", "0.9", "0 to 0.8"]),
        ({"alpha": -0.1}, ["alpha", "-0.1", "0 to 0.8"]),
        ({"colormap": "infernal"}, ["colormap", "'infernal'", "did you mean", "inferno"]),
    ],
)
def test_overlay_refuses_in_words(change, words):
    image, maps = scene()
    arguments = {"image": image, "heatmap": maps[0], **change}
    with pytest.raises(ValueError, match=".*".join(map(re.escape, words))):
        plot.overlay(arguments.pop("image"), arguments.pop("heatmap"), **arguments)


def test_a_map_of_rounded_strides_is_accepted():
    assert plot.overlay(np.zeros((224, 300, 3), np.uint8), np.zeros((7, 10))).shape == (224, 300, 3)


# Panel


def test_panel_golden():
    image, maps = scene()
    titles = ["tiger cat", "a class whose name is much too long for its tile"]
    captions = ["score 12.3, probability 0.98", "score -1.25"]
    check_golden("panel", plot.panel(image, maps, titles, captions, title="scene.png", tile=192))


def test_panel_of_an_explanation_in_two_rows_golden():
    image, _ = scene()
    check_golden("panel_rows", plot.panel(image, explanation(), tile=128, columns=2, colormap="viridis"))


def test_panel_holds_the_picture_and_each_overlay():
    image, maps = scene()
    pixels = np.asarray(plot.panel(image, maps, tile=96))
    for tile in (image, *(plot.overlay(image, heat) for heat in maps)):
        rows = np.lib.stride_tricks.sliding_window_view(pixels[..., 0], (1, 96))[:, :, 0]
        starts = np.argwhere((rows == tile[0, :, 0]).all(-1))
        assert any((pixels[y : y + 96, x : x + 96] == tile).all() for y, x in starts)


def test_panel_keeps_the_pictures_shape_and_fits_the_tile():
    wide = np.zeros((50, 100, 3), np.uint8)
    one, two = (plot.panel(wide, np.zeros((1, 5, 10)), tile=tile).size for tile in (200, 400))
    assert (two[0] - one[0], two[1] - one[1]) == (2 * 200, 100)  # two tiles side by side, half as high


def test_panel_takes_one_example_without_its_batch_axis():
    image, _ = scene()
    one = explanation((1, 1))
    expected = plot.panel(image, one, tile=64)
    got = plot.panel(image, jax.tree.map(lambda leaf: leaf[0, 0], one), tile=64)
    np.testing.assert_array_equal(np.asarray(got), np.asarray(expected))


@pytest.mark.parametrize(
    ("maps", "titles", "words"),
    [
        (np.zeros((2, 96, 96)), ["a"], ["titles", "got 1", "each of the 2 heatmaps"]),
        (explanation((3, 2)), None, ["Explanation", "3 pictures", "leaf[:1]"]),
        (explanation()._replace(heatmap=None), None, ["size=None", "size='input'"]),
    ],
)
def test_panel_refuses_in_words(maps, titles, words):
    with pytest.raises(ValueError, match=".*".join(map(re.escape, words))):
        plot.panel(scene()[0], maps, titles)


@given(st.text(max_size=60), st.integers(40, 300))
def test_a_text_fits_its_tile(text, width):
    short = elide(text, 15, width)
    assert font(15).getlength(short) <= width
    assert short == " ".join(text.split()) or short.endswith("…")


# Notebook


def decoded(png):
    return Image.open(io.BytesIO(png))


def test_notebook_golden():
    check_golden("notebook", decoded(plot.notebook_png(explanation((2, 3)))))


def test_an_explanation_shows_itself():
    assert explanation()._repr_png_() == plot.notebook_png(explanation())


def test_the_sheet_says_what_it_leaves_out():
    all_of_it, part = (decoded(plot.notebook_png(explanation(shape))) for shape in ((4, 6), (5, 6)))
    assert part.width == all_of_it.width
    assert 10 < part.height - all_of_it.height < 40  # one line more, not one row


@pytest.mark.parametrize(("space", "shape"), [((96,), (2,)), ((4, 96, 96), (1, 2)), ((96, 96), ())])
def test_any_number_of_space_axes_and_no_target_axis(space, shape):
    raw = np.resize(scene()[1], (*shape, *space)).astype(np.float32)
    zeros = np.zeros(shape, np.int32)
    picture = decoded(plot.notebook_png(Explanation(None, raw, None, raw.max(), zeros, zeros)._replace(score=zeros)))
    assert np.asarray(picture).std() > 10


def test_maps_that_are_empty_unbounded_or_not_finite_are_drawn_and_named():
    maps = np.stack([np.zeros((8, 8)), np.eye(8) * 40 - 10, np.full((8, 8), np.nan)])
    from camjax.plot._rows import rows

    plain = explanation((1, 3))._replace(heatmap=maps[None], raw=maps[None])
    shown = rows(plain)
    assert shown.captions[0][0].endswith("no evidence")
    assert shown.captions[0][1] == "score 5.17"
    assert shown.captions[0][2] == "not finite"
    np.testing.assert_allclose(shown.maps[0, 1], np.eye(8))
    assert decoded(plot.notebook_png(plain)).mode == "RGB"


def test_nothing_is_drawn_while_tracing():
    seen = []
    jax.eval_shape(lambda e: seen.append(plot.notebook_png(e)), explanation())
    shapes = jax.eval_shape(lambda e: e, explanation())
    assert [*seen, plot.notebook_png(shapes)] == [None, None]


def test_without_the_extra_a_notebook_shows_the_numbers(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert plot.notebook_png(explanation()) is None


def test_a_large_batch_is_cut_before_it_is_copied(monkeypatch):
    """Eight thousand maps of which twenty-four are drawn: nothing larger than those becomes float64."""
    import tracemalloc

    raw = np.broadcast_to(scene()[1][:1].astype(np.float32), (200, 40, 96, 96))
    ones = np.ones((200, 40), np.int32)
    large = Explanation(raw, raw, None, ones, ones, ones)
    plot.notebook_png(explanation())  # fonts and colours are loaded
    tracemalloc.start()
    picture = decoded(plot.notebook_png(large))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    assert picture.width > 900
