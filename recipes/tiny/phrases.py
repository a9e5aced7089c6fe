"""Short texts that no document holds: codes, pseudo-words, numbers, prices, dates, addresses, names, marked words.

Every maker takes the generator, the split and the wanted length; those of fixed form ignore the length.
"""

import string

import numpy as np

from recipes.tiny.corpus import ACCENTED, MARKS, corpus, cut, dictionary, pick

TWINS = "OIl|`–—‘’“”„·×"
"""Characters that look like another one in many faces; codes leave them out, words (whose context decides) do not."""
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou", "y", "é", "ä", "ö", "ü", "è", "ó", "í", "á", "ã", "ê")
CLUSTERS = ("br", "ch", "cr", "dr", "fl", "gr", "kl", "pr", "qu", "sch", "st", "th", "tr", "ñ", "ç", "")
ONSETS = (*"bcdfghjklmnprstvwxz", *CLUSTERS)
CODAS = ("", "", "", "n", "r", "s", "t", "l", "m", "ck", "nd", "ng", "rt", "ss", "ß", "x", "st")
# fmt: off
FIRST_NAMES = (
    "Anna", "Ben", "Carla", "David", "Elena", "Felix", "Grace", "Hugo", "Inés", "João", "Karl", "Lucía", "Marie",
    "Noël", "Olga", "Peter", "Quinn", "Rosa", "Sofía", "Tom", "Ulrich", "Vera", "Walter", "Xavier", "Yves", "Zoë",
    "René", "Jürgen", "Asta", "François", "Björn", "Mónica", "Paul", "Emily", "James", "Sarah",
)
LAST_NAMES = (
    "Smith", "Müller", "García", "Rossi", "Dubois", "Silva", "Weber", "Johnson", "Fernández", "Bianchi", "Martin",
    "Schäfer", "Lopez", "Muñoz", "Ferreira", "O'Neill", "McDonald", "Brown", "Keller", "Lefèvre", "Gonçalves",
    "Nuñez", "Jones", "Taylor", "Wagner", "Conti", "Moreau", "Hofmann", "Becker", "Ruiz",
)
# fmt: on
MONTHS = ("Jan", "January", "Februar", "mars", "abril", "May", "giugno", "July", "August", "Sept.", "Oct", "dezembro")
PAIRS = ("()", "[]", "{}", "<>", '""', "''", "“”", "„“", "«»", "‘’", "**", "__", "--", "##", "¿?", "¡!", "||", "``")
UNITS = ("kg", "km", "cm", "ml", "g", "lb", "mm", "kWh", "GB", "MB", "°C", "m")
DOMAINS = ("com", "org", "net", "de", "fr", "es", "it", "pt", "io", "co.uk")


def characters(rng: np.random.Generator, pool: str, count: int) -> str:
    """`count` independent characters of `pool`."""
    return "".join(pool[i] for i in rng.integers(len(pool), size=count))


def digits(rng: np.random.Generator, count: int) -> str:
    """A number of exactly `count` digits; it may begin with 0."""
    return characters(rng, string.digits, count)


def code(rng: np.random.Generator, _split: str, length: int) -> str:
    """Letters and digits nobody can guess, in groups of one to nine: `KX7-20F9`."""
    pool = pick(
        rng,
        [
            string.ascii_uppercase + string.digits,
            string.ascii_letters + string.digits,
            string.digits,
            string.digits,
            string.ascii_lowercase,
            string.ascii_uppercase,
            string.hexdigits,
            string.ascii_letters,
            string.ascii_letters + string.digits + string.punctuation,
            string.ascii_letters + string.punctuation,
            string.ascii_letters + ACCENTED,
            string.ascii_lowercase + ACCENTED + MARKS,
        ],
    )
    if pool not in (string.ascii_lowercase, string.ascii_uppercase):
        pool = "".join(char for char in pool if char not in TWINS)
    text = characters(rng, pool, int(rng.integers(1, 10)))
    while len(text) < length - 1:
        text += pick(rng, ["-", " ", " ", " ", "/", ".", "_", ""]) + characters(rng, pool, int(rng.integers(1, 10)))
    return text[: max(1, length)].strip()


def pseudo_words(rng: np.random.Generator, _split: str, length: int) -> str:
    """Words that no dictionary holds, so that only the eye can read them."""
    words: list[str] = []
    while not words or len(" ".join(words)) < length - 4:
        syllables = range(int(rng.integers(1, 4)))
        words.append("".join(pick(rng, ONSETS) + pick(rng, VOWELS) + pick(rng, CODAS) for _ in syllables))
    return cut(" ".join(words), length)


def number(rng: np.random.Generator, _split: str, _length: int) -> str:
    """Integers, decimals, percentages, ranges, ordinals, results with units."""
    n = int(rng.integers(1, 7))
    return pick(
        rng,
        [
            digits(rng, n),
            f"{int(digits(rng, n)):,}",
            f"{digits(rng, 2)}.{digits(rng, 2)}",
            f"{digits(rng, 2)}%",
            f"{digits(rng, 1)}.{digits(rng, 1)}%",
            f"-{digits(rng, n)}",
            f"+{digits(rng, 2)}",
            f"{digits(rng, 2)}-{digits(rng, 2)}",
            f"({digits(rng, n)})",
            f"{digits(rng, 1)}/{digits(rng, 1)}",
            f"{digits(rng, 2)} x {digits(rng, 2)}",
            f"{digits(rng, 2)} + {digits(rng, 2)} = {digits(rng, 2)}",
            f"#{digits(rng, n)}",
            f"No. {digits(rng, n)}",
            f"{digits(rng, 2)} {pick(rng, UNITS)}",
            f"{digits(rng, 1)},{digits(rng, 2)}",
            f"{digits(rng, 1)}.{digits(rng, 3)},{digits(rng, 2)}",
            f"±{digits(rng, 2)}",
        ],
    )


