"""What comes out: panels, arrays, the table."""

import re
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

import camjax as library
from tests.cli.conftest import picture

FACTORIES = "python:tests.cli.factories:"


def rows(result):
    """The table's lines, cells split at two spaces or more."""
    lines = [re.split(r"\s{2,}", line.strip()) for line in result.out.splitlines()]
    assert lines[0][:3] == ["picture", "class", "score"]
    return lines[1:]


def load(path):
    with np.load(path) as stored:
        return dict(stored)


def test_a_picture_with_two_colours_is_explained_on_both_sides(camjax, workplace):
    result = camjax("explain", "photos/a.png", "-t", "red", "-t", "BLUE", "--save-arrays")
    assert result.code == 0
    arrays = load(workplace / "camjax-out" / "a.npz")
    red, blue = arrays["heatmap"]
    assert arrays["heatmap"].shape == (2, 32, 32)
    assert red[:, :14].min() > 0.95
    assert red[:, 18:].max() < 0.2
    assert blue[:, 18:].min() > 0.95
    assert arrays["name"].tolist() == ["red", "blue"]
    assert arrays["target"].tolist() == [0, 2]
    assert arrays["raw"].shape == (2, 8, 8)
    assert arrays["weights"].shape == (2, 3)
    assert arrays["layer"].item() == "features"
    assert arrays["method"].item() == "GradCAM"
    assert arrays["picture"].shape == (32, 32, 3)
    with Image.open(workplace / "camjax-out" / "a.cam.png") as panel:
        assert panel.width > 3 * 320
        assert panel.height > 320


def test_the_maps_are_those_of_explain(camjax, workplace):
    from tests.cli import factories

    camjax("explain", "photos/a.png", "-t", "1", "--method", "layercam", "--save-arrays")
    arrays = load(workplace / "camjax-out" / "a.npz")
    x = (arrays["picture"] / np.float32(255))[None]
    expected = library.explain(factories.colours(), x, 1, method=library.LayerCAM())
    np.testing.assert_allclose(arrays["heatmap"], expected.heatmap, atol=1e-6)
    np.testing.assert_allclose(arrays["score"], expected.score, rtol=1e-5)


def test_scores_and_softmax_are_the_models(camjax, workplace):
    result = camjax("explain", "photos", "-t", "top:3", "--save-arrays")
    for stem in "abc":
        arrays = load(workplace / "camjax-out" / f"{stem}.npz")
        logits = 10 * (arrays["picture"] / 255).mean((0, 1))
        order = np.argsort(-logits, kind="stable")
        np.testing.assert_allclose(arrays["score"], logits[order], rtol=1e-4)
        np.testing.assert_allclose(arrays["softmax"], np.exp(logits[order]) / np.exp(logits).sum(), rtol=1e-3)
        assert arrays["predicted"] == arrays["target"][0]
    assert len(rows(result)) == 9


def test_the_prediction_is_told_beside_the_class_asked_for(camjax):
    (row,) = rows(camjax("explain", "photos/b.png", "-t", "red"))
    assert row[:2] == ["b.png", "red"]
    assert row[4] in ("green", "blue")
    assert row[5] == "b.cam.png"


def test_what_the_column_says_depends_on_the_models_tail(camjax):
    one = ("explain", "photos/a.png", "-t", "red")
    plain, soft, sigmoid = (
        camjax(*one),
        camjax(*one, model=FACTORIES + "softmax"),
        camjax(*one, model=FACTORIES + "sigmoid"),
    )
    assert "softmax" in plain.out.splitlines()[0]
    assert "probability" in soft.out.splitlines()[0]
    assert [row[1:4] for row in rows(plain)] == [row[1:4] for row in rows(soft)]  # scores before the softmax
    assert [row[2] for row in rows(sigmoid)] == [row[2] for row in rows(plain)]
    assert [len(row) for row in rows(sigmoid)] == [len(row) - 1 for row in rows(plain)]  # and no probability


def test_scores_after_the_softmax_on_request(camjax):
    picture(right=(20, 20, 120)).save("photos/a.png")  # more red than blue
    one = ("explain", "photos/a.png", "-t", "red")
    before = camjax(*one, model=FACTORIES + "softmax")
    after = camjax(*one, "--scores", "outputs", model=FACTORIES + "softmax")
    assert rows(after)[0][2] == rows(before)[0][3]
    assert rows(after)[0][3:] == rows(before)[0][4:]  # no softmax of a softmax


