"""One bad picture never stops the rest; what cannot be done at all is told in one message."""

import re

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import picture

FACTORIES = "python:tests.cli.factories:"


def panels(workplace, out="camjax-out"):
    return sorted(path.name for path in (workplace / out).glob("*.cam.png"))


def test_every_bad_picture_is_reported_and_the_good_ones_are_explained(camjax, workplace, monkeypatch):
    photos = workplace / "photos"
    (photos / "text.jpg").write_text("no pixels here")
    (photos / "empty.png").touch()
    picture().save(photos / "cut.bmp")
    (photos / "cut.bmp").write_bytes((photos / "cut.bmp").read_bytes()[:5000])
    Image.new("F", (8, 8)).save(photos / "float.tif")
    Image.new("L", (300, 300)).save(photos / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    (workplace / "none").mkdir()
    (workplace / "other").mkdir()
    (workplace / "other" / "notes.txt").touch()
    result = camjax("explain", "photos", "gone.png", "none", "other", "--batch", 2)
    assert result.code == 1
    assert panels(workplace) == ["a.cam.png", "b.cam.png", "c.cam.png"]
    assert "8 not explained:" in result.err
    reasons = dict(re.findall(r"^  ([^:]+): (.*)$", result.err, re.MULTILINE))
    assert "not a picture" in reasons["photos/text.jpg"]
    assert "empty (0 bytes)" in reasons["photos/empty.png"]
    assert "truncated or damaged" in reasons["photos/cut.bmp"]
    assert "mode 'F'" in reasons["photos/float.tif"]
    assert "too large" in reasons["photos/bomb.png"]
    assert "no such file or folder" in reasons["gone.png"]
    assert "the folder is empty" in reasons["none"]
    assert "no picture, only .txt; camjax reads JPEG, PNG" in reasons["other"]
    assert "1 file in folders skipped" in result.err


def test_grey_cmyk_transparent_deep_and_animated_pictures_are_explained(camjax, workplace):
    odd = workplace / "odd"
    odd.mkdir()
    picture().convert("L").save(odd / "grey.png")
    picture().convert("CMYK").save(odd / "cmyk.jpg")
    picture().convert("RGBA").save(odd / "rgba.png")
    picture().quantize(8).save(odd / "palette.gif")
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(odd / "deep.png")
    picture().save(odd / "moving.gif", save_all=True, append_images=[picture((0, 0, 0))])
    result = camjax("explain", "odd")
    assert result.code == 0
    assert len(panels(workplace)) == 6


def test_when_every_picture_fails_the_status_is_one(camjax, workplace):
    (workplace / "text.jpg").write_text("no pixels here")
    result = camjax("explain", "text.jpg")
    assert result.code == 1
    assert "text.jpg: not a picture" in result.err
    assert result.out == ""


def test_nan_weights_are_each_pictures_failure(camjax):
    result = camjax("explain", "photos", model=FACTORIES + "nan")
    assert result.code == 1
    assert result.err.count("the score or the map is not finite: NaN in the weights") == 3


def test_a_layer_that_nothing_depends_on_names_a_better_one(camjax):
    result = camjax("explain", "photos/a.png", "--layer", "deaf", model=FACTORIES + "deaf")
    assert result.code == 1
    assert "the score does not depend on layer deaf; try --layer" in result.err


def test_more_names_than_classes(camjax):
    result = camjax("explain", "photos/a.png", "-t", "ultraviolet", model=FACTORIES + "too_many_names")
    assert result.code == 1
    assert "the model has no class 3, though it has 4 names" in result.err


def test_a_full_disk_is_that_pictures_failure(camjax, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    result = camjax("explain", "photos", "--save-arrays")
    assert result.code == 1
    assert result.err.count("cannot be written: [Errno 28] No space left on device") == 3


def test_a_folder_that_cannot_be_read_is_reported(camjax, monkeypatch):
    import os

    scandir = os.scandir  # the tests may run as root, whom permissions do not bind

    def deny(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    os.mkdir("photos/locked")
    monkeypatch.setattr(os, "scandir", deny)
    result = camjax("explain", "photos")
    assert result.code == 1
    assert "photos/locked: Permission denied." in result.err


def test_a_batch_that_does_not_fit_into_memory(camjax, monkeypatch):
    import jax

    import camjax as library

    def exhausted(*args, **options):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")

    monkeypatch.setattr(library, "explainer", lambda *args, **kwargs: exhausted)
    result = camjax("explain", "photos", "--batch", "2")
    assert result.code == 2
    assert "--batch: 2 pictures at once do not fit into memory; try fewer." in result.err


# Names of files


def test_files_with_the_same_name_do_not_overwrite_each_other(camjax, workplace):
    for folder in ("one", "two"):
        (workplace / folder).mkdir()
        picture().save(workplace / folder / "same.png")
    picture().save(workplace / "one" / "same.jpg")
    picture().save(workplace / "two" / "SAME.bmp")
    picture().save(workplace / "two" / "same-2.bmp")
    assert camjax("explain", "one", "two").code == 0
    assert len({name.lower() for name in panels(workplace)}) == 5


def test_a_picture_named_twice_is_explained_once(camjax, workplace):
    result = camjax("explain", "photos/a.png", "photos", "photos/../photos/a.png")
    assert result.code == 0
    assert panels(workplace) == ["a.cam.png", "b.cam.png", "c.cam.png"]


def test_panels_beside_the_pictures_are_not_explained_again(camjax, workplace):
    for _ in range(2):
        assert camjax("explain", "photos", "--out", "photos").code == 0
    assert panels(workplace, "photos") == ["a.cam.png", "b.cam.png", "c.cam.png"]
    camjax("explain", "photos", "--out", "photos/deep")
    assert len(panels(workplace, "photos/deep")) == 3
    camjax("explain", "photos", "--out", "photos/deep")
    assert len(panels(workplace, "photos/deep")) == 3


def test_an_input_is_never_overwritten(camjax, workplace):
    picture().save(workplace / "x.cam.png")
    picture().save(workplace / "x.png")
    before = (workplace / "x.cam.png").read_bytes()
    assert camjax("explain", "x.png", "x.cam.png", "--out", ".").code == 0
    assert (workplace / "x.cam.png").read_bytes() == before
    assert panels(workplace, ".") == ["x-2.cam.png", "x.cam.cam.png", "x.cam.png"]


def test_folders_are_searched_through_and_others_counted(camjax, workplace):
    deep = workplace / "photos" / "deep" / "deeper"
    deep.mkdir(parents=True)
    picture().save(deep / "d.JPG")
    (deep / "notes.txt").touch()
    (workplace / "photos" / ".hidden.png").touch()
    result = camjax("explain", "photos")
    assert result.code == 0
    assert "d.cam.png" in panels(workplace)
    assert "1 file in folders skipped" in result.err


# Wrong usage: status 2, one message, no traceback


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.png"], ["there is no picture to explain", "gone.png", "no such file"]),
        (["photos", "-t", "rad"], ["target", "no class is called 'rad'", "did you mean 'red'"]),
        (["photos", "-t", "3"], ["--target", "class 3 does not exist", "0 to 2"]),
        (["photos", "-t", "-1"], ["--target", "class -1 does not exist"]),
        (["photos", "-t", "top:4"], ["--target", "'top:4'", "K from 1 to 3"]),
        (["photos", "-t", "top:x"], ["--target", "'top:x'", "top:K"]),
        (["photos", "-t", "top:2", "-t", "red"], ["'top:2' stands by itself"]),
        (["photos", "--layer", "feature"], ["layer", "no layer is called 'feature'", "'features'"]),
        (["photos", "--method", "gradcam2"], ["--method", "'gradcam2'", "did you mean 'gradcam'", "camjax methods"]),
        (["photos", "--scores", "logit"], ["--scores", "'logit'", "logits or outputs"]),
        (["photos", "--colormap", "infernal"], ["colormap", "'infernal'", "inferno"]),
        (["photos", "--alpha", "1"], ["alpha", "1.0", "0 to 0.8"]),
        (["photos", "--size", "big"], ["--size", "'big'", "224"]),
        (["photos", "--size", "1x2x3"], ["--size", "HEIGHTxWIDTH"]),
        (["photos", "--resize", "0"], ["--resize", "'0'"]),
        (
            ["photos", "--size", "64", "--resize", "32"],
            ["--resize", "32 pixels", "64x64", "--resize 64 or more"],
        ),
        (["photos", "--mean", "a,b"], ["--mean", "'a,b'", "0.485,0.456,0.406"]),
        (["photos", "--mean", "0.5"], ["--mean, --std", "1 and 3", "3 (RGB) or 1 (grey)"]),
        (["photos", "--std", "1,0,1"], ["may not be 0"]),
        (["photos", "--scale", "0"], ["may not be 0"]),
        (["photos", "--layout", "HWC"], ["--layout", "'HWC'", "NHWC, NCHW"]),
        (["photos", "--interpolation", "linear"], ["--interpolation", "'linear'", "bilinear"]),
        (["photos", "--weights", "gone.pth"], ["--weights", "gone.pth", "no such file"]),
        (["photos", "--out", "photos/a.png"], ["--out", "photos/a.png", "give a folder"]),
        (["photos", "--out", "photos/a.png/out"], ["--out", "below, a file", "give a folder"]),
        (["photos", "--batch", "0"], ["--batch", "1"]),
        (["photos", "--nonsense"], ["No such option", "--nonsense"]),
    ],
)
def test_wrong_usage(camjax, arguments, words):
    result = camjax("explain", *arguments)
    assert result.code == 2
    assert "Traceback" not in result.err
    assert result.out == ""
    assert re.search("(?s)" + ".*".join(map(re.escape, words)), result.err), result.err


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("resnet18", ["--model", "'resnet18'", "torchvision:resnet18", "testbed, torchvision:NAME"]),
        ("torchvison:resnet18", ["did you mean 'torchvision'?"]),
        ("torchvision:", ["'torchvision:' says no name"]),
        ("torch:gone.pt2", ["gone.pt2", "no such file"]),
        (FACTORIES + "broken", ["RuntimeError: the disk is on fire", "factories.py, line"]),
        (FACTORIES + "nothing", ["returned NoneType, expected a camjax.Model"]),
        (FACTORIES + "NUMBER", ["is no function", "returns a camjax.Model"]),
        (FACTORIES + "missing", ["AttributeError", "missing"]),
        ("python:no_such_module:f", ["ModuleNotFoundError", "no_such_module"]),
    ],
)
def test_a_model_that_is_none(camjax, model, words):
    for command in (["explain", "photos"], ["layers"]):
        result = camjax(*command, model=model)
        assert result.code == 2
        assert "Traceback" not in result.err
        assert re.search("(?s)" + ".*".join(map(re.escape, words)), result.err), result.err


