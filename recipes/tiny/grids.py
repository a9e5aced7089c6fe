"""What tables say: made-up records, Chinese balance sheets, dense score tables, and windows of real tables."""

import json
import lzma
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recipes.tiny.assets import Assets
from recipes.tiny.paper import pick
from recipes.tiny.phrases import digits, pseudo_words

ASSET = "tables.jsonl.xz"
KEYS: Mapping[str, tuple[str, ...]] = {
    "en": ("Item", "Name", "Product", "Part", "Town", "Model", "Group", "Team", "Code", "Region", "Course", "Test"),
    "de": ("Artikel", "Name", "Produkt", "Teil", "Ort", "Modell", "Gruppe", "Team", "Kennung", "Kurs"),
    "fr": ("Article", "Nom", "Produit", "Pièce", "Ville", "Modèle", "Groupe", "Équipe", "Code", "Cours"),
    "es": ("Artículo", "Nombre", "Producto", "Pieza", "Ciudad", "Modelo", "Grupo", "Equipo", "Código", "Curso"),
    "zh": ("名称", "项目", "产品", "姓名", "城市", "型号", "班级", "编号", "部门", "地区"),
}
HEADERS: Mapping[str, tuple[str, ...]] = {
    "en": (
        "Qty", "Price", "Total", "Age", "Size", "Score", "Year", "Weight", "Stock", "Sales", "Cost", "Rate", "Points",
        "Height", "Amount", "Units", "Length", "Area", "Tax", "Speed", "Users", "Hours", "Mean", "Width",
    ),
    "de": (
        "Menge", "Preis", "Summe", "Alter", "Größe", "Punkte", "Jahr", "Gewicht", "Bestand", "Umsatz", "Kosten",
        "Anteil", "Höhe", "Betrag", "Stück", "Länge", "Fläche", "Steuer", "Tempo", "Stunden",
    ),
    "fr": (
        "Quantité", "Prix", "Total", "Âge", "Taille", "Points", "Année", "Poids", "Stock", "Ventes", "Coût", "Taux",
        "Hauteur", "Montant", "Unités", "Longueur", "Surface", "Taxe", "Vitesse", "Heures",
    ),
    "es": (
        "Cantidad", "Precio", "Total", "Edad", "Talla", "Puntos", "Año", "Peso", "Existencias", "Ventas", "Coste",
        "Tasa", "Altura", "Importe", "Unidades", "Longitud", "Área", "Impuesto", "Horas",
    ),
    "zh": (
        "数量", "单价", "金额", "年龄", "尺寸", "得分", "年份", "重量", "库存", "销量", "成本", "比例",
        "高度", "合计", "长度", "面积", "税额", "人数", "时间", "宽度",
    ),
}  # fmt: skip
ACCOUNTS = (
    "营业收入", "营业成本", "税金及附加", "销售费用", "管理费用", "研发费用", "财务费用", "投资收益",
    "营业利润", "营业外收入", "营业外支出", "利润总额", "所得税费用", "净利润", "固定资产", "在建工程",
    "无形资产", "长期待摊费用", "短期借款", "应付票据", "应付账款", "预收账款", "应付职工薪酬", "应交税费",
    "其他应付款", "长期借款", "实收资本", "资本公积", "盈余公积", "未分配利润", "货币资金", "应收账款",
    "预付款项", "存货", "其他应收款", "长期股权投资", "流动资产合计", "负债合计", "所有者权益合计", "资产总计",
)  # fmt: skip
SHEET_HEADERS = (
    ("项目", "行次", "期初余额", "期末余额"),
    ("资产", "行次", "年初余额", "期末余额"),
    ("科目", "行号", "上年数", "本年数"),
    ("项目", "行次", "本月数", "本年累计数"),
    ("科目名称", "序号", "期初数", "期末数"),
    ("项目", "附注", "2022年", "2023年"),
)
SUITES = ("Read", "Count", "Chart", "Math", "Video", "Code", "Logic", "Map", "Science", "Speech", "Dialog", "Table")
COLUMNS = ("val", "test", "dev", "hard", "easy", "en", "zh", "avg", "F1", "EM", "Acc.", "R@1", "top-5", "P", "R", "n")
SYLLABLES = ("Neo", "Ori", "Vex", "Lum", "Tal", "Kor", "Mira", "Sol", "Pan", "Zed", "Arc", "Bel", "Fen", "Gal", "Hex")


