"""Small functions: what they do, how they are written, how they go wrong."""

from demo_model.tables import keyed

# what it does | name | arguments | Python | Python with a bug | JavaScript ("-" where left out)
FUNCTIONS = keyed(
    """
returns the sum of two numbers ~ add ~ a, b ~ a + b ~ a - b ~ a + b
returns the product of two numbers ~ multiply ~ a, b ~ a * b ~ a + b ~ a * b
returns the larger of two numbers ~ larger ~ a, b ~ max(a, b) ~ min(a, b) ~ Math.max(a, b)
returns the square of a number ~ square ~ x ~ x * x ~ x + x ~ x * x
doubles a number ~ double ~ x ~ x * 2 ~ x * 3 ~ x * 2
checks if a number is even ~ is_even ~ n ~ n % 2 == 0 ~ n % 2 == 1 ~ n % 2 === 0
checks if a number is positive ~ is_positive ~ n ~ n > 0 ~ n < 0 ~ n > 0
reverses a string ~ reverse ~ s ~ s[::-1] ~ s[::1] ~ -
counts the letters in a word ~ count_letters ~ s ~ len(s) ~ len(s) + 1 ~ s.length
converts text to uppercase ~ to_upper ~ s ~ s.upper() ~ s.lower() ~ s.toUpperCase()
sums a list of numbers ~ total ~ items ~ sum(items) ~ max(items) ~ -
finds the largest item in a list ~ largest ~ items ~ max(items) ~ min(items) ~ Math.max(...items)
finds the smallest item in a list ~ smallest ~ items ~ min(items) ~ max(items) ~ Math.min(...items)
sorts a list ~ sort_items ~ items ~ sorted(items) ~ list(items) ~ -
returns the first item of a list ~ first ~ items ~ items[0] ~ items[1] ~ items[0]
returns the last item of a list ~ last ~ items ~ items[-1] ~ items[0] ~ items[items.length - 1]
removes spaces from a string ~ no_spaces ~ s ~ s.replace(" ", "") ~ s.replace("a", "") ~ -
""".replace("~", "|")
)

# what it does with {k} | name | Python
NUMBER_FUNCTIONS = keyed("""
adds {k} to a number | add_{k} | x + {k}
multiplies a number by {k} | times_{k} | x * {k}
subtracts {k} from a number | minus_{k} | x - {k}
checks if a number is divisible by {k} | divisible_by_{k} | x % {k} == 0
checks if a number is greater than {k} | over_{k} | x > {k}
""")