def test_a_name_without_labels(camjax):
    result = camjax("explain", "photos", "-t", "red", model=FACTORIES + "unnamed")
    assert result.code == 2
    assert "got the class name 'red', but the model has no labels" in result.err


def test_weights_that_nothing_takes(camjax, workplace):
    (workplace / "w.pth").touch()
    assert "the testbed brings its own" in camjax("explain", "-w", "w.pth", model="testbed").err
    assert "holds its weights already" in camjax("explain", "-w", "w.pth", model="torch:m.pt2").err


def test_an_output_folder_that_cannot_be_written(camjax, monkeypatch):
    from pathlib import Path

    def deny(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", deny)  # the tests may run as root, whom permissions do not bind
    result = camjax("explain", "photos")
    assert result.code == 2
    assert "--out: camjax-out cannot be written to (Permission denied); give another folder." in result.err


def test_an_extra_that_is_missing_is_named(camjax, monkeypatch):
    import importlib.util

    find, gone = importlib.util.find_spec, {"torch", "torchvision", "rich"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in gone else find(name))
    result = camjax("explain", "photos", model="torchvision:resnet18")
    assert result.code == 2
    assert "torchvision:resnet18 needs torch and torchvision: pip install 'camjax[torch]' torchvision" in result.err
    from camjax.cli import main

    with pytest.raises(SystemExit, match=r"needs rich, which is not installed: pip install 'camjax\[cli\]'"):
        main()