class Grid(NamedTuple):
    """A table as text: what stands above the columns, their headers, and the cells row by row."""

    title: str
    groups: tuple[tuple[str, int], ...]
    """The upper header level, (name, columns it spans); () where there is one level. "" spans a column of its own."""
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[bool, ...]
    """Which columns hold plain numbers only."""
    language: str

    @property
    def names(self) -> tuple[str, ...]:
        """The full name of each column: its group, then its header."""
        above = [name for name, span in self.groups for _ in range(span)] or [""] * len(self.header)
        return tuple(f"{group} {name}".strip() for group, name in zip(above, self.header, strict=True))

    @property
    def text(self) -> str:
        """Everything that is to be printed."""
        return "".join((self.title, *self.names, *(cell for row in self.rows for cell in row)))


class Wish(NamedTuple):
    """How large a table may be and where its words come from."""

    rows: int
    columns: int
    letters: int
    """The longest cell."""
    split: str
    language: str
    assets: Assets


Maker = Callable[[np.random.Generator, int], list[str]]


def kept(options: Sequence[str], split: str) -> list[str]:
    """The options of a split: one in four is held out, by its text.

    >>> sorted(kept(SUITES, "train") + kept(SUITES, "held_out")) == sorted(SUITES)
    True
    """
    return [text for text in options if (zlib.crc32(text.encode()) % 4 == 0) == (split == "held_out")]


def different(options: Sequence[str]) -> list[str]:
    """The options without repetitions and empty ones."""
    return [text for text in dict.fromkeys(options) if text]


def word(rng: np.random.Generator, wish: Wish) -> str:
    """A word, name or town of the language of at most `wish.letters` characters; a made-up one where there is none."""
    kind = pick(rng, ("word", "word", "word", "city", "name"))
    options = wish.assets.phrases(kind, wish.language, wish.split) or wish.assets.words(wish.language, wish.split)
    for _ in range(8):
        text = pick(rng, options).split("'")[0] if options else ""
        if 1 < len(text) <= wish.letters and "|" not in text:
            return text[0].upper() + text[1:] if rng.random() < 0.6 else text
    return pseudo_words(rng, wish.split, 4).replace(" ", "")[: wish.letters].title()


def keys(rng: np.random.Generator, wish: Wish) -> list[str]:
    """Different names for the rows: words, codes, numbers, years, dates."""
    kind = float(rng.random())
    if kind < 0.6:
        made = [word(rng, wish) for _ in range(3 * wish.rows)]
    elif kind < 0.8:
        letters = [pick(rng, "ABCDEFGHKLMNPRSTUVWXYZ") for _ in range(3 * wish.rows)]
        made = [f"{letter}{pick(rng, ('', '-'))}{digits(rng, 2)}" for letter in letters]
    elif kind < 0.9:
        first = int(rng.integers(1950, 2025))
        made = [str(first + index) for index in range(wish.rows)]
    else:
        made = [f"{int(rng.integers(1, 29)):02}.{int(rng.integers(1, 13)):02}." for _ in range(3 * wish.rows)]
    return different(made)[: wish.rows]


def whole(rng: np.random.Generator, count: int) -> list[str]:
    """Whole numbers of one size."""
    most = int(10 ** float(rng.uniform(0.8, 3)))
    return [str(value) for value in rng.integers(0, most + 1, size=count)]


def decimal(rng: np.random.Generator, count: int) -> list[str]:
    """Numbers with the same number of places."""
    places, most = int(rng.integers(1, 3)), float(10 ** rng.uniform(0.5, 2.5))
    return [f"{value:.{places}f}" for value in rng.uniform(0, most, size=count)]


def money(rng: np.random.Generator, count: int) -> list[str]:
    """Amounts, with thousands separated and perhaps a currency."""
    mark = pick(rng, ("", "", "$", "€", "£"))
    return [f"{mark}{value:,.2f}" for value in 10 ** rng.uniform(0.3, 4.5, size=count)]


