"""An explanation in matplotlib: what is drawn where, and that pyplot is left alone."""

from __future__ import annotations

import io
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wherelook.errors import InputError
from wherelook.explanation import Explanation


def drawn(ax):
    """The figure can be drawn, without a warning."""
    ax.figure.savefig(io.BytesIO(), format="png")
    return ax.images


def test_image_heatmap_and_title_on_an_axes_of_its_own(make_explanation):
    explanation = make_explanation(question="Does it cost $5 or $6_?")
    settings = dict(mpl.rcParams)
    ax = explanation.plot()
    photo, heatmap = drawn(ax)
    assert isinstance(ax, Axes)
    assert np.array_equal(photo.get_array(), explanation.pixels)
    assert np.array_equal(heatmap.get_array(), explanation.heatmap)
    assert heatmap.get_extent() == photo.get_extent()
    assert heatmap.get_clim() == (0, 1)
    assert ax.get_title() == "Does it cost $5 or $6_?\nThe green one."
    assert not Gcf.get_all_fig_managers()
    assert dict(mpl.rcParams) == settings


def test_pixels_are_those_of_the_image_where_the_map_is_low_and_colored_where_it_is_high(make_explanation):
    explanation = make_explanation(pixels=np.full((90, 120, 3), 255, np.uint8))
    figure = Figure(figsize=(1.2, 0.9), dpi=100)
    explanation.plot(figure.add_axes((0, 0, 1, 1))).set_title("")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="raw")
    shown = np.frombuffer(buffer.getvalue(), np.uint8).reshape(90, 120, 4)[..., :3]
    ours = np.asarray(explanation.overlay()).astype(int)
    peak = 24, 92  # row and column
    assert (shown[60:] == 255).all()
    assert (shown[peak] != 255).any()
    assert abs(shown[peak].astype(int) - ours[peak]).max() < 30


def test_without_a_focus_it_says_so(make_explanation):
    explanation = make_explanation("not_visual")
    (shown,) = drawn(explanation.plot())
    assert np.array_equal(shown.get_array(), np.asarray(explanation.overlay()))


def test_several_images_on_one_axes_or_on_one_each(make_explanation):
    one = make_explanation().images[0]
    explanation = make_explanation(images=(one, replace(one, heatmap=1 - one.heatmap)))
    assert drawn(explanation.plot())[0].get_array().shape == (90, 240, 3)
    figure = Figure()
    axes = figure.subplots(1, 2)
    assert explanation.plot(axes) is axes
    for ax, part in zip(axes, explanation.images, strict=True):
        assert np.array_equal(drawn(ax)[1].get_array(), part.heatmap)
    assert axes[0].get_title() == "Which one is it?\nThe green one.\nimage 1"
    assert axes[1].get_title() == "image 2"
    with pytest.raises(InputError, match="plot needs one Axes, or one for each of 2 images; got 3"):
        explanation.plot(figure.subplots(1, 3))


def test_a_loaded_one_is_plotted_as_well(make_explanation, tmp_path):
    ax = Explanation.load(make_explanation().save(tmp_path)).plot()
    assert len(drawn(ax)) == 2
    assert "is not there and shown in gray" in ax.get_title()
