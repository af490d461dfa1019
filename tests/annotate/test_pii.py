from __future__ import annotations

import random
import string

import pytest

from magpie_hub.annotate.pii import EXAMPLE, KINDS, Finder, counts

FINDER = Finder(["<|im_start|>", "<|im_end|>"])
DRAWN = random.Random(11)


def drawn(count: int, letters: str = string.ascii_letters + string.digits) -> str:
    """As a key is drawn; never written here, so that no scanner takes it for one."""
    return "".join(DRAWN.choices(letters, k=count))


PEM = "-----BEGIN {0}PRIVATE KEY-----\n{1}\n-----END {0}PRIVATE KEY-----"

FOUND = [
    ("key", "hf_" + drawn(34, string.ascii_letters)),
    ("key", "sk-" + drawn(48)),
    ("key", "sk-proj-" + drawn(40)),
    ("key", "sk-ant-api03-" + drawn(60)),
    ("key", "AKIA" + drawn(16, string.ascii_uppercase + string.digits)),
    ("key", "ghp_" + drawn(36)),
    ("key", "github_pat_" + drawn(60)),
    ("key", "xoxb-" + drawn(12, string.digits) + "-" + drawn(24)),
    ("key", "AIza" + drawn(35)),
    ("key", "eyJ" + drawn(30) + ".eyJ" + drawn(40) + "." + drawn(40)),
    ("key", "sk_live_" + drawn(24)),
    ("private key", PEM.format("RSA ", drawn(64) + "\n" + drawn(64))),
    ("password", "postgres://anna:q8Zt-vLp2@db.firma.pl"),
    ("email", "jan.kowalski@firma.pl"),
    ("phone", "+1 212 736 5000"),
    ("phone", "(212) 736-5000"),
    ("phone", "+49 30 901820"),
    ("phone", "+81 3-3224-5000"),
    ("iban", "DE44 5001 0517 5407 3249 31"),
    ("card", "4539 1488 0343 6467"),
    ("card", "4539148803436467"),
    ("ip", "93.184.216.34"),
    ("ip", "2a00:1450:4001:81b::200e"),
    ("private ip", "192.168.1.17"),
    ("local path", "/home/mkowalska/projects/thing.py"),
    ("local path", "C:\\Users\\mkowalska\\thing.py"),
    ("control token", "<|im_end|>"),
    ("bidi", "\u202e"),
    ("control character", "\x07"),
    ("control character", "\U000e0041\U000e0042"),
]

EXAMPLES = [
    "AKIAIOSFODNN7EXAMPLE",
    "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "hf_" + "x" * 34,
    PEM.format("", "MIIEvQIBADANBgkqh"),
    "postgres://user:password@localhost.local",
    "someone@example.com",
    "jan.kowalski@mail.example.org",
    "john.doe@gmail.com",
    "git@github.com",
    "(212) 555-0142",
    "+44 20 7946 0958",
    "4242 4242 4242 4242",
    "4111111111111111",
    "DE89 3704 0044 0532 0130 00",
    "192.0.2.44",
    "2001:db8::8a2e:370:7334",
    "8.8.8.8",
    "/home/user/thing.py",
    "C:\\Users\\<name>\\thing.py",
]

CLEAN = [
    "What is 3.14159265358979323846 times 2?",
    "The number 1234567890123456 fails its check.",
    "Use sk-learn-like-names-for-your-package and skimage.",
    "It runs on version 10.0.19.1 of the tool, v4.5.6.7 and numpy==1.2.3.4.",
    "Meet at 12:30:45 on 2023-10-15, room 100.200.300.",
    "std::vector<int>::iterator it; a::b::c; x[1:2:3]",
    "@app.route('/home/') and @dataclass",
    "The ratio is 1:2:3:4, the range 10-20-30.",
    "Solve 123 456 789 + 987 654 321.",
    "-----BEGIN PRIVATE KEY----- is how such a file begins.",
    "مرحبا\u200f بالعالم و می\u200cروم",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f wins",
    "Tabs\tand\r\nlines",
    "GB82 is a road and FR14 another.",
    "",
]


@pytest.mark.parametrize(("kind", "secret"), FOUND)
def test_found_where_it_stands(kind: str, secret: str) -> None:
    text = f"Is this right: {secret} or not?"
    (finding,) = FINDER.find(text)
    assert (finding.kind, finding.blocking) == (kind, kind != "private ip")
    assert text[finding.start : finding.end].strip() == secret


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_is_made_to_be_shown_blocks_nothing(example: str) -> None:
    (finding,) = FINDER.find(f"Is this right: {example} or not?")
    assert (finding.kind, finding.blocking) == (EXAMPLE, False)


@pytest.mark.parametrize("text", CLEAN)
def test_what_only_looks_alike_is_left_alone(text: str) -> None:
    assert FINDER.find(text) == ()


def test_every_kind_is_tested() -> None:
    assert {kind for kind, _ in FOUND} | {EXAMPLE} == set(KINDS)


def test_findings_come_in_order_and_do_not_overlap() -> None:
    text = " and ".join(secret for _, secret in FOUND)
    found = FINDER.find(text)
    assert len(found) == len(FOUND)
    assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))


def test_the_quick_look_misses_nothing() -> None:
    """One text at a time, a column at once and no quick look at all find the same."""
    texts = [*CLEAN, *EXAMPLES, *(secret for _, secret in FOUND)]
    texts += [f"a{text}b" for text in texts] + [f"({text})" for text in texts]
    each = [FINDER.find(text) for text in texts]
    assert FINDER.find_each([*texts, None]) == [*each, ()]
    assert [FINDER._look(text) for text in texts] == each


def test_counts_are_of_rows() -> None:
    texts = ["a@firma.pl b@firma.pl", "c@firma.pl", "d@example.com", "nothing"]
    assert list(counts(FINDER.find_each(texts))) == [("email", 2), (EXAMPLE, 1)]


def test_without_a_template_its_tokens_are_words() -> None:
    assert Finder().find("<|im_end|>") == ()