def percent(rng: np.random.Generator, count: int) -> list[str]:
    """Shares with a sign, some of them falling."""
    places = int(rng.integers(0, 2))
    return [f"{value:.{places}f}%" for value in rng.uniform(-20 * (rng.random() < 0.3), 100, size=count)]


def day(rng: np.random.Generator, count: int) -> list[str]:
    """Dates of one form."""
    form = pick(rng, ("{2}-{1:02}-{0:02}", "{0:02}/{1:02}/{2}", "{0}.{1}.{2}"))
    return [
        form.format(int(rng.integers(1, 29)), int(rng.integers(1, 13)), int(rng.integers(1990, 2030)))
        for _ in range(count)
    ]


def code(rng: np.random.Generator, count: int) -> list[str]:
    """Letters and digits nobody can guess."""
    return [f"{pick(rng, 'ABCDEFGHKMNPRSTUVWXYZ')}{digits(rng, int(rng.integers(2, 5)))}" for _ in range(count)]


def mark(rng: np.random.Generator, count: int) -> list[str]:
    """One of two or three short words a row."""
    options = pick(rng, (("yes", "no"), ("A", "B", "C"), ("low", "high"), ("+", "-"), ("x", "-"), ("OK", "open")))
    return [pick(rng, options) for _ in range(count)]


MAKERS: tuple[tuple[Maker, float], ...] = (
    (whole, 0.34),
    (decimal, 0.18),
    (money, 0.15),
    (percent, 0.1),
    (day, 0.05),
    (code, 0.1),
    (mark, 0.08),
)


def headers(rng: np.random.Generator, wish: Wish) -> list[str]:
    """Different names for the columns, the first one for the row names."""
    known = wish.language in KEYS and rng.random() < 0.7
    first = pick(rng, kept(KEYS[wish.language], wish.split)) if known else word(rng, wish)
    pool = kept(HEADERS[wish.language], wish.split) if known else []
    others = [pick(rng, pool) if pool and rng.random() < 0.8 else word(rng, wish) for _ in range(4 * wish.columns)]
    return different([first, *others])[: wish.columns]


def records(rng: np.random.Generator, wish: Wish) -> Grid:
    """Made-up rows of which each column has one kind of content; now and then a cell is a dash."""
    first, header = keys(rng, wish), headers(rng, wish)
    shares = np.array([share for _, share in MAKERS])
    makers = [MAKERS[int(i)][0] for i in rng.choice(len(MAKERS), size=len(header) - 1, p=shares / shares.sum())]
    makers = [whole if wish.letters < 7 and maker in (money, day) else maker for maker in makers]
    columns = [maker(rng, len(first)) for maker in makers]
    if rng.random() < 0.25 and wish.letters > 4:
        columns[-1] = [word(rng, wish) for _ in first]
    numbers = tuple(all(plain(cell) for cell in column) for column in columns)
    if rng.random() < 0.12 and len(first) > 3:
        dash = pick(rng, ("-", "–", "n/a"))
        columns = [[dash if rng.random() < 0.15 else cell for cell in column] for column in columns]
        numbers = tuple(all(plain(cell) for cell in column) for column in columns)
    title = " ".join(word(rng, wish) for _ in range(2)) if rng.random() < 0.25 and wish.letters > 6 else ""
    rows = tuple(zip(first, *columns, strict=True))
    return Grid(title, (), tuple(header), rows, (False, *numbers), wish.language)


def plain(cell: str) -> bool:
    """Whether the cell is a number without signs or separators.

    >>> plain("12.5"), plain("1,200"), plain("-")
    (True, False, False)
    """
    return cell.replace(".", "", 1).isdecimal() and cell.isascii()


def balance(rng: np.random.Generator, wish: Wish) -> Grid:
    """Lines of a Chinese statement: item, number of the line, two amounts; many of them are 0.00."""
    header: tuple[str, ...] = pick(rng, SHEET_HEADERS[:4] if wish.split == "train" else SHEET_HEADERS[4:])
    names = [ACCOUNTS[int(i)] for i in np.sort(rng.permutation(len(ACCOUNTS))[: wish.rows])]
    line, rows, zeros = 0, [], float(rng.uniform(0, 0.6))
    for name in names:
        line += 1 if rng.random() < 0.85 else int(rng.integers(2, 11))
        amounts = ["0.00" if rng.random() < zeros else f"{value:,.2f}" for value in 10 ** rng.uniform(2, 7, size=2)]
        rows.append((name, str(line), *amounts)[: max(2, wish.columns)])
    header = header[: max(2, wish.columns)]
    return Grid("", (), header, tuple(rows), tuple(False for _ in header), "zh")


def scores(rng: np.random.Generator, wish: Wish) -> Grid:
    """A dense table of scores with two levels of headers, dashes for what is missing and asterisks."""
    suites = kept(SUITES, wish.split)
    groups: list[tuple[str, int]] = [("", 1)]
    header = [pick(rng, kept(KEYS["en"], wish.split))]
    for index in rng.permutation(len(suites)):
        span = min(int(rng.integers(1, 4)), wish.columns - len(header))
        if span > 0:
            groups.append((suites[int(index)] + pick(rng, ("", "Bench", "QA", "Set")), span))
            header += [COLUMNS[int(i)] for i in rng.permutation(len(COLUMNS))[:span]]
    named = (f"{pick(rng, SYLLABLES)}{pick(rng, SYLLABLES).lower()}" for _ in range(3 * wish.rows))
    models = different([f"{name}-{int(rng.integers(1, 73))}B" for name in named])[: wish.rows]
    missing, starred = float(rng.uniform(0, 0.2)), float(rng.uniform(0, 0.08))
    rows = [(model, *(score(rng, missing, starred) for _ in header[1:])) for model in models]
    return Grid("", tuple(groups), tuple(header), tuple(rows), tuple(False for _ in header), "en")


def score(rng: np.random.Generator, missing: float, starred: float) -> str:
    """`83.4`, `-`, `71.9*`."""
    draw = float(rng.random())
    return "-" if draw < missing else f"{rng.uniform(5, 99):.1f}" + ("*" if draw > 1 - starred else "")


class RealTable(NamedTuple):
    """A packed table."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@lru_cache(maxsize=4)
def real_tables(path: Path, split: str) -> tuple[RealTable, ...]:
    """The packed real tables of a split; () where there is no pack."""
    if not path.is_file():
        return ()
    lines = map(json.loads, lzma.decompress(path.read_bytes()).decode().splitlines())
    return tuple(
        RealTable(line["name"], tuple(line["header"]), tuple(map(tuple, line["rows"])))
        for line in lines
        if line["split"] == split
    )


def real(rng: np.random.Generator, wish: Wish) -> Grid:
    """Some neighbouring rows and some columns of a real table; made-up records where none is packed."""
    tables = real_tables(wish.assets.folder / ASSET, wish.split)
    if not tables:
        return records(rng, wish)
    table = pick(rng, tables)
    others = 1 + np.sort(rng.permutation(len(table.header) - 1)[: wish.columns - 1])
    chosen = [0, *(int(index) for index in others)]
    start = int(rng.integers(max(1, len(table.rows) - wish.rows + 1)))
    rows = {row[0]: tuple(row[i] for i in chosen) for row in table.rows[start : start + wish.rows]}
    columns = list(zip(*rows.values(), strict=True))
    numbers = (False, *(all(plain(cell) for cell in column) for column in columns[1:]))
    return Grid("", (), tuple(table.header[i] for i in chosen), tuple(rows.values()), numbers, "en")


def make_grid(rng: np.random.Generator, wish: Wish, difficulty: float) -> Grid:
    """Contents for one table; the dense kinds come in as the difficulty grows."""
    draw = float(rng.random())
    if wish.language == "zh" and draw < 0.5:
        return balance(rng, wish)
    if wish.language == "en" and difficulty > 0.4 and draw < 0.25:
        return scores(rng, wish._replace(columns=max(3, wish.columns)))
    if wish.language == "en" and difficulty > 0.15 and draw < 0.6:
        return real(rng, wish)
    return records(rng, wish)
