"""One self-contained page: no script, no font, no picture from anywhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; max-width: 66rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-top: 1px solid #d5dbe3;
  padding-top: 0.8rem; }
p { max-width: 48rem; } .about { color: #5a6675; margin-top: 0.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.9rem 0.25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e8ecf1; }
th { color: #5a6675; font-weight: 600; } td:first-child, td.number, th.number { white-space: nowrap; }
td.number, th.number { text-align: right; }
tr.chosen td { font-weight: 600; background: #eef6f3; } svg { max-width: 100%; height: auto; display: block; }
@media print { body { margin: 0; } section { break-inside: avoid; } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of texts under `columns`; those in `numbers` stand to the right, the row `chosen` stands out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[str] = frozenset()
    chosen: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Plain text, then a plot of `plots` as SVG, then a table; each may be missing."""

    title: str
    text: str = ""
    plot: str = ""
    table: Table | None = None


def report(title: str, about: str, sections: Iterable[Section]) -> str:
    """The page. `about` says in a line what it was made of."""
    body = "\n".join(line for section in sections for line in section_lines(section))
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    intro = f'<h1>{escape(title)}</h1><p class="about">{escape(about)}</p>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{intro}\n{body}\n</body></html>\n'


def section_lines(section: Section) -> Iterator[str]:
    """One section, line by line."""
    yield f"<section><h2>{escape(section.title)}</h2>"
    if section.text:
        yield f"<p>{escape(section.text)}</p>"
    if section.plot:
        yield section.plot
    if section.table:
        yield from table_lines(section.table)
    yield "</section>"


def table_lines(table: Table) -> Iterator[str]:
    """A table, row by row."""
    kinds = [' class="number"' if column in table.numbers else "" for column in table.columns]
    yield "<table><thead><tr>"
    yield "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(table.columns, kinds, strict=True))
    yield "</tr></thead><tbody>"
    for number, row in enumerate(table.rows):
        cells = "".join(f"<td{kind}>{escape(text)}</td>" for text, kind in zip(row, kinds, strict=True))
        mark = ' class="chosen"' if number == table.chosen else ""
        yield f"<tr{mark}>{cells}</tr>"
    yield "</tbody></table>"
