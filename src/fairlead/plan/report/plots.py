"""Plots as SVG texts that stand in a page: drawn by matplotlib, the same for the same values."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # matplotlib is an extra, imported by who draws
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#1b7f6b", "#c8553d", "#4a6fa5", "#b08900", "#7b5ea7", "#5a6675")
WIDE = (8.6, 3.4)  # inches
LOOK: Mapping[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e8ecf1",
    "axes.axisbelow": True,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A named line through points; `labels` stand beside them."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    labels: Sequence[str] = ()
    steps: bool = False


def lines(name: str, drawn: Sequence[Line], *, x: str, y: str, log: bool = False) -> str:
    """Lines over common axes from zero; `log`: the upright one by powers of ten."""
    return svg(name, lambda axes: draw_lines(axes, drawn, x=x, y=y, log=log))


def draw_lines(axes: Axes, drawn: Sequence[Line], *, x: str, y: str, log: bool) -> None:
    """The lines."""
    for color, line in zip(COLORS * len(drawn), drawn, strict=False):
        if line.steps:
            axes.step(line.x, line.y, where="post", color=color, label=line.name, linewidth=1.3)
        else:
            axes.plot(line.x, line.y, color=color, label=line.name, marker="o", markersize=3.5, linewidth=1.5)
        for at, to, text in zip(line.x, line.y, line.labels, strict=False):
            axes.annotate(text, (at, to), textcoords="offset points", xytext=(5, -10), fontsize=8, color="#5a6675")
    axes.set_xlim(left=0)
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if len(drawn) > 1:
        axes.legend(frameon=False)


def bars(name: str, values: Mapping[str, float], *, x: str, chosen: str = "") -> str:
    """Horizontal bars, the first on top, each with its value; the `chosen` one stands out."""
    return svg(name, lambda axes: draw_bars(axes, values, x=x, chosen=chosen), height=0.9 + 0.32 * len(values))


def draw_bars(axes: Axes, values: Mapping[str, float], *, x: str, chosen: str) -> None:
    """The bars."""
    names = list(values)[::-1]
    colors = [COLORS[0] if each == chosen else COLORS[2] for each in names]
    made = axes.barh(names, [values[each] for each in names], color=colors, height=0.62)
    axes.bar_label(made, labels=[short(values[each]) for each in names], padding=4, fontsize=8)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(x)
    axes.margins(x=0.12)


def short(value: float) -> str:
    """`1,763` or `0.154`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def stack(name: str, parts: Mapping[str, float], *, x: str, limit: float, limit_name: str) -> str:
    """One bar of `parts`, and where it has to end."""
    return svg(name, lambda axes: draw_stack(axes, parts, x=x, limit=limit, limit_name=limit_name), height=1.9)


def draw_stack(axes: Axes, parts: Mapping[str, float], *, x: str, limit: float, limit_name: str) -> None:
    """The bar."""
    left = 0.0
    for color, (name, size) in zip(COLORS, parts.items(), strict=False):
        axes.barh([""], [size], left=left, color=color, label=f"{name} {size:.1f}", height=0.5)
        left += size
    axes.axvline(limit, color="#1c2430", linestyle="--", linewidth=1.2, label=f"{limit_name} {limit:.1f}")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(x)
    axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def svg(name: str, draw: Callable[[Axes], None], *, height: float = WIDE[1]) -> str:
    """What `draw` puts on axes, as an <svg> element with a name for those who cannot see it."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**LOOK, "svg.hashsalt": name}):
        figure = Figure(figsize=(WIDE[0], height), layout="constrained")
        draw(figure.add_subplot())
        return element(figure, name)


def element(figure: Figure, name: str) -> str:
    """The figure without XML's prologue."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(name)}"', 1).strip()
