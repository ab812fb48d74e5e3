"""Dimensions as factors of axes: reshapes, cuts, joins."""

from camjax.trace._layout import SPACE, Dim, Factor, Fresh, inside, merged, reshaped, resized
from camjax.trace._pieces import concatenated, joined, windowed

H, W, C = ("input", 0, 1), ("input", 0, 2), ("channel", 1)


def dim(axis, size, before=0, after=0):
    return Dim((Factor(axis, size, 1, size),), before, after)


def test_tokens_are_rows_of_columns_and_split_back():
    tokens = reshaped((Dim(), dim(H, 2), dim(W, 3), dim(C, 5)), (1, 6, 5), Fresh())
    assert tokens == (Dim(), Dim((Factor(H, 2, 1, 2), Factor(W, 3, 1, 3))), dim(C, 5))
    assert reshaped(tokens, (1, 2, 3, 5), Fresh()) == (Dim(), dim(H, 2), dim(W, 3), dim(C, 5))


def test_windows_split_an_axis_into_a_major_and_a_minor_part_and_merge_again():
    windows = reshaped((Dim(), dim(H, 6)), (1, 3, 2), Fresh())
    assert windows == (Dim(), Dim((Factor(H, 3, 2, 6),)), Dim((Factor(H, 2, 1, 6),)))
    assert reshaped(windows, (1, 6), Fresh()) == (Dim(), dim(H, 6))


def test_parts_in_the_wrong_order_do_not_merge():
    major, minor = Factor(H, 3, 2, 6), Factor(H, 2, 1, 6)
    assert merged([major, minor]) == (Factor(H, 6, 1, 6),)
    assert merged([minor, major]) == (minor, major)


def test_a_reshape_across_factors_that_do_not_divide_loses_them():
    (_, a, b) = reshaped((Dim(), dim(H, 6), dim(W, 4)), (1, 4, 6), Fresh())
    assert {f.axis[0] for d in (a, b) for f in d.factors} == {"other"}


def test_a_reshape_through_a_prefix_loses_the_grid():
    (_, a, b) = reshaped((Dim(), dim(H, 4, before=2)), (1, 2, 3), Fresh())
    assert {f.axis[0] for d in (a, b) for f in d.factors} == {"other"}


def test_a_size_one_axis_that_keeps_its_place_stays_known():
    row = (Dim(), dim(H, 1), dim(W, 4), dim(C, 2))
    assert reshaped(row, (1, 1, 4, 2), Fresh()) == row


def test_an_empty_array_has_no_known_axes():
    assert [d.size for d in reshaped((Dim((Factor(H, 0, 1, 0),)),), (0, 5), Fresh())] == [0, 5]


def test_a_cut_of_a_prefix_leaves_the_grid_and_a_cut_of_the_grid_does_not():
    tokens = dim(H, 4, before=1)
    assert windowed(tokens, 1, 5, 1, Fresh()) == dim(H, 4)
    assert windowed(tokens, 0, 1, 1, Fresh()) == Dim()
    assert windowed(tokens, 2, 5, 1, Fresh()).factors[0].axis[0] == "other"


def test_half_of_an_axis_is_not_the_axis():
    assert windowed(dim(H, 4), 0, 2, 1, Fresh()).factors[0].axis == ("cropped", H, 4, 0)


def test_every_second_position_is_the_axis_at_half_its_resolution():
    assert windowed(dim(H, 4), 1, 4, 2, Fresh()) == dim(H, 2)
    assert windowed(dim(H, 8), 0, 4, 2, Fresh()).factors[0].axis[0] == "other"


def test_half_of_the_channels_are_channels():
    assert windowed(dim(C, 4), 0, 2, 1, Fresh()) == dim(C, 2)


def test_two_halves_make_the_axis_again_and_the_other_way_round_a_rotated_one():
    low, high = windowed(dim(H, 6), 0, 2, 1, Fresh()), windowed(dim(H, 6), 2, 6, 1, Fresh())
    assert concatenated([low, high], [False, False], Fresh()) == dim(H, 6)
    rolled = concatenated([high, low], [False, False], Fresh())
    assert rolled == dim(("rolled", H, 6, 2), 6)
    back = [windowed(rolled, 4, 6, 1, Fresh()), windowed(rolled, 0, 4, 1, Fresh())]
    assert concatenated(back, [False, False], Fresh()) == dim(H, 6)


def test_the_same_half_twice_is_not_the_axis():
    low = windowed(dim(H, 6), 0, 3, 1, Fresh())
    assert concatenated([low, low], [False, False], Fresh()).factors[0].axis[0] == "other"


def test_two_grids_end_to_end_are_no_grid():
    both = concatenated([dim(H, 4), dim(H, 4)], [True, True], Fresh())
    assert both.factors[0].axis[0] == "other"


def test_what_is_laid_beside_a_grid_is_outside_of_it():
    assert concatenated([dim(("other", 7), 5), dim(H, 4)], [False, True], Fresh()) == dim(H, 4, before=5)


def test_two_different_grids_added_up_are_unknown():
    two = joined([dim(H, 4), dim(W, 4)], [SPACE, SPACE], 4, Fresh())
    assert two.factors[0].axis[0] == "other"


def test_a_whole_axis_speaks_for_what_is_put_together_of_parts_of_several():
    windows = Dim((Factor(H, 8, 7, 56), Factor(H, 7, 1, 7)))  # one grid of 7 queries for each of 8 windows
    for order in ([dim(H, 56), windows], [windows, dim(H, 56)]):
        assert joined(order, [SPACE, SPACE], 56, Fresh()) == dim(H, 56)
    unknown = Dim((Factor(H, 8, 7, 56), Factor(("other", 1), 7, 1, 7)))
    assert joined([unknown, dim(H, 56)], [SPACE, SPACE], 56, Fresh()) == dim(H, 56)
    shifted = dim(H, 55, before=1)  # what was laid onto the picture beginning at its second position
    assert joined([shifted, dim(H, 56)], [SPACE, SPACE], 56, Fresh()) == dim(H, 56)


def test_a_whole_axis_is_the_same_at_whatever_stride():
    coarse = Dim((Factor(H, 32, 2, 64),))  # every second position, the others being channels now
    assert joined([coarse, dim(H, 32)], [SPACE, SPACE], 32, Fresh()) == coarse


def test_where_two_inputs_meet_the_first_speaks_for_both():
    there = ("input", 1, 1)
    assert joined([dim(there, 4), dim(H, 4)], [SPACE, SPACE], 4, Fresh()) == dim(H, 4)


def test_a_part_of_an_axis_cannot_be_resized_to_a_whole_one():
    assert resized(Dim((Factor(H, 7, 1, 14),)), 3) is None
    assert resized(Dim((Factor(H, 2, 7, 14),)), 3) == dim(H, 3)
    assert resized(windowed(dim(H, 8), 0, 4, 1, Fresh()), 2) is None


def test_repeated_positions_are_a_finer_axis_once_a_window_has_passed():
    repeated = Dim((Factor(H, 4, 1, 4), Factor(("other", 9), 2, 1, 2)))
    assert resized(repeated, 8) == dim(H, 8)
    assert resized(Dim((Factor(H, 4, 1, 4), Factor(W, 4, 1, 4))), 16) is None


def test_padding_is_what_a_window_can_reach_over():
    assert inside(dim(H, 4, before=1, after=1), reach=2) == dim(H, 4)
    assert inside(dim(H, 4, before=5), reach=2) == dim(H, 4, before=5)
