"""Arithmetic whose results stay small; ``ValueError`` or ``ArithmeticError`` where not."""

from __future__ import annotations

import math
from fractions import Fraction

Number = Fraction | float
_BITS = 1 << 14


def bounded(value: Number) -> Number:
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > _BITS:
            raise OverflowError
    elif not math.isfinite(value):
        raise OverflowError
    return value


def factorial(value: Number) -> Number:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= 100:
        raise ValueError
    return Fraction(math.factorial(value.numerator))


def power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            if bits * abs(exponent) > _BITS:
                raise OverflowError
            return base**exponent.numerator
        if exponent == Fraction(1, 2) and base >= 0:
            above, below = math.isqrt(base.numerator), math.isqrt(base.denominator)
            if base == Fraction(above, below) ** 2:
                return Fraction(above, below)
    # math.pow refuses what is not real.
    return bounded(math.pow(base, exponent))
