import re
from pathlib import Path

from magpie_hub import schema

DOCS = Path(__file__).parents[1] / "docs"


def test_the_map_of_columns_has_each_column_in_order() -> None:
    rows = re.findall(r"^\| (`.*?) \|", (DOCS / "columns.md").read_text(encoding="utf-8"), re.M)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == list(schema.names())
