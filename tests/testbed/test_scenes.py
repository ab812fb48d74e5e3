"""The picture generator: its pictures depend on seed and index alone, and its masks are exact."""

import numpy as np
import pytest

from camjax.testbed import CLASSES, COLOURS, Scenes, example, picture, scenes
from camjax.testbed._layout import layout
from camjax.testbed._scenes import render


def assert_equal(a: Scenes, b: Scenes):
    for name in Scenes._fields:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def part(drawn: Scenes, rows: slice) -> Scenes:
    return Scenes(*(column[rows] for column in drawn))


def test_a_scene_depends_on_its_seed_and_index_alone():
    many = scenes(3, 70)  # more than are drawn at once
    assert_equal(part(many, slice(0, 5)), scenes(3, 5))
    assert_equal(part(many, slice(60, 70)), scenes(3, 10, start=60))


def test_seeds_and_indices_differ():
    images = np.concatenate([scenes(3, 20).images, scenes(4, 20).images])
    assert len({image.tobytes() for image in images}) == 40


def test_number_of_objects():
    drawn = scenes(5, 200, objects=(2, 3))
    counts = (drawn.classes >= 0).sum(1)
    assert set(counts) == {2, 3}
    np.testing.assert_array_equal(drawn.labels.sum(1), counts)
    np.testing.assert_array_equal(drawn.masks.any((2, 3)), drawn.classes >= 0)
    np.testing.assert_array_equal(drawn.colours >= 0, drawn.classes >= 0)


def test_classes_and_colours_are_all_drawn_and_independent():
    drawn = scenes(6, 600, objects=(1, 1))
    table = np.zeros((len(CLASSES), len(COLOURS)), int)
    np.add.at(table, (drawn.classes[:, 0], drawn.colours[:, 0]), 1)
    assert table.min() > 0  # every class comes in every colour: colour tells nothing


def test_classes_repeat_only_when_asked():
    def repeats(drawn):
        return (drawn.labels.sum(1) < (drawn.classes >= 0).sum(1)).any()

    assert not repeats(scenes(7, 50, objects=(4, 4)))
    assert repeats(scenes(7, 50, objects=(4, 4), distinct=False))


@pytest.mark.parametrize("size", [64, 96])
def test_an_object_changes_the_pixels_of_its_mask_and_no_others(size):
    scene = layout(8, 40, (1, 4))
    images, masks = render(scene, size)
    for k in range(4):
        used = scene.classes[:, k] >= 0
        other = np.where(used, (scene.colours[:, k] + 3) % len(COLOURS), -1)
        colours = np.concatenate([scene.colours[:, :k], other[:, None], scene.colours[:, k + 1 :]], axis=1)
        recoloured, same = render(scene._replace(colours=colours), size)
        changed = (recoloured != images).any(-1)
        np.testing.assert_array_equal(same, masks)
        assert not (changed & ~masks[:, k]).any()
        # A pixel that an edge just touches may keep its grey levels; all the others change.
        assert (changed & masks[:, k])[used].sum() > 0.95 * masks[used, k].sum()


def test_outside_of_the_masks_is_the_background_alone():
    scene = layout(9, 40, (1, 4))
    images, masks = render(scene, 64)
    empty, none = render(scene._replace(classes=np.full_like(scene.classes, -1)), 64)
    assert not none.any()
    np.testing.assert_array_equal(images[~masks.any(1)], empty[~masks.any(1)])
    changed = (images != empty).any(-1)
    assert changed[masks.any(1)].mean() > 0.97


def test_masks_are_disjoint_and_within_the_picture():
    drawn = scenes(10, 300, objects=(4, 4))
    assert drawn.masks.sum(1).max() == 1
    assert drawn.masks.sum((2, 3)).min() > 40  # pixels: no object is too small to be seen
    border = np.concatenate([drawn.masks[:, :, [0, -1]].ravel(), drawn.masks[..., [0, -1]].ravel()])
    assert not border.any()


def test_masks_lie_within_the_bounding_circles_around_the_centres():
    drawn = scenes(11, 100)
    pixel = np.arange(64) + 0.5
    y = pixel[:, None] - drawn.centres[..., 0, None, None]
    x = pixel[None, :] - drawn.centres[..., 1, None, None]
    assert not (drawn.masks & (np.hypot(y, x) > drawn.radii[..., None, None] + 1)).any()


def test_a_scene_is_the_same_at_every_size():
    small, large = scenes(12, 20), scenes(12, 20, size=256)
    np.testing.assert_array_equal(small.classes, large.classes)
    np.testing.assert_allclose(4 * small.centres, large.centres, rtol=1e-5)
    shrunk = large.masks.reshape(20, 4, 64, 4, 64, 4).mean((3, 5)) > 0
    both, either = (shrunk & small.masks).sum(), (shrunk | small.masks).sum()
    assert both > 0.85 * either
    average = large.images.reshape(20, 64, 4, 64, 4, 3).mean((2, 4))
    assert np.abs(average - small.images).mean() < 4  # of 255 grey levels


def test_objects_have_their_named_colour():
    drawn = scenes(13, 200, objects=(1, 1))
    palette = np.array(list(COLOURS.values()), float)
    for i in range(200):
        median = np.median(drawn.images[i][drawn.masks[i, 0]].astype(float), axis=0)
        wanted = palette[drawn.colours[i, 0]]
        cosine = median @ wanted / np.linalg.norm(median) / np.linalg.norm(wanted)
        assert cosine > 0.85, drawn.names(i)


def test_names_say_what_is_there():
    assert example().names(0) == ("green disc", "red star", "pink flower", "blue heart")
    assert picture().shape == (256, 256, 3)
    assert picture().dtype == np.uint8
    assert picture(64).shape == (64, 64, 3)
    one = scenes(14, 1, objects=(1, 1))
    assert one.names(0) == (f"{list(COLOURS)[one.colours[0, 0]]} {CLASSES[one.classes[0, 0]]}",)


def test_no_scenes():
    drawn = scenes(0, 0)
    assert drawn.images.shape == (0, 64, 64, 3)
    assert drawn.masks.shape == (0, 4, 64, 64)
    assert drawn.labels.shape == (0, 8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"objects": (0, 2)}, "objects must be (fewest, most) with 1 <= fewest <= most <= 4, got (0, 2)"),
        ({"objects": (3, 2)}, "got (3, 2)"),
        ({"objects": (1, 5)}, "got (1, 5)"),
        ({"size": 16}, "size must be at least 32 pixels, got 16; smaller objects lose their shape"),
        ({"n": -1}, "n must not be negative, got -1"),
        ({"start": -3}, "start must not be negative, got -3"),
    ],
)
def test_errors_say_what_was_expected(arguments, words):
    with pytest.raises(ValueError, match=r"^scenes: ") as caught:
        scenes(**({"seed": 0, "n": 1} | arguments))
    assert words in str(caught.value)
