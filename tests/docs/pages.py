"""Reading a page of the documentation as its tests do: by heading, and by row of a table."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


class Page:
    """One page of docs/."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (DOCS / name).read_text()

    @property
    def headings(self) -> list[str]:
        """Every heading, without the marks before it."""
        return re.findall(r"^#+ (.*)$", self.text, re.MULTILINE)

    def section(self, heading: str) -> str:
        """The text below a heading, up to the next one of any level."""
        found = re.search(rf"^#+ {re.escape(heading)}\n", self.text, re.MULTILINE)
        assert found, f"docs/{self.name} has no heading {heading!r}"
        return re.split(r"^#+ ", self.text[found.end() :], maxsplit=1, flags=re.MULTILINE)[0]

    def rows(self, heading: str) -> dict[str, list[str]]:
        """What the tables of a section say, by the code in their first cell; the other cells as they are written."""
        lines = [line for line in self.section(heading).splitlines() if line.startswith("| `")]
        cells = [[cell.strip() for cell in line.removeprefix("|").removesuffix("|").split(" | ")] for line in lines]
        return {row[0].strip("`"): row[1:] for row in cells}
