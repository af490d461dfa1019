"""What is made to be shown: names, numbers and addresses that are reserved for documentation or
that everybody writes where anything would do. Nobody is harmed by one in a text.

Sources: RFC 2606 and 6761 (domains), RFC 5737, 3849, 6890 and 9637 (addresses), the telephone
numbers for drama of the regulators in the USA, the United Kingdom, Australia and France, and the
test numbers of the payment providers.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_network

CARD = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:2[3-9]|22[1-9]|[3-6]\d|7[01]|720)\d{12,13}"
    r"|3[47]\d{13}|6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}"
)
"""The prefixes and lengths that the card companies give out."""

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22,
    "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28,
    "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23,
    "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20,
    "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30,
    "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22,
    "SA": 24, "SC": 31, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23,
    "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip

IBANS = frozenset(
    {
        "AT611904300234573201", "BE68539007547034", "BE71096123456769", "CH9300762011623852957",
        "DE89370400440532013000", "DE75512108001245126199", "ES9121000418450200051332",
        "FI2112345600000785", "FR1420041010050500013M02606", "FR7630006000011234567890189",
        "GB29NWBK60161331926819", "GB82WEST12345698765432", "GB33BUKB20201555555555",
        "IE29AIBK93115212345678", "IT60X0542811101000000123456", "NL91ABNA0417164300",
        "NO9386011117947", "PL61109010140000071219812874", "PT50000201231234567890154",
        "SE4550000000058398257466",
    }
)  # fmt: skip
"""Those that the IBAN registry and the manuals print."""

_CARDS = frozenset(
    {
        "378282246310005", "371449635398431", "378734493671000", "30569309025904",
        "38520000023237", "36227206271667", "6011111111111117", "6011000990139424",
        "6011000000000004", "6011981111111113", "3530111333300000", "3566002020360505",
        "5555555555554444", "5105105105105100", "5200828282828210", "5500000000000004",
        "5454545454545454", "2223003122003222", "2223000048410010", "4111111111111111",
        "4012888888881881", "4242424242424242", "4222222222222", "4917610000000000",
        "4532015112830366", "4556737586899855", "4539578763621486", "4716258050958645",
        "4532756279624064", "340000000000009", "30000000000004",
    }
)  # fmt: skip
_DOMAINS = re.compile(
    r"(?:.+\.)?(?:example(?:\.\w+)*|[\w-]+\.(?:example|test|invalid|localhost|local)"
    r"|(?:my|your|our|some|the)?(?:domain|company|companyname|email|mail|site|website|business"
    r"|organi[sz]ation|org|school|university|store|shop|server|host|provider|test|sample|demo|acme"
    r"|abc|xyz|foo|bar|placeholder)\.[a-z.]{2,6})",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"(?:my|your|the|some|a)?[._-]?(?:user|users|username|name|e?mail|me|you|someone|somebody|admin"
    r"|root|guest|info|contact|support|help|hello|sales|test|tester|example|sample|demo|foo|bar|baz"
    r"|dev|developer|student|pi|ubuntu|debian|vagrant|ec2-user|runner|app|public|shared|default"
    r"|noreply|no-reply|donotreply|git|alice|bob|carol|charlie|dave|eve|mallory|j(?:ohn|ane)"
    r"|j(?:ohn|ane)?[._-]?(?:doe|smith)|pass|passwd|password|pwd|pw|secret|token|key|api[._-]?key)\d*",
    re.IGNORECASE,
)
_MADE_UP = re.compile(
    r"example|sample|dummy|fake|your|here|placeholder|secret|redacted|abcdef|123456|qwerty|x{4}|0{6}"
    r"|\*{3}|\.{3}|eyJzdWIiOiIxMjM0NTY3ODkwIi",
    re.IGNORECASE,
)
_TELLING = 10
_NETWORKS = [
    ip_network(each)
    for each in (
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "233.252.0.0/24", "2001:db8::/32",
        "3fff::/20",
        # The resolvers that everybody pings.
        "1.1.1.1/32", "1.0.0.1/32", "8.8.8.8/32", "8.8.4.4/32", "9.9.9.9/32", "208.67.222.222/32",
        "208.67.220.220/32", "2001:4860:4860::8888/128", "2001:4860:4860::8844/128",
        "2606:4700:4700::1111/128", "1.2.3.4/32", "5.6.7.8/32",
    )
]  # fmt: skip
_PHONES = {
    1: r"\d{3}55501\d\d|\d{3}5551212|1234567890|5555555555|(?:800|123)4567890|\d{3}1234567",
    33: r"19900\d{5}|26191\d{5}|35301\d{5}|46571\d{5}|53649\d{5}|6399[89]\d{5}",
    44: r"\d{3,4}4960\d{3}|1632960\d{3}|2079460\d{3}|7700900\d{3}|8081570\d{3}|9098790\d{3}"
    r"|3069990\d{3}|2890180\d{3}|2920180\d{3}",
    61: r"[2378]\d{0,1}5550\d{4}|[2378]7010\d{4}|491570\d{3}|18001600\d\d|1800975\d{3}",
}


def word(name: str) -> bool:
    """A name, as of a user or a password, that stands for any; also ``<name>`` and ``$USER``."""
    return bool(_WORDS.fullmatch(name)) or name[0] in "<[{$%*" or set(name) <= {"x", "X", ".", "*"}


def says_so(secret: str) -> bool:
    return bool(_MADE_UP.search(secret))


def made_up(key: str) -> bool:
    """A key that was typed, not drawn: it says so, or it has few letters."""
    return says_so(key) or len(set(key)) < _TELLING


def email(user: str, host: str) -> bool:
    return bool(_DOMAINS.fullmatch(host) or _WORDS.fullmatch(user))


def card(number: str) -> bool:
    """Also numbers of few digits, as payment providers' own: 4000 0000 0000 0077."""
    return number in _CARDS or len(set(number)) <= 3 or number[4:12] == "00000000"


def phone(country: int, number: str) -> bool:
    """``number`` without the country's code, digits alone."""
    pattern = _PHONES.get(country)
    return bool(pattern and re.fullmatch(pattern, number)) or len(set(number)) == 1


def ip(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in _NETWORKS)
