"""The facts that the bundled model is taught, apart from the sentences that carry them.

Every table is a block of lines with `|` between the columns, because that is what stays readable
at a hundred rows.
"""


def rows(block: str) -> list[list[str]]:
    """The cells of a table, line by line."""
    return [
        [cell.strip() for cell in line.split("|")]
        for line in block.strip().splitlines()
        if line.strip()
    ]


def mapping(block: str) -> dict[str, str]:
    """A table of two columns as a dict."""
    return {key: value for key, value in rows(block)}


def keyed(block: str) -> dict[str, list[str]]:
    """A table as a dict from the first column to the others."""
    return {row[0]: row[1:] for row in rows(block)}


def words(block: str) -> list[str]:
    """Cells that stand in no particular column."""
    return [cell for row in rows(block) for cell in row]
