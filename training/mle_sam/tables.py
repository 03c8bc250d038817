"""Tables for people: aligned in a terminal, piped in Markdown."""

from collections.abc import Iterable
from dataclasses import dataclass
import textwrap

Cell = str | int | float | None
WIDTH = 99


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: in a few words.
        caption: what was measured, on what, and how.
        header: of each column.
        rows: as many cells each: a share from 0 to 1 as float is shown in percent, None as a dash.
        texts: how many columns hold words, from the left; the others hold figures.
    """

    title: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    texts: int = 1

    def text(self) -> str:
        """For a terminal: two spaces between aligned columns."""
        lines = [self.header, *(tuple(map(_shown, row)) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        body = ['  '.join(self._aligned(line, widths)).rstrip() for line in lines]
        rule = '  '.join('-' * width for width in widths)
        caption = textwrap.wrap(self.caption, WIDTH)
        return '\n'.join([self.title, *caption, '', body[0], rule, *body[1:]])

    def markdown(self) -> str:
        """For a Markdown document, one level below its title."""
        lines = [self.header, *(tuple(map(_shown, row)) for row in self.rows)]
        rules = [':--' if index < self.texts else '--:' for index in range(len(self.header))]
        body = [_piped(map(_escaped, line)) for line in lines]
        table = [body[0], _piped(rules), *body[1:]]
        return '\n'.join([f'## {self.title}', '', _escaped(self.caption), '', *table])

    def _aligned(self, line: tuple[str, ...], widths: list[int]) -> list[str]:
        return [
            cell.ljust(width) if index < self.texts else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]


def _shown(cell: Cell) -> str:
    if cell is None:
        return '-'
    return f'{100 * cell:.1f}' if isinstance(cell, float) else str(cell)


def _escaped(text: str) -> str:
    """Underscores of names and pipes mean something in Markdown."""
    return text.replace('|', r'\|').replace('_', r'\_').replace('*', r'\*')


def _piped(cells: Iterable[str]) -> str:
    return f'| {" | ".join(cells)} |'
