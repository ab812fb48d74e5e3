"""The table of laws, as it is published, against what the package claims."""

from camjax import methods, testing

# The columns are COLUMNS. Y: holds; h: for the heatmap only; pool: behind an average and one matrix only.
TABLE = """
    HiResCAM                                                    Y Y Y Y Y Y Y
    GradCAM ShapleyCAM LayerIntegratedGradients                 Y Y Y Y Y Y pool
    XGradCAM                                                    Y Y Y Y Y - Y
    LayerCAM ElementwiseGradCAM                                 - Y Y - Y - -
    GradCAMPlusPlus                                             - Y - - Y - -
    EigenGradCAM                                                - Y Y Y Y - -
    EigenCAM FEM                                                - Y h - - - -
    ScoreCAM                                                    - Y - - - - -
    AblationCAM                                                 - h h Y - - -
    ReciproCAM                                                  Y Y Y Y Y Y pool
    GroupCAM                                                    - Y h - Y - -
"""
COLUMNS = ("linear", "shift", "homogeneous", "odd", "gauge", "mix", "total")
WEAKER = {
    "shift": testing.shifted_heatmap,
    "homogeneous": testing.scaled_heatmap,
}


def cell(kind, column):
    law = getattr(testing, column)
    if law in testing.CLAIMED[kind]:
        return "Y"
    if WEAKER.get(column) in testing.CLAIMED[kind]:
        return "h"
    return "pool" if column == "total" and kind in testing.CLAIMED_WHERE[testing.pooled_total] else "-"


def test_the_table_is_what_is_claimed():
    for line in TABLE.strip().splitlines():
        *kinds, a, b, c, d, e, f, g = line.split()
        for kind in kinds:
            found = [cell(getattr(methods, kind), column) for column in COLUMNS]
            assert found == [a, b, c, d, e, f, g], kind


def test_local_methods_are_those_that_look_at_each_position():
    local = {kind for kind, laws in testing.CLAIMED.items() if testing.local in laws}
    assert {methods.HiResCAM, methods.ElementwiseGradCAM, methods.LayerCAM} <= local
    assert {methods.LayerIntegratedGradients, methods.ReciproCAM} <= local
    assert not local & {methods.GradCAM, methods.GradCAMPlusPlus, methods.XGradCAM, methods.AblationCAM}


def test_a_law_that_is_implied_is_not_claimed_beside_the_one_that_implies_it():
    for laws in testing.CLAIMED.values():
        assert len(set(laws)) == len(laws)
        assert not any(law in laws and weaker in laws for law, weaker in testing.IMPLIED.items())


def test_every_claim_is_one_of_the_laws():
    assert all(set(laws) <= set(testing.LAWS) for laws in testing.CLAIMED.values())
    assert set(testing.CLAIMED_WHERE) <= set(testing.STRUCTURED)
