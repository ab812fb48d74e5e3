"""Which law holds for which method: what is claimed holds on random networks, what is not claimed fails on one."""

import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import camjax
from camjax import methods, testing
from tests.laws.tried import TRIED, kind_of, quickly, setting

# A law that fails only for what a method's options or the network make of it: where it does.
REFUTED_WITH = {
    ("groupcam", "homogeneous"): methods.GroupCAM(groups=2, blur=(3, 1.0), scores="score"),
}
# What can be neither claimed nor refuted, since the method refuses the models with which the law asks.
SILENT = {
    "cam": {"local", "common"},  # heads other than an average and one matrix: log-probabilities, unread positions
}


@pytest.fixture(autouse=True)
def float64():
    with quickly():
        yield


@pytest.mark.parametrize("name", TRIED)
def test_every_method_has_its_laws(name):
    kind = methods.METHODS[name]
    assert kind in testing.CLAIMED, (
        f"{kind.__name__} is in camjax.methods.METHODS, but camjax/testing/_claims.py does not say which laws hold for "
        "it: add an entry to CLAIMED (and to CLAIMED_WHERE), and these tests will try it."
    )


@pytest.mark.parametrize("name", TRIED)
@settings(max_examples=2)
@given(seed=st.integers(0, 2**31))
def test_what_is_claimed_holds(name, seed):
    arguments, options = setting(name, seed=seed)
    for law in (*testing.claimed(TRIED[name]), testing.finite):
        law(*arguments, **options)


@pytest.mark.parametrize("name", TRIED)
def test_what_is_not_claimed_fails_in_words(name):
    claims = testing.claimed(TRIED[name])
    implied = {weaker for law, weaker in testing.IMPLIED.items() if law in claims}
    for law in testing.LAWS:
        if law in claims or law in implied or law.__name__ in SILENT.get(name, ()):
            continue
        text = complaint(name, law)
        assert text, (
            f"{law.__name__} holds for {name} on {kind_of(name)} networks, and is not claimed: claim it, or find a "
            "network or an option with which it fails"
        )
        failed = f"{law.__name__} does not hold for {type(TRIED[name]).__name__}("
        assert text.startswith(failed) or "reads the trace of the whole model" in text


def complaint(name, law):
    for seed in range(8):
        arguments, options = setting(name, seed=seed, method=REFUTED_WITH.get((name, law.__name__)))
        try:
            law(*arguments, **options)
        except (AssertionError, testing.NotApplicable) as error:
            return str(error)
    return ""


STRUCTURED = [name for name, m in TRIED.items() if any(type(m) in kinds for kinds in testing.CLAIMED_WHERE.values())]


@pytest.mark.parametrize("name", STRUCTURED)
def test_what_is_claimed_where_the_head_is_linear_holds(name):
    for law, kinds in testing.CLAIMED_WHERE.items():
        if type(TRIED[name]) in kinds and law is not testing.sums_to_score:
            arguments, options = setting(name, "pooled alone" if name == "cameras" else "pooled")
            if law is testing.flipped:
                arguments = symmetric(*arguments)
            law(*arguments, **options)
    if TRIED[name] in testing.CLOSED:
        arguments, options = setting(name, "pooled")
        testing.pooled(*arguments, **options)


def symmetric(model, x):
    """The model with kernels that are the same from either side."""

    def turned(path, leaf):
        if path[-1].key != "conv":
            return leaf
        both = leaf + leaf[::-1]
        return both + both[:, ::-1]

    return jax.tree.map_with_path(turned, model), x


@pytest.mark.parametrize("name", ["hirescam", "xgradcam", "odam"])
def test_a_map_sums_to_the_score_of_a_head_of_relus_and_matrices(name):
    assert type(TRIED[name]) in testing.CLAIMED_WHERE[testing.sums_to_score]
    arguments, options = setting(name, "plain")
    testing.sums_to_score(*arguments, **options)


@pytest.mark.parametrize("name", ["gradcam", "liftcam", "eigencam", "scorecam"])
def test_float32_gives_the_maps_of_float64(name):
    arguments, options = setting(name)
    testing.precision(*arguments, **options)


@pytest.mark.parametrize("law", testing.STRUCTURED, ids=lambda law: law.__name__)
def test_a_law_about_a_structure_says_where_it_is_missing(law):
    (model, x), options = setting("gradcam")
    if law is testing.precision:
        model, x = jax.tree.map(lambda leaf: leaf.astype("float32"), (model, x))
        options["layer"] = camjax.split(model, x)
    with pytest.raises(testing.NotApplicable, match=r"law .*(is about heads|is about networks|starts from a model in)"):
        law(model, x, **options)
