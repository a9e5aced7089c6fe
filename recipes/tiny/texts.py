"""What the lines say: prose from packaged documents, and codes, numbers, dates, addresses and pseudo-words."""

import lzma
import string
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

ASSET = Path(__file__).parent / "assets" / "texts.txt.xz"
ACCENTED = "ÄÖÜäöüßÀÁÂÃÇÈÉÊËÌÍÎÏÑÒÓÔÕÙÚÛàáâãåæçèéêëìíîïñòóôõøùúûœ"
MARKS = "¡¿«»„“”‘’–—…€£°§©®±·×"
ALPHABET = frozenset(string.printable[:95] + ACCENTED + MARKS)
"""Every character that a line may hold; the blank is one of them."""
TWINS = "OIl|`–—‘’“”„·×"
"""Characters that look like another one in many faces; codes leave them out, words (whose context decides) do not."""
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou", "y", "é", "ä", "ö", "ü", "è", "ó", "í", "á", "ã", "ê")
ONSETS = tuple("bcdfghjklmnprstvwxz") + (
    "br",
    "ch",
    "cr",
    "dr",
    "fl",
    "gr",
    "kl",
    "pr",
    "qu",
    "sch",
    "st",
    "th",
    "tr",
    "ñ",
    "ç",
    "",
)
CODAS = ("", "", "", "n", "r", "s", "t", "l", "m", "ck", "nd", "ng", "rt", "ss", "ß", "x", "st")
FIRST_NAMES = tuple(
    "Anna Ben Carla David Elena Felix Grace Hugo Inés João Karl Lucía Marie Noël Olga Peter Quinn Rosa Sofía Tom "
    "Ulrich Vera Walter Xavier Yves Zoë René Jürgen Asta François Björn Mónica Paul Emily James Sarah".split()
)
LAST_NAMES = tuple(
    "Smith Müller García Rossi Dubois Silva Weber Johnson Fernández Bianchi Martin Schäfer Lopez Muñoz Ferreira "
    "O'Neill McDonald Brown Keller Lefèvre Gonçalves Nuñez Jones Taylor Wagner Conti Moreau Hofmann Becker Ruiz".split()
)
TRAIN_MONTHS = (
    "Jan",
    "January",
    "Februar",
    "mars",
    "abril",
    "May",
    "giugno",
    "July",
    "August",
    "Sept.",
    "Oct",
    "dezembro",
)
DOMAINS = ("com", "org", "net", "de", "fr", "es", "it", "pt", "io", "co.uk")


class Corpus:
    """The documents and dictionary words of one split."""

    def __init__(self, lines: list[str]) -> None:
        self.words = [text for language, text in (line.split("\t") for line in lines) if language == "words"]
        self.paragraphs = [text for language, text in (line.split("\t") for line in lines) if language != "words"]


@lru_cache(maxsize=2)
def corpus(split: str) -> Corpus:
    """The texts of `split` ("train" or "held_out"); no document is in both."""
    lines = lzma.decompress(ASSET.read_bytes()).decode().split("\n")
    return Corpus([line.partition("\t")[2] for line in lines if line.startswith(split + "\t")])


def pick(rng: np.random.Generator, options: tuple[str, ...] | list[str] | str) -> str:
    """One of `options`."""
    return options[int(rng.integers(len(options)))]


def characters(rng: np.random.Generator, pool: str, count: int) -> str:
    """`count` independent characters of `pool`."""
    return "".join(pool[i] for i in rng.integers(len(pool), size=count))


def digits(rng: np.random.Generator, count: int) -> str:
    """A number of exactly `count` digits; it may begin with 0."""
    return characters(rng, string.digits, count)


def prose(rng: np.random.Generator, split: str, length: int) -> str:
    """A run of whole words of about `length` characters from a document, in its own language and with its marks."""
    paragraph = pick(rng, corpus(split).paragraphs)
    starts = [0, *(i + 1 for i, char in enumerate(paragraph) if char == " ")]
    start = starts[int(rng.integers(len(starts)))] if rng.random() < 0.7 else 0
    return cut(paragraph[start:], length)


def dictionary(rng: np.random.Generator, split: str, length: int) -> str:
    """Dictionary words in no order, until `length` characters are reached."""
    words = [pick(rng, corpus(split).words)]
    while len(" ".join(words)) < length - 3 and len(words) < 6:
        words.append(pick(rng, corpus(split).words))
    return cut(" ".join(words), length)


def code(rng: np.random.Generator, split: str, length: int) -> str:
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


