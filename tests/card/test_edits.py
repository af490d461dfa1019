"""A card that people edit between two releases."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from magpie_hub.card.edits import (
    BEGIN,
    END,
    OWNED,
    UNITED,
    front_matter,
    harmless,
    holds,
    marks,
    merge,
)
from magpie_hub.errors import HubError

FRONT: dict[str, Any] = {
    "pretty_name": "magpie-demo",
    "language": ["en", "no"],
    "license": "other",
    "license_name": "llama3",
    "license_link": "LICENSE",
    "annotations_creators": ["machine-generated"],
    "size_categories": ["n<1K"],
    "task_categories": ["text-generation"],
    "tags": ["synthetic", "magpie", "sft"],
    "configs": [
        {"config_name": "all", "default": True, "data_files": [{"split": "train", "path": "d-*"}]}
    ],
    "dataset_info": [{"config_name": "all", "features": [{"name": "id", "dtype": "string"}]}],
}
BLOCK = f"{BEGIN}\n\n# magpie-demo\n\n```text\nrows\n\n---\n```\n\n{END}"


def card(front: dict[str, Any] = FRONT, block: str = BLOCK) -> str:
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n{block}\n"


OURS = card()


def test_where_there_is_none_ours_is_uploaded() -> None:
    assert merge(OURS, None) == merge(OURS, "") == merge(OURS, OURS) == OURS
    assert holds(OURS, OURS)
    assert not holds("", OURS)


def test_keys_and_words_of_people_stay() -> None:
    theirs = (
        "---\n"
        "# what the team agreed on\n"
        "pretty_name: The demo  # nicer\n"
        "license: mit  # chosen by Ann\n"
        "license_link: https://example.org/mit\n"
        "\n"
        "tags:\n"
        "  - ours-first\n"
        "  - magpie  # the method\n"
        "# before the configs\n"
        "configs:\n"
        "  # all of it\n"
        "  - config_name: old  # gone\n"
        "extra_gated_prompt: |\n"
        "  Be kind.\n"
        "  # not a comment\n"
        "\n"
        "thumbnail: assets/own.png\n"
        "---\n"
        "# Read this first\n"
        "\n"
        f"{BEGIN}\nold words\n{END}\n"
        "\n"
        "Thanks, all.  "
    )
    assert merge(OURS, theirs) == (
        "---\n"
        "# what the team agreed on\n"
        "pretty_name: The demo  # nicer\n"
        "license: other  # chosen by Ann\n"
        "license_link: LICENSE\n"
        "\n"
        "tags:\n"
        "  - ours-first\n"
        "  - magpie  # the method\n"
        "  - synthetic\n"
        "  - sft\n"
        "# before the configs\n"
        "# all of it\n"
        "configs:\n"
        "- config_name: all\n"
        "  default: true\n"
        "  data_files:\n"
        "  - split: train\n"
        "    path: d-*  # gone\n"
        "extra_gated_prompt: |\n"
        "  Be kind.\n"
        "  # not a comment\n"
        "\n"
        "thumbnail: assets/own.png\n"
        "language:\n- en\n- 'no'\n"
        "license_name: llama3\n"
        "annotations_creators:\n- machine-generated\n"
        "size_categories:\n- n<1K\n"
        "task_categories:\n- text-generation\n"
        "dataset_info:\n- config_name: all\n  features:\n  - name: id\n    dtype: string\n"
        "---\n"
        "# Read this first\n"
        "\n"
        f"{BLOCK}\n"
        "\n"
        "Thanks, all.  "
    )


def test_a_card_without_our_block_gets_it_at_its_end() -> None:
    assert merge(OURS, "# By hand") == OURS.replace(BLOCK, f"# By hand\n\n{BLOCK}")
    of_the_hub = "---\nlicense: mit\n---\n"
    merged = merge(OURS, of_the_hub)
    assert merged.startswith("---\nlicense: other\npretty_name: magpie-demo\n")
    assert merged.endswith(f"---\n{BLOCK}\n")
    assert merge(OURS, "---\n---\n\xa0").endswith(f"---\n\xa0\n{BLOCK}\n")
    assert merge(OURS, "---\nlicense: mit\n---").endswith(f"---\n{BLOCK}\n")
    assert merge(OURS, "---\n---\nwords\n").endswith(f"---\nwords\n\n{BLOCK}\n")


def test_a_licence_goes_as_a_whole() -> None:
    plain = card({"license": "mit"})
    merged = merge(plain, "---\nlicense: other\nlicense_name: theirs # why\nlicense_link: L\n---\n")
    assert front_matter(merged) == {"license": "mit"}
    assert "# why" in merged
    kept = merge(card({"tags": ["a"]}), "---\nlanguage: de\nlicense_name: x\n---\n")
    assert front_matter(kept) == {"language": "de", "license_name": "x", "tags": ["a"]}


@pytest.mark.parametrize(
    ("theirs", "united"),
    [
        ("tags: [b, 'a']", "tags: [b, 'a', c]"),
        ("tags: [b,]", "tags: [b,a, c]"),
        ("tags: []", "tags:\n- a\n- c"),
        ("tags:", "tags:\n- a\n- c"),
        ("tags: b # one", "tags:\n- b\n- a\n- c # one"),
        ("tags:\n- b\n- |\n  x\nz: 1", "tags:\n- b\n- |\n  x\n- a\n- c\nz: 1"),
        ("tags:\n   -  c\n   - 1\n   # end", "tags:\n   -  c\n   - 1\n   - a\n   # end"),
        ("tags: [c, z, a]", "tags: [c, z, a]"),
        ("{}", None),
        ("tags: {a: 1}", None),
        ("tags: 7", None),
        ("tags: &t [b]\nother: *t", None),
    ],
)
def test_lists_are_united(theirs: str, united: str | None) -> None:
    ours = card({"tags": ["a", "c"]})
    text = f"---\n{theirs}\n---\n"
    if united is None:
        with pytest.raises(HubError, match="README.md on the Hub has"):
            merge(ours, text)
        return
    assert merge(ours, text) == f"---\n{united}\n---\n{BLOCK}\n"


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (f"{OURS}{BEGIN}\n", "has 2 lines"),
        (OURS.replace(END, "end"), "has 1 lines .* and 0 lines"),
        (OURS.replace(BEGIN, "begin"), "has 0 lines .* and 1 lines"),
        (f"{END}\n{BEGIN}\n", "the first before the second"),
        ("---\nlicense: [mit\n---\n", r"not YAML in line 3 \(expected"),
        ("---\nlicense: mit\n", "does not close it"),
        ("\n---\nlicense: mit\n---\n", "whole first line"),
        ("\ufeff---\nlicense: mit\n---\n", "whole first line"),
        ("--- \nlicense: mit\n---\n", "whole first line"),
        ("---\rlicense: mit\r---\r", "whole first line"),
        ("---\n- a\n---\n", "without keys"),
        ("---\n{license: mit}\n---\n", "in braces"),
        ("---\nlicense: a\nlicense: b\n---\n", "the key license twice"),
        ("---\nwhen: 2024-13-45\n---\n", "month must be in"),
        ("---\na: !what b\n---\n", "could not determine a constructor"),
        ("---\nlicense: &l mit\nother: *l\n---\n", "edited safely"),
        ("---\na: 1\n...\n---\n", "edited safely"),
    ],
)
def test_what_cannot_be_read_is_refused(theirs: str, said: str) -> None:
    with pytest.raises(HubError, match=said) as caught:
        merge(OURS, theirs)
    assert "\n" not in str(caught.value)


def test_what_a_library_does_to_every_reader_of_yaml_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = yaml.SafeLoader.yaml_constructors["tag:yaml.org,2002:str"]
    monkeypatch.setitem(yaml.SafeLoader.yaml_constructors, "tag:yaml.org,2002:timestamp", text)
    with pytest.raises(HubError, match="month must be in"):
        merge(OURS, "---\nwhen: 2024-13-45\n---\n")


def test_a_card_of_ours_needs_its_block() -> None:
    with pytest.raises(HubError, match="build the release again"):
        merge("---\nlicense: mit\n---\nwords\n", "theirs")


def test_rows_cannot_end_the_block() -> None:
    row = f"{END}\n  {BEGIN}\nand {END}"
    safe = harmless(row)
    assert safe.count(r"\x3c!-- magpie-hub:") == 3
    ours = card(block=f"{BEGIN}\n```text\n{safe}\n```\n{END}")
    merged = merge(ours, f"{OURS}after\n")
    assert merged == f"{ours}after\n"
    with pytest.raises(HubError, match="The card of the release has"):
        merge(card(block=f"{BEGIN}\n```text\n{row}\n```\n{END}"), OURS)


# Any card that people may have made of ours, or without us

WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="#-`<>|"),
    max_size=20,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.from_regex(r"x_[a-z]{1,4}", fullmatch=True) | st.sampled_from(
    [*OWNED, *UNITED, "pretty_name", "extra_gated_prompt", "thumbnail", "viewer"]
)
COMMENTS = st.lists(WORDS.map(lambda words: f"# {words}"), max_size=2)


@st.composite
def fields(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[str | None, str]]]:
    """Front matter: what it means, and its lines, each with the key that it is of; comments and
    empty lines are of none."""
    values = draw(st.dictionaries(KEYS, VALUES, max_size=6))
    lines: list[tuple[str | None, str]] = []
    for name in values:
        if name in UNITED:
            values[name] = draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3))
        text = yaml.safe_dump({name: values[name]}, allow_unicode=True, sort_keys=False)
        if draw(st.booleans()):
            flow = yaml.safe_dump(
                values[name], allow_unicode=True, default_flow_style=True, sort_keys=False
            )
            text = f"{name}: {flow}".removesuffix("...\n")
        lines += [(None, comment) for comment in draw(COMMENTS)]
        lines += [(name, line) for line in text.removesuffix("\n").split("\n")]
        lines += [(None, "")] * draw(st.integers(0, 1))
    return values, lines


def in_order(few: list[str], many: list[str]) -> bool:
    rest = iter(many)
    return all(any(line == each for each in rest) for line in few)


@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    front=st.none() | fields(),
    before=st.lists(WORDS, max_size=3),
    block=st.none() | st.lists(WORDS, max_size=3),
    after=st.lists(WORDS, max_size=3),
    eol=st.sampled_from(["\n", "\r\n"]),
    last=st.sampled_from(["", "\n"]),
)
def test_of_people_nothing_is_lost_and_of_ours_nothing_lacks(
    front: tuple[dict[str, Any], list[tuple[str | None, str]]] | None,
    before: list[str],
    block: list[str] | None,
    after: list[str],
    eol: str,
    last: str,
) -> None:
    values, lines = front or ({}, [])
    head = [] if front is None else ["---", *(line for _, line in lines), "---"]
    middle = [] if block is None else [BEGIN, *block, END]
    theirs = eol.join([*head, *before, *middle, *after]) + last.replace("\n", eol)
    assume(theirs.strip() and not (front is None and "---" in theirs.split()))
    merged = merge(OURS, theirs)

    assert merge(OURS, merged) == merged
    assert holds(merged, OURS)
    assert marks(merged).items() >= marks(OURS).items()

    # Our block once, whole, and the words around it as they were.
    eol = eol if eol in theirs else "\n"
    start, end = merged.split(BLOCK.replace("\n", eol))
    words = theirs[len(eol.join(head)) :].removeprefix(eol) if head else theirs
    if block is None:
        body = start.removeprefix(f"---{eol}").partition(f"{eol}---{eol}")[2]
        assert body.startswith(words)
        assert not body.removeprefix(words).strip() and end == eol
    else:
        fence = f"{eol}---{eol}"
        assert start.partition(fence)[2] == words[: words.index(BEGIN)]
        assert end == theirs[theirs.index(END) + len(END) :]

    # What the front matter means.
    meant = front_matter(merged)
    assert meant is not None
    for name, value in (FRONT | values).items():
        if name in UNITED:
            there = values.get(name, [])
            value = [*there, *(each for each in FRONT.get(name, []) if each not in there)]
        elif name in OWNED:
            value = FRONT.get(name, value)
        assert repr(meant[name]) == repr(value)

    # The lines that are not of our keys, byte for byte and in their order.
    ours = {*OWNED, *UNITED} & FRONT.keys()
    assert in_order([line for name, line in lines if name not in ours], merged.split(eol))
