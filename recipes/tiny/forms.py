"""Filled-in forms and cards of our own design: labels, values, check boxes and a place for a photograph."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from recipes.tiny.assets import LANGUAGES, Assets
from recipes.tiny.bills import address, date, languages, person
from recipes.tiny.example import Example
from recipes.tiny.grids import Wish, kept, word
from recipes.tiny.paper import CELL, Paper, Pen, Theme, asked, em_at, face_for, pick, room, rounded, theme
from recipes.tiny.phrases import digits

LABELS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en": {
        "name": ("Name", "Full name", "Holder"), "born": ("Born", "Date of birth", "Birthday"), "date": ("Date",
        "Issued", "Day"),
        "until": ("Valid until", "Expires"), "number": ("No.", "ID", "Card no.", "Member no."),
        "address": ("Address", "Street"),
        "city": ("City", "Town", "Place"), "phone": ("Phone", "Tel."), "post": ("Post", "Role", "Unit"),
        "sex": ("Sex",),
        "blood": ("Blood group",), "height": ("Height",), "class": ("Class", "Level", "Group"), "room": ("Room",
        "Seat", "Gate"),
        "yes": ("Member", "Paid", "Insured", "Smoker", "Student", "New"),
    },
    "de": {
        "name": ("Name", "Inhaber"), "born": ("Geboren", "Geburtstag"), "date": ("Datum", "Ausgestellt"),
        "until": ("Gültig bis",),
        "number": ("Nr.", "Ausweis-Nr."), "address": ("Anschrift", "Straße"), "city": ("Ort", "Stadt"),
        "phone": ("Telefon", "Tel."),
        "class": ("Klasse", "Gruppe"), "room": ("Raum", "Platz"), "yes": ("Mitglied", "Bezahlt", "Versichert"),
    },
    "fr": {
        "name": ("Nom", "Titulaire"), "born": ("Né(e) le",), "date": ("Date", "Délivrée le"),
        "until": ("Valable jusqu'au",),
        "number": ("N°", "Carte n°"), "address": ("Adresse", "Rue"), "city": ("Ville",), "phone": ("Tél.",
        "Téléphone"),
        "class": ("Classe", "Groupe"), "room": ("Salle", "Place"), "yes": ("Membre", "Payé", "Assuré"),
    },
    "es": {
        "name": ("Nombre", "Titular"), "born": ("Nacimiento",), "date": ("Fecha", "Expedida"),
        "until": ("Válido hasta",),
        "number": ("N.º", "Carné n.º"), "address": ("Dirección", "Calle"), "city": ("Ciudad",), "phone": ("Tel.",
        "Teléfono"),
        "class": ("Clase", "Grupo"), "room": ("Sala", "Asiento"), "yes": ("Socio", "Pagado"),
    },
    "it": {
        "name": ("Nome", "Titolare"), "born": ("Nato il",), "date": ("Data", "Rilasciata"),
        "until": ("Valida fino al",),
        "number": ("N.", "Tessera n."), "address": ("Indirizzo", "Via"), "city": ("Città",), "phone": ("Tel.",
        "Telefono"),
        "class": ("Classe", "Gruppo"), "room": ("Sala", "Posto"), "yes": ("Socio", "Pagato"),
    },
    "zh": {
        "name": ("姓名", "持卡人"), "born": ("出生日期", "生日"), "date": ("日期", "发证日期"), "until": ("有效期至",),
        "number": ("编号", "证号", "卡号"), "address": ("地址", "住址"), "city": ("城市", "地区"),
        "phone": ("电话", "手机"),
        "class": ("班级", "级别"), "room": ("房间", "座位"), "yes": ("会员", "已付款"),
    },
}  # fmt: skip
TITLES: Mapping[str, tuple[str, ...]] = {
    "en": ("MEMBER CARD", "ID CARD", "LIBRARY CARD", "STAFF", "VISITOR", "Registration", "Order form", "Application",
           "STUDENT CARD", "Travel pass", "Health card", "Ticket", "Sign-up sheet", "Delivery note"),
    "de": ("AUSWEIS", "Anmeldung", "Mitgliedskarte", "Antrag", "Bestellung", "Fahrkarte", "Lieferschein"),
    "fr": ("CARTE", "Inscription", "Carte de membre", "Demande", "Commande", "Billet"),
    "es": ("CARNÉ", "Inscripción", "Tarjeta de socio", "Solicitud", "Pedido", "Billete"),
    "it": ("TESSERA", "Iscrizione", "Tessera socio", "Domanda", "Ordine", "Biglietto"),
    "zh": ("工作证", "会员卡", "登记表", "申请表", "学生证", "借书证", "报名表"),
}  # fmt: skip
YES_NO: Mapping[str, tuple[str, str]] = {
    "en": ("yes", "no"), "de": ("ja", "nein"), "fr": ("oui", "non"), "es": ("sí", "no"), "it": ("sì", "no"),
    "zh": ("是", "否"),
}  # fmt: skip
ALL = ("Write the fields as JSON.", "Give all fields and their values as JSON.", "Turn the {kind} into JSON.")
SOME = ("Extract {keys} as JSON.", "Give {keys} as JSON.")
ONE = ("What does it say for {key}?", "{key}?", "What is filled in at {key}?", 'Read the field "{key}".')


class Field(NamedTuple):
    """A label and what is filled in; "" where it is empty. A check box has `options`, one of which is ticked."""

    label: str
    value: str
    options: tuple[str, ...] = ()


class Style(NamedTuple):
    """How a form is set."""

    pen: Pen
    label: Pen
    hand: Pen
    """The pen of what is filled in."""
    theme: Theme
    above: bool
    """Whether labels stand above their values."""
    place: str
    """Where values are written: plain, line, box."""
    columns: int
    band: bool
    """Whether the title stands on a coloured band."""
    photo: str
    """Where a photograph lies: "" for none, "l", "r"."""
    colon: str


def make_fields(rng: np.random.Generator, count: int, language: str, *, split: str, assets: Assets) -> list[Field]:
    """Different fields in an order that forms have."""
    wish = Wish(1, 1, 12, split, language, assets)
    day = lambda: date(rng, language)  # noqa: E731
    makers: Mapping[str, Callable[[], str]] = {
        "name": lambda: person(rng, language, split=split, assets=assets),
        "number": lambda: pick(rng, ("", "A", "KX ", "N-", "0")) + digits(rng, int(rng.integers(3, 9))),
        "born": day,
        "sex": lambda: pick(rng, ("M", "F", "X")),
        "address": lambda: address(rng, language, split=split, assets=assets),
        "city": lambda: pick(rng, assets.phrases("city", language, split) or (word(rng, wish),)),
        "phone": lambda: f"{digits(rng, 3)}{pick(rng, (' ', '-', '/'))}{digits(rng, int(rng.integers(4, 8)))}",
        "post": lambda: word(rng, wish),
        "blood": lambda: pick(rng, ("A", "B", "AB", "0")) + pick(rng, "+-"),
        "height": lambda: f"{int(rng.integers(120, 210))} cm",
        "class": lambda: f"{int(rng.integers(1, 13))}{pick(rng, ('', 'a', 'B', 'C'))}",
        "room": lambda: f"{pick(rng, ('', 'A', 'B', 'C'))}{int(rng.integers(1, 400))}",
        "date": day,
        "until": day,
        "yes": lambda: pick(rng, YES_NO[language]),
    }
    labels = LABELS[language]
    guessable = ("yes", "sex") if count < 3 else ()
    known = [key for key in makers if key in labels and key not in guessable]
    chosen = sorted(int(index) for index in rng.permutation(len(known))[:count])
    fields = []
    for key in (known[index] for index in chosen):
        label = pick(rng, labels[key])
        value = "" if key != "yes" and count > 2 and rng.random() < 0.06 else makers[key]()
        fields.append(Field(label, value, YES_NO[language] if key == "yes" else ()))
    return fields


def choose_style(
    rng: np.random.Generator,
    fields: Sequence[Field],
    title: str,
    *,
    difficulty: float,
    split: str,
    assets: Assets,
    language: str,
) -> Style | None:
    """Faces for the print and for what is filled in; None where none draws the language."""
    text = title + "".join(field.label + field.value + "".join(field.options) for field in fields) + ":x"
    families = assets.families(LANGUAGES[language], split)
    face = face_for(rng, families, text, difficulty=difficulty)
    if face is None:
        return None
    colours = theme(rng, difficulty)
    pen = Pen(face, em_at(rng, difficulty), colours.ink)
    written = rng.random() < 0.15 + 0.3 * difficulty
    hand = face_for(rng, assets.families("handwriting", split), text, difficulty=1) if written else None
    filled = pen._replace(face=hand or face, ink=pick(rng, (colours.ink, colours.ink, colours.accent)))
    small = pen._replace(size=max(10, round(pen.size * float(rng.uniform(0.7, 1.0)))))
    photo = pick(rng, ("l", "r")) if rng.random() < 0.4 and len(fields) > 2 else ""
    return Style(
        pen,
        small,
        filled,
        colours,
        above=rng.random() < 0.35,
        place=pick(rng, ("plain", "plain", "line", "box")),
        columns=2 if len(fields) > 5 and rng.random() < 0.4 else 1,
        band=rng.random() < 0.5,
        photo=photo,
        colon=pick(rng, ("", ":")),
    )


def value_width(field: Field, style: Style) -> float:
    """Pixels that a value takes, with the boxes of its options."""
    if field.options:
        return sum(style.pen.width(option) + 2.2 * style.pen.size for option in field.options)
    return style.hand.width(field.value or "xxxx") + 0.6 * style.pen.size


def print_field(paper: Paper, field: Field, box: tuple[float, float, float, float], style: Style, first: float) -> None:
    """A label and its value in `box`; beside each other the value begins `first` pixels from the left."""
    left, top, right, bottom = box
    height = bottom - top
    split = 0.42 * height if style.above else 0.0
    label_height = split if style.above else height
    paper.write(field.label + style.colon, (left, style.label.baseline(top, label_height)), style.label)
    x = left if style.above else left + first
    place = (x, top + split + 0.06 * height, right, bottom - 0.06 * height)
    baseline = style.hand.baseline(top + split, height - split)
    if field.options:
        print_options(paper, field, (x, baseline), style)
        return
    if style.place == "box":
        paper.outline(place, style.theme.rule)
    elif style.place == "line":
        paper.rule((x, place[3]), (right, place[3]), style.theme.rule)
    paper.write(field.value, (x + 0.3 * style.pen.size, baseline), style.hand)


def print_options(paper: Paper, field: Field, at: tuple[float, float], style: Style) -> None:
    """Check boxes with their options; the chosen one has a cross or is filled."""
    x, size = at[0], style.pen.rise
    for option in field.options:
        box = (x, at[1] - size, x + size, at[1])
        paper.outline(box, style.theme.ink)
        if option == field.value:
            paper.rule((x + 2, at[1] - 2), (x + size - 3, at[1] - size + 2), style.hand.ink, 2)
            paper.rule((x + 2, at[1] - size + 2), (x + size - 3, at[1] - 2), style.hand.ink, 2)
        paper.write(option, (x + size + 0.35 * style.pen.size, at[1]), style.pen)
        x += style.pen.width(option) + 2.2 * style.pen.size


def print_photo(paper: Paper, box: tuple[float, float, float, float], style: Style) -> None:
    """A frame with the outline of a head and shoulders."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    paper.fill(box, style.theme.fill)
    paper.draw.ellipse(
        (left + 0.3 * width, top + 0.15 * height, right - 0.3 * width, top + 0.6 * height), style.theme.rule
    )
    paper.draw.pieslice(
        (left + 0.12 * width, top + 0.62 * height, right - 0.12 * width, bottom + 0.38 * height),
        180,
        360,
        style.theme.rule,
    )
    paper.outline(box, style.theme.rule)