def price(rng: np.random.Generator, _split: str, _length: int) -> str:
    """`$43,456.78`, `12,50 €`, `TOTAL 8.20`."""
    amount = f"{int(digits(rng, int(rng.integers(1, 6)))):,}.{digits(rng, 2)}"
    return pick(
        rng,
        [
            f"${amount}",
            f"$ {amount}",
            f"£{amount}",
            f"€ {amount}",
            f"{amount.replace(',', ' ').replace('.', ',')} €",
            amount,
            f"-{amount}",
            f"USD {amount}",
            f"EUR {amount}",
            f"({amount})",
            f"${int(digits(rng, 3))}",
            f"TOTAL {amount}",
            f"Total: ${amount}",
            f"Tax {amount}",
            f"{digits(rng, 1)} x {amount}",
            f"@ {amount}",
        ],
    )


def moment(rng: np.random.Generator, _split: str, _length: int) -> str:
    """Dates and times."""
    day, month, year = int(rng.integers(1, 32)), int(rng.integers(1, 13)), int(rng.integers(1890, 2040))
    hour, minute, second = int(rng.integers(24)), int(rng.integers(60)), int(rng.integers(60))
    name = pick(rng, MONTHS)
    return pick(
        rng,
        [
            f"{day:02}/{month:02}/{year}",
            f"{year}-{month:02}-{day:02}",
            f"{day}.{month}.{year}",
            f"{name} {day}, {year}",
            f"{day} {name} {year}",
            f"{hour:02}:{minute:02}",
            f"{hour % 12 or 12}:{minute:02} {pick(rng, ['AM', 'PM', 'a.m.', 'p.m.'])}",
            f"{hour:02}:{minute:02}:{second:02}",
            f"{month}/{day}/{year % 100:02}",
            f"{name} {year}",
            f"{day:02}-{month:02}-{year % 100:02} {hour:02}:{minute:02}",
        ],
    )


def contact(rng: np.random.Generator, split: str, _length: int) -> str:
    """Phone numbers, e-mail and web addresses, paths, house numbers and post codes."""
    word, other = (
        pick(rng, corpus(split).words).lower() if rng.random() < 0.6 else pseudo_words(rng, split, 6) for _ in "ab"
    )
    plate = characters(rng, string.ascii_uppercase, 2)
    word, other = word.replace(" ", "").replace("'", ""), other.replace(" ", "").replace("'", "")
    domain = pick(rng, DOMAINS)
    return pick(
        rng,
        [
            f"{word}@{other}.{domain}",
            f"{word}.{other}@mail.{domain}",
            f"www.{word}.{domain}",
            f"https://{word}.{domain}/{other}",
            f"http://{word}.{domain}/?id={digits(rng, 3)}",
            f"/{word}/{other}.txt",
            f"C:\\{word}\\{other}",
            f"{word}_{digits(rng, 2)}.pdf",
            f"({digits(rng, 3)}) {digits(rng, 3)}-{digits(rng, 4)}",
            f"+{digits(rng, 2)} {digits(rng, 3)} {digits(rng, 7)}",
            f"{digits(rng, 3)}-{digits(rng, 4)}",
            f"Tel. {digits(rng, 5)}",
            f"{digits(rng, 3)} {word.title()} St.",
            f"{word.title()}str. {digits(rng, 2)}",
            f"{digits(rng, 5)} {word.title()}",
            f"{pick(rng, string.ascii_uppercase)}{digits(rng, 1)} {digits(rng, 1)}{plate}",
        ],
    )


def name(rng: np.random.Generator, split: str, _length: int) -> str:
    """People, some with invented surnames."""
    first = pick(rng, FIRST_NAMES)
    last = pick(rng, LAST_NAMES) if rng.random() < 0.5 else pseudo_words(rng, split, 7).split()[0].title()
    return pick(
        rng,
        [
            f"{first} {last}",
            f"{last}, {first}",
            f"{first} {pick(rng, string.ascii_uppercase)}. {last}",
            f"Mr. {last}",
            f"Dr. {first} {last}",
            f"{first[0]}. {last}",
            f"{last} & Co.",
            f"Mme {last}",
            f"Herr {last}",
            f"Sra. {last}",
            f"Name: {first} {last}",
            f"To: {last}",
        ],
    )


def markup(rng: np.random.Generator, split: str, length: int) -> str:
    """Words among brackets, quotes and signs."""
    word = dictionary(rng, split, max(3, length - 4))
    pair = pick(rng, PAIRS)
    left, right = pair[0], pair[1]
    return pick(
        rng,
        [
            f"{left}{word}{right}",
            f"{left}{word}{right}",
            f"{word}:",
            f"{word}!",
            f"{word}?",
            f"* {word}",
            f"· {word}",
            f"- {word}",
            f"{word};",
            f"{word}…",
            f"— {word}",
            f"{word} – {digits(rng, 2)}",
            f"{digits(rng, 1)}. {word}",
            f"{word}={digits(rng, 2)}",
            f"{word}%",
            f"{word} & {left}{digits(rng, 2)}{right}",
            f"§ {digits(rng, 2)} {word}",
            f"© {digits(rng, 4)} {word}",
            f"{word}®",
            f"~{word}^{digits(rng, 1)}",
            f"@{word} #{digits(rng, 2)}",
        ],
    )