def test_batches_have_one_shape_and_change_nothing(camjax, workplace, monkeypatch):
    shapes = []
    explainer = library.explainer

    def watched(*args, **kwargs):
        run = explainer(*args, **kwargs)
        return lambda model, x, target, **options: (shapes.append(x.shape), run(model, x, target, **options))[1]

    monkeypatch.setattr(library, "explainer", watched)
    results = {}
    for batch in (1, 2, 16):
        camjax("explain", "photos", "--batch", batch, "--save-arrays", "-o", f"out{batch}")
        results[batch] = [load(workplace / f"out{batch}" / f"{stem}.npz")["raw"] for stem in "abc"]
    assert [shape[0] for shape in shapes] == [1, 1, 1, 2, 2, 3]  # 2 + 1 pictures: the last batch is filled up
    for batch in (1, 2):
        np.testing.assert_allclose(results[batch], results[16], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "rewritten"),
    [
        (("photos/a.png",), False),
        (("photos/a.png", "--method", "eigencam", "-t", "red", "-t", "blue"), False),
        (("photos/a.png", "photos/b.png"), True),
        (("photos/a.png", "--batch", "1", "photos/b.png"), True),
        (("photos/a.png", "--method", "scorecam"), True),  # evaluates the model in a loop
        (("photos/a.png", "--layer", "features"), True),  # of which convolutions may follow
        (("photos/a.png", "--size", "257"), True),
    ],
)
def test_one_small_picture_that_passes_once_is_not_worth_rewriting(camjax, monkeypatch, options, rewritten):
    models, explainer = [], library.explainer
    monkeypatch.setattr(
        library, "explainer", lambda model, *a, **k: (models.append(model), explainer(model, *a, **k))[1]
    )
    assert camjax("explain", *options).code == 0
    assert [model.rewrite for model in models] == [rewritten]


def test_the_cameras_rotation_turns_the_map_too(camjax, workplace):
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored left is the scene's top
    picture().save(workplace / "turned.jpg", exif=exif, quality=95)
    camjax("explain", "turned.jpg", "-t", "red", "--save-arrays")
    red = load(workplace / "camjax-out" / "turned.npz")["heatmap"][0]
    assert red[:14].min() > 0.9
    assert red[18:].max() < 0.2


def test_the_map_lies_on_the_crop_that_the_model_saw(camjax, workplace):
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, 52:68] = (255, 0, 0)  # a red bar in the middle of a wide picture
    Image.fromarray(pixels).save(workplace / "wide.png")
    camjax("explain", "wide.png", "-t", "red", "--save-arrays", "--size", "32", "--resize", "32")
    arrays = load(workplace / "camjax-out" / "wide.npz")
    seen = arrays["picture"][..., 0].mean(0) > 128
    assert 12 <= seen.sum() <= 14
    hot = arrays["heatmap"][0].mean(0) > 0.5
    assert (seen ^ hot).sum() <= 4


def test_one_channel_and_channels_first(camjax, workplace):
    picture((10, 10, 10), (250, 250, 250)).save(workplace / "dark_light.png")
    result = camjax("explain", "dark_light.png", "--save-arrays", model=FACTORIES + "grey_nchw")
    assert result.code == 0
    arrays = load(workplace / "camjax-out" / "dark_light.npz")
    by_name = dict(zip(arrays["name"].tolist(), arrays["heatmap"], strict=True))
    assert by_name["dark"][:, :14].min() > 0.9 > 0.1 > by_name["dark"][:, 18:].max()
    assert by_name["light"][:, 18:].min() > 0.9 > 0.1 > by_name["light"][:, :14].max()


def test_no_evidence_is_said(camjax, workplace):
    picture((0, 0, 0), (0, 0, 0)).save(workplace / "black.png")
    result = camjax("explain", "black.png", "-t", "red")
    assert result.code == 0
    assert "red (no evidence)" in result.out


def test_names_are_printed_as_they_are(camjax):
    result = camjax("explain", "photos/a.png", "-t", "0", model=FACTORIES + "markup")
    assert "[bold]red[/bold]" in result.out


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision knows the names")
def test_imagenet_names_come_with_a_thousand_classes(camjax):
    result = camjax("explain", "photos/a.png", "-t", "great white shark", model=FACTORIES + "imagenet")
    assert result.code == 0
    assert rows(result)[0][:2] == ["a.png", "great white shark"]


def test_without_names_classes_are_numbers_and_it_is_said(camjax):
    result = camjax("explain", "photos/a.png", "-t", "0", model=FACTORIES + "unnamed")
    assert rows(result)[0][1] == "class 0"
    assert "class numbers only: the model brings no names" in result.err


def test_weights_go_to_the_function(camjax, workplace):
    np.save(workplace / "weights.npy", np.roll(np.tile(np.eye(3, dtype=np.float32), (4, 4, 1, 1)) / 16, 1, axis=3))
    result = camjax("explain", "photos/a.png", "-t", "top:1", "-w", "weights.npy", model=FACTORIES + "weighted")
    assert rows(result)[0][1] in ("green", "red")  # each colour is taken for the next


def test_imagenets_preprocessing_stands_in_and_can_be_set(camjax):
    result = camjax("explain", "photos/a.png", model=FACTORIES + "bare")
    assert "shorter side to 256, centre 224x224" in result.err
    assert "0.485,0.456,0.406" in result.err
    assert "as for ImageNet, unless options say otherwise, since the model does not tell" in result.err
    assert "as for ImageNet" not in camjax("explain", "photos/a.png").err
    options = ["--size", "16x24", "--resize", "none", "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25"]
    options += ["--scale", "127.5", "--interpolation", "bicubic", "--layout", "nhwc"]
    result = camjax("explain", "photos/a.png", *options, model=FACTORIES + "bare")
    assert "stretched to 16x24, bicubic, (pixel / 127.5 - 0.5,0.5,0.5) / 0.25,0.25,0.25, NHWC" in result.err


def test_layers(camjax):
    result = camjax("layers")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].split() == ["layer", "shape", "axes", "note"]
    assert lines[1].startswith("*  features")
    assert "1x8x8x3" in lines[1]
    assert "1x4x8x3" in camjax("layers", "--size", "16x32").out