def set_form(
    rng: np.random.Generator, fields: Sequence[Field], title: str, style: Style, most_pixels: int
) -> Paper | None:
    """Title, a photograph perhaps, and the fields in one or two columns; None where that is too large."""
    pen = style.pen
    row = pen.size * float(rng.uniform(1.35, 1.8)) * (1.6 if style.above else 1)
    margin = pen.size * float(rng.uniform(0.4, 0.9))
    head = 1.7 * pen.size if title else 0.0
    first = 0.0 if style.above else max(style.label.width(f.label + style.colon) for f in fields) + 0.6 * pen.size
    values = max(value_width(field, style) for field in fields)
    labels = max(style.label.width(field.label + style.colon) for field in fields) if style.above else 0.0
    column = max(first + values, labels)
    rows = -(-len(fields) // style.columns)
    photo = 0.75 * rows * row if style.photo else 0.0
    gap = pen.size * (style.columns - 1)
    inner = max(style.columns * column + gap + photo + margin * bool(photo), pen.width(title) + pen.size)
    size = rounded(head + rows * row + 2 * margin), rounded(inner + 2 * margin)
    if size[0] * size[1] > most_pixels:
        return None
    paper = Paper(size, style.theme.paper)
    top = print_title(paper, title, head, margin, style)
    row = (size[0] - top - margin) / rows
    left = margin + (photo + margin if style.photo == "l" else 0.0)
    column = (size[1] - 2 * margin - photo - margin * bool(photo) - gap) / style.columns
    if photo:
        x = margin if style.photo == "l" else size[1] - margin - photo
        print_photo(paper, (x, top + 2, x + photo, top + min(rows * row - 2, 1.3 * photo)), style)
    for index, field in enumerate(fields):
        place, line = divmod(index, rows)
        x, y = left + place * (column + pen.size), top + line * row
        print_field(paper, field, (x, y, x + column, y + row), style, first)
    return paper


def print_title(paper: Paper, title: str, height: float, margin: float, style: Style) -> float:
    """The title, on a band across the sheet or not; gives the top of what follows."""
    if not title:
        return margin
    if style.band:
        paper.fill((0, 0, paper.width, height + margin / 2), style.theme.fill)
    pen = style.pen._replace(ink=style.theme.ink if style.band else style.theme.accent)
    paper.write(title, (margin, pen.baseline(margin / 2, height - margin / 2)), pen)
    return height + margin


def make_form(rng: np.random.Generator, *, split: str, difficulty: float, assets: Assets) -> Example:
    """A form or a card: all fields, some, or one of them (`form-json`, `form-field`)."""
    count = int(rng.integers(1, 4 + round(9 * difficulty)))
    while True:
        language = pick(rng, languages(assets, split))
        fields = make_fields(rng, count, language, split=split, assets=assets)
        title = (
            pick(rng, kept(TITLES[language], split) or TITLES[language])
            if rng.random() < 0.3 + 0.5 * difficulty
            else ""
        )
        style = choose_style(rng, fields, title, difficulty=difficulty, split=split, assets=assets, language=language)
        if style is not None:
            paper = set_form(rng, fields, title, style, room(difficulty) * CELL * CELL)
            if paper is not None:
                break
        count = max(1, count - 1)
    sheet = paper.sheet(rng, difficulty * float(rng.random()))
    question, answer, metric = form_task(rng, fields, language)
    return asked(
        sheet,
        question,
        answer,
        task=f"form-{'json' if metric == 'json' else 'field'}",
        metric=metric,
        language=language,
        further=lambda rng: form_task(rng, fields, language)[:2],
    )


def form_task(rng: np.random.Generator, fields: Sequence[Field], language: str) -> tuple[str, str, str]:
    """(question, answer, metric); an empty field is null, an absent one is said to be absent."""
    values = {field.label: field.value or None for field in fields}
    draw = float(rng.random())
    if draw < 0.05:
        other = pick(rng, [label for key in LABELS[language].values() for label in key if label not in values])
        return pick(rng, ONE).format(key=other), f"There is no field {other}.", "exact"
    if draw < 0.45:
        field = pick(rng, [field for field in fields if not field.options or rng.random() < 0.3] or fields)
        return pick(rng, ONE).format(key=field.label), field.value or "It is empty.", "exact"
    if draw < 0.6 and len(values) > 2:
        some = {label: values[label] for label in values if rng.random() < 0.5} or values
        keys = ", ".join(some)
        return pick(rng, SOME).format(keys=keys), json.dumps(some, ensure_ascii=False), "json"
    return pick(rng, ALL).format(kind="form"), json.dumps(values, ensure_ascii=False), "json"
