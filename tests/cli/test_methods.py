"""`camjax methods`, and explaining with any of them."""

import numpy as np
import pytest

from camjax import saliency
from camjax.methods import METHODS
from tests.cli.test_explain import load


def test_every_method_is_listed_with_what_it_costs_and_when_to_choose_it(camjax):
    result = camjax("methods")
    assert result.code == 0
    lines = {line.split()[0]: line for line in result.out.splitlines()}
    assert not METHODS.keys() & saliency.METHODS.keys()
    for name, method in (METHODS | saliency.METHODS).items():
        for text in (method.about.paper, method.about.cost, method.about.use):
            assert text in lines[name]
    assert "activations, gradients " in lines["gradcam"]
    assert "gradients of the input, key " in lines["smoothgrad"]
    assert "gradients of the input, ReLUs " in lines["deconvnet"]


def test_one_method_is_shown_whole(camjax):
    result = camjax("methods", "Grad-CAM")
    assert result.code == 0
    for text in ("w_k = 1/Z sum_p", "arXiv:1610.02391", "Cost: 1 forward", "Needs: activations, gradients"):
        assert text in result.out


def test_one_in_input_space_is_shown_whole_and_not_taken_for_a_map(camjax):
    result = camjax("methods", "Integrated-Gradients")
    assert result.code == 0
    for text in ("arXiv:1703.01365", "Cost: n + 2 = 66 forward", "Needs: gradients of the input\n"):
        assert text in result.out
    result = camjax("explain", "--method", "integrated-gradients")
    assert result.code == 2
    assert "draws no class-activation map; use it from Python" in result.err
    assert "method=camjax.saliency.IntegratedGradients()" in result.err


def test_an_unknown_method_is_refused_with_the_closest(camjax):
    for words in (("methods", "gradcan"), ("explain", "--method", "gradcan")):
        result = camjax(*words)
        assert result.code == 2
        assert "no method is called 'gradcan'; did you mean 'gradcam' or" in result.err


@pytest.mark.parametrize(
    "options",
    [
        ("--method", "score-cam"),
        ("--method", "refinecam"),
        ("--layer", "stage1", "--layer", "stage3", "--fusion", "max"),
    ],
)
def test_methods_and_several_layers_draw_maps(camjax, workplace, options):
    result = camjax("explain", *options, "-t", "heart", "--save-arrays", "-o", "out", model=None)
    assert result.code == 0, result.err
    heat = load(workplace / "out" / "picture.npz")["heatmap"]
    assert heat.max() == pytest.approx(1)


def test_random_maps_depend_on_the_seed_and_not_on_the_batch(camjax, workplace):
    maps = {}
    for seed, batch in ((0, 1), (0, 3), (1, 3)):
        camjax(
            "explain", "photos", "--method", "randomcam", "--seed", seed, "--batch", batch, "--save-arrays", "-o", "o"
        )
        maps[seed, batch] = load(workplace / "o" / "b.npz")["raw"]
    np.testing.assert_allclose(maps[0, 1], maps[0, 3], atol=1e-5)
    assert not np.allclose(maps[0, 3], maps[1, 3])