def pseudo_words(rng: np.random.Generator, split: str, length: int) -> str:
    """Words that no dictionary holds, so that only the eye can read them."""
    words: list[str] = []
    while not words or len(" ".join(words)) < length - 4:
        syllables = range(int(rng.integers(1, 4)))
        words.append("".join(pick(rng, ONSETS) + pick(rng, VOWELS) + pick(rng, CODAS) for _ in syllables))
    return cut(" ".join(words), length)


def number(rng: np.random.Generator, split: str, length: int) -> str:
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
            f"{digits(rng, 2)} {pick(rng, ['kg', 'km', 'cm', 'ml', 'g', 'lb', 'mm', 'kWh', 'GB', 'MB', '°C', 'm²'.replace('²', '')])}",
            f"{digits(rng, 1)},{digits(rng, 2)}",
            f"{digits(rng, 1)}.{digits(rng, 3)},{digits(rng, 2)}",
            f"±{digits(rng, 2)}",
        ],
    )


def price(rng: np.random.Generator, split: str, length: int) -> str:
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


def moment(rng: np.random.Generator, split: str, length: int) -> str:
    """Dates and times."""
    day, month, year = int(rng.integers(1, 32)), int(rng.integers(1, 13)), int(rng.integers(1890, 2040))
    hour, minute, second = int(rng.integers(24)), int(rng.integers(60)), int(rng.integers(60))
    name = pick(rng, TRAIN_MONTHS)
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


def contact(rng: np.random.Generator, split: str, length: int) -> str:
    """Phone numbers, e-mail and web addresses, paths, house numbers and post codes."""
    word, other = (
        pick(rng, corpus(split).words).lower() if rng.random() < 0.6 else pseudo_words(rng, split, 6) for _ in "ab"
    )
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
            f"{pick(rng, [*string.ascii_uppercase])}{digits(rng, 1)} {digits(rng, 1)}{characters(rng, string.ascii_uppercase, 2)}",
        ],
    )


def name(rng: np.random.Generator, split: str, length: int) -> str:
    """People, some with invented surnames."""
    first = pick(rng, FIRST_NAMES)
    last = pick(rng, LAST_NAMES) if rng.random() < 0.5 else pseudo_words(rng, split, 7).split()[0].title()
    return pick(
        rng,
        [
            f"{first} {last}",
            f"{last}, {first}",
            f"{first} {pick(rng, [*string.ascii_uppercase])}. {last}",
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
    left, right = pick(
        rng,
        ["()", "[]", "{}", "<>", '""', "''", "“”", "„“", "«»", "‘’", "**", "__", "--", "##", "¿?", "¡!", "||", "``"],
    )
    return pick(
        rng,
        [
            f"{left}{word}{right}",
            f"{left}{word}{right}",
            f"{word}:",
            f"{word}!",
            f"{word}?",
            f"* {word}",
            f"• {word}".replace("•", "·"),
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


Maker = Callable[[np.random.Generator, str, int], str]
MIX: tuple[tuple[Maker, float], ...] = (
    (prose, 0.38),
    (dictionary, 0.08),
    (code, 0.17),
    (pseudo_words, 0.13),
    (number, 0.05),
    (price, 0.05),
    (moment, 0.03),
    (contact, 0.04),
    (name, 0.03),
    (markup, 0.04),
)
"""Generators and their shares; codes and pseudo-words make up the 30 % that no language prior can guess."""


def cut(text: str, length: int) -> str:
    """`text` shortened to at most `length` characters, at a blank when the last one lies in the second half."""
    if len(text) <= length:
        return text
    blank = text.rfind(" ", length // 2, length + 1)
    return text[: blank if blank > 0 else length].strip()


def make_text(rng: np.random.Generator, *, split: str, length: int) -> str:
    """One line of 1..`length` characters of ALPHABET, without blanks at the ends or runs of them."""
    shares = np.cumsum([share for _, share in MIX])
    maker = MIX[int(np.searchsorted(shares, rng.random() * shares[-1]))][0]
    text = " ".join(maker(rng, split, length).split())
    while len(text) < length - 4 and maker not in (prose, code) and rng.random() < 0.5:
        text = " ".join(f"{text} {MIX[int(rng.integers(len(MIX)))][0](rng, split, length - len(text) - 1)}".split())
    draw = rng.random()
    if maker in (prose, dictionary, pseudo_words, name) and draw < 0.3:
        recased = text.upper() if draw < 0.15 else text.title()
        text = recased if set(recased) <= ALPHABET else text
    return cut(text, length)
