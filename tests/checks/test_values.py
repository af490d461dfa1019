import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from magpie_hub.checks.values import final_answer, same

EQUAL = [
    ("1.50", "1.5"),
    ("1,234", "1234"),
    ("1{,}234", "1234"),
    ("1,234, 5", "1234, 5"),
    (r"\frac{1}{2}", "0.5"),
    (r"\frac12", "1/2"),
    (r"\dfrac{3}{4}", "3/4"),
    ("½", "0.5"),
    ("1 1/2", "1.5"),
    (r"-1\frac{1}{2}", "-1.5"),
    ("50%", "0.5"),
    (r"50\%", "1/2"),
    ("50 percent", "0.5"),
    ("1e3", "1000"),
    (r"1.5 \times 10^{3}", "1500"),
    ("2.5×10⁻³", "0.0025"),
    ("5 cm", "5"),
    (r"5\text{ cm}^2", "5"),
    ("$12.50", "12.5"),
    (r"\$1,200", "1200"),
    ("12 dollars", "12"),
    ("5 km/h", "5"),
    (r"90^\circ", "90°"),
    ("−3", "-3"),
    ("+3", "3"),
    ("-0", "0"),
    ("--2", "2"),
    ("-2^2", "-4"),
    ("2**10", "1024"),
    ("5!", "120"),
    (r"2\sqrt{3}", r"\sqrt{12}"),
    ("√16", "4"),
    (r"\sqrt[3]{8}", "2"),
    (r"2\pi", "π*2"),
    (r"\sin(\pi/6)", "0.5"),
    ("x^2-1", "(x-1)(x+1)"),
    ("2(x+1)", "2x+2"),
    ("x=5", "5"),
    ("f(x) = 2x", "2x"),
    ("x = 2 or x = 3", "3, 2"),
    ("2 and 3", "3, 2"),
    ("(1,2)", r"\left(1, 2\right)"),
    (r"\{1,2\}", r"\{2, 1\}"),
    (r"\{1,1,2\}", r"\{2, 1\}"),
    ("[0,1)", "[0, 1)"),
    (r"(-\infty, 2]", "(-∞,2]"),
    (r"x \in [0, 1]", "[0,1]"),
    ("x=1,y=2", "y=2, x=1"),
    ("Paris", "paris."),
    (r"\text{Yes}", "yes"),
    ("the cat  sat", "The cat sat."),
    ("B", "(B)"),
    ("3:4", "3 : 4"),
    ("9**9**9", "9 ** 9 ** 9"),
]
DIFFERENT = [
    ("-3", "3"),
    ("1.234,5", "1234.5"),
    ("50%", "50"),
    ("1/3", "0.333"),
    ("1/3", "0.3333333333"),
    (r"\pi", "3.14"),
    ("(1,2)", "(2,1)"),
    ("(0,1)", "[0,1]"),
    ("(1,234)", "1234"),
    (r"\{1,2\}", r"\{1,3\}"),
    (r"\{1\}", "1,2"),
    ("x=1,y=2", "x=2,y=1"),
    (r"\sqrt{x^2+1}", "x"),
    ("x", "y"),
    ("2x", "2"),
    ("2ab", "2"),
    ("12 million", "12 billion"),
    ("12 million", "12"),
    ("2 and 3", "2"),
    ("3 apples", "4 apples"),
    ("12:30", "12:31"),
    ("Paris", "Parsi"),
    ("Paris", "London"),
    ("B", "C"),
    ("No", "yes"),
    (r"\infty", r"-\infty"),
    ("9**9**9", "9**9**8"),
    ("1e999999", "1e999998"),
    ("1/0", "0/0"),
]
HOSTILE = [
    "9**9**9",
    "9^{9^{9^9}}",
    "2^" * 300 + "2",
    "1e999999",
    "1000000!",
    "100!!!",
    "(x+1)^{5000}",
    "7^5000*" * 100 + "1",
    "9" * 100_000,
    "{" * 10_000 + "}" * 10_000,
    "(" * 10_000,
    "(" * 500 + ")" * 500,
    "-" * 900 + "1",
    r"\sqrt{" * 160 + "1" + "}" * 160,
    r"\frac{" * 2000,
    r"\boxed{" * 30_000,
    r"\text{" * 140,
    r"\," * 500,
    " " * 100_000,
    "\n" * 100_000,
    "\u3000" * 1000,
    "1," * 500,
    "1 " * 500,
    "$" * 100_000,
    "**" * 50_000,
    r"\(" * 50_000,
    "the answer is " * 20_000,
    "=" * 100_000,
    "a" * 100_000,
    "\ud800",
    "\0",
    "",
]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_equal_as_values(a: str, b: str) -> None:
    assert same(a, b)
    assert same(b, a)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different(a: str, b: str) -> None:
    assert not same(a, b)
    assert not same(b, a)
    assert same(a, a)
    assert same(b, b)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_answers_return_at_once(text: str) -> None:
    begin = time.thread_time()
    assert not same(text, "4")
    assert same(text[:900], text[:900])
    final_answer(text)
    final_answer(f"The answer is {text}")
    assert time.thread_time() - begin < 1


def test_threads_compare_too() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(same, *zip(*EQUAL, strict=True)))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{1} or \boxed{\text{a \{b\}}} {c}", r"\text{a \{b\}}"),
        (r"x \boxed{3} y \boxed{4", "3"),
        (r"$\boxed 5$", "5"),
        (r"The answer is 4, that is \boxed{5}", "5"),
        ("The answer is 5.", "5"),
        ("The answer is 5. No: the answer is 3.5. Done.", "3.5"),
        ("The answer is $x=5$ because 6 is even", "x=5"),
        ("**Answer:** 42", "42"),
        ("work\n#### 18", "18"),
        ("**Final answer:**\n\n$$5$$", "5"),
        ("The final answer is **\\(12\\)**.", "12"),
        ("The answer is Paris.", "Paris"),
        ("The correct answer is (B) Paris.", "B"),
        ("Answer: C) 12", "C"),
        ("The correct option is D", "D"),
        ("So 3 + 4 = 7", "7"),
        ("So, \\[ x = 3 \\]", "3"),
        ("That makes 3*4 = **12**", "12"),
        ("Take 3, and there are **12** apples.", "12"),
        ("Hence the capital is **Paris**.", "Paris"),
        ("There were 7.\nThere are 5 apples left.", "5"),
        ("thus $\\frac{1}{2}$ of it.", r"\frac{1}{2}"),
        ("It costs $12 each, so $36 total.", "$36"),
        ("Total: $1,234.50", "$1,234.50"),
        ("$$\n7\n$$", "7"),
        ("(C)", "C"),
        ("B", "B"),
        ("-12", "-12"),
        ("I do not know.", None),
        ("A cat sat.", None),
        ("**Conclusion:**", None),
        (r"\boxed{}", None),
        ("", None),
    ],
)
def test_the_final_answer(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer
