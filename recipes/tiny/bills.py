"""What receipts and invoices say: who sold what to whom, when, and sums that add up; all of it made up."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from recipes.tiny.assets import LANGUAGES, Assets
from recipes.tiny.grids import kept
from recipes.tiny.paper import pick
from recipes.tiny.phrases import FIRST_NAMES, LAST_NAMES, digits, pseudo_words

LABELS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en": {
        "receipt": ("RECEIPT", "Receipt", "SALE"), "invoice": ("INVOICE", "Invoice"), "date": ("Date", "DATE",
        "Date:"),
        "time": ("Time", "TIME", "Time:"), "number": ("No.", "Receipt #", "Ticket", "Ref."),
        "subtotal": ("Subtotal", "SUBTOTAL", "Net"),
        "tax": ("Tax", "TAX", "VAT"), "total": ("TOTAL", "Total", "Amount due", "Total due"), "cash": ("CASH",
        "Cash", "Paid"),
        "change": ("CHANGE", "Change"), "due": ("Due", "Due date", "Pay by"), "buyer": ("Bill to", "To", "Customer"),
        "name": ("Description", "Item"), "quantity": ("Qty", "Quantity"), "price": ("Unit price", "Price"),
        "amount": ("Amount", "Total"),
        "thanks": ("Thank you!", "THANK YOU", "Please come again"),
    },
    "de": {
        "receipt": ("QUITTUNG", "Kassenbon"), "invoice": ("RECHNUNG", "Rechnung"), "date": ("Datum", "Datum:"),
        "time": ("Uhrzeit", "Zeit:"),
        "number": ("Bon-Nr.", "Nr.", "Beleg"), "subtotal": ("Zwischensumme", "Netto"), "tax": ("MwSt.", "USt."),
        "total": ("SUMME", "Summe", "Gesamt", "Zu zahlen"),
        "cash": ("BAR", "Gegeben"), "change": ("Rückgeld", "Zurück"), "due": ("Fällig am", "Zahlbar bis"),
        "buyer": ("An", "Kunde"),
        "name": ("Bezeichnung", "Artikel"), "quantity": ("Menge", "Anz."), "price": ("Einzelpreis", "Preis"),
        "amount": ("Betrag", "Gesamt"),
        "thanks": ("Vielen Dank!", "Danke für Ihren Einkauf"),
    },
    "fr": {
        "receipt": ("REÇU", "Ticket"), "invoice": ("FACTURE", "Facture"), "date": ("Date", "Date :"),
        "time": ("Heure", "Heure :"),
        "number": ("N°", "Ticket n°"), "subtotal": ("Sous-total", "Total HT"), "tax": ("TVA",), "total": ("TOTAL",
        "Total TTC", "À payer"),
        "cash": ("ESPÈCES", "Espèces"), "change": ("Rendu", "RENDU"), "due": ("Échéance",), "buyer": ("Client",
        "Facturé à"),
        "name": ("Désignation", "Article"), "quantity": ("Qté", "Quantité"), "price": ("Prix unit.", "Prix"),
        "amount": ("Montant",),
        "thanks": ("Merci !", "Merci de votre visite"),
    },
    "es": {
        "receipt": ("RECIBO", "Ticket"), "invoice": ("FACTURA", "Factura"), "date": ("Fecha", "Fecha:"),
        "time": ("Hora", "Hora:"),
        "number": ("N.º", "Ticket"), "subtotal": ("Subtotal", "Base"), "tax": ("IVA",), "total": ("TOTAL", "Total",
        "A pagar"),
        "cash": ("EFECTIVO", "Entregado"), "change": ("Cambio", "CAMBIO"), "due": ("Vence", "Vencimiento"),
        "buyer": ("Cliente",),
        "name": ("Descripción", "Artículo"), "quantity": ("Cant.", "Cantidad"), "price": ("Precio",),
        "amount": ("Importe",),
        "thanks": ("¡Gracias!", "Gracias por su visita"),
    },
    "it": {
        "receipt": ("SCONTRINO", "Ricevuta"), "invoice": ("FATTURA", "Fattura"), "date": ("Data", "Data:"),
        "time": ("Ora", "Ora:"),
        "number": ("N.", "Doc. n."), "subtotal": ("Subtotale",), "tax": ("IVA",), "total": ("TOTALE", "Totale",
        "Da pagare"),
        "cash": ("CONTANTI", "Contanti"), "change": ("Resto", "RESTO"), "due": ("Scadenza",), "buyer": ("Cliente",),
        "name": ("Descrizione", "Articolo"), "quantity": ("Qtà", "Quantità"), "price": ("Prezzo",),
        "amount": ("Importo",),
        "thanks": ("Grazie!", "Grazie e arrivederci"),
    },
    "zh": {
        "receipt": ("收据", "购物小票"), "invoice": ("发票", "账单"), "date": ("日期", "日期:"),
        "time": ("时间", "时间:"),
        "number": ("单号", "编号", "小票号"), "subtotal": ("小计",), "tax": ("税额", "税费"),
        "total": ("合计", "总计", "应付金额"),
        "cash": ("现金", "实收"), "change": ("找零",), "due": ("付款期限", "到期日"), "buyer": ("客户", "购买方"),
        "name": ("品名", "商品"), "quantity": ("数量",), "price": ("单价",), "amount": ("金额",),
        "thanks": ("谢谢惠顾", "欢迎再次光临"),
    },
}  # fmt: skip
PRODUCTS: Mapping[str, tuple[str, ...]] = {
    "en": (
        "Milk", "Bread", "Butter", "Eggs", "Cheese", "Apples", "Bananas", "Coffee", "Tea", "Sugar", "Rice",
        "Pasta", "Water", "Juice", "Soap", "Paper", "Pen", "Salt", "Honey", "Soup", "Cake", "Pie", "Salad",
        "Burger", "Fries", "Pizza", "Beer", "Wine", "Socks", "Shirt", "Lamp", "Cable", "Battery", "Glue",
        "Nails", "Paint", "Brush", "Rope", "Bulb", "Plum jam", "Green tea", "Oat milk", "Tomatoes", "Onions",
        "Carrots", "Yogurt", "Chicken", "Fish", "Muffin", "Bagel", "Cocoa",
    ),
    "de": (
        "Milch", "Brot", "Butter", "Eier", "Käse", "Äpfel", "Kaffee", "Tee", "Zucker", "Reis", "Nudeln",
        "Wasser", "Saft", "Seife", "Papier", "Salz", "Honig", "Suppe", "Kuchen", "Salat", "Bier", "Wein",
        "Lampe", "Kabel", "Kleber", "Brötchen",
    ),
    "fr": (
        "Lait", "Pain", "Beurre", "Œufs", "Fromage", "Pommes", "Café", "Thé", "Sucre", "Riz", "Pâtes", "Eau",
        "Jus", "Savon", "Papier", "Sel", "Miel", "Soupe", "Gâteau", "Salade", "Bière", "Vin", "Lampe", "Câble",
        "Colle", "Croissant",
    ),
    "es": (
        "Leche", "Pan", "Queso", "Huevos", "Manzanas", "Café", "Té", "Azúcar", "Arroz", "Pasta", "Agua", "Zumo",
        "Jabón", "Papel", "Sal", "Miel", "Sopa", "Tarta", "Ensalada", "Cerveza", "Vino", "Lámpara", "Cable",
        "Piña", "Limón",
    ),
    "it": (
        "Latte", "Pane", "Burro", "Uova", "Mele", "Caffè", "Tè", "Zucchero", "Riso", "Pasta", "Acqua", "Succo",
        "Sapone", "Carta", "Sale", "Miele", "Zuppa", "Torta", "Insalata", "Birra", "Vino", "Lampada", "Cavo",
        "Colla", "Limoni",
    ),
    "zh": (
        "牛奶", "面包", "鸡蛋", "苹果", "香蕉", "咖啡", "绿茶", "白糖", "大米",
        "面条", "矿泉水", "果汁", "肥皂", "纸巾", "食盐", "蜂蜜", "蛋糕", "沙拉",
        "啤酒", "台灯", "电池", "胶水", "毛巾", "牙膏", "豆腐", "酸奶", "饼干",
        "葡萄", "番茄", "土豆",
    ),
}  # fmt: skip
DATES: Mapping[str, tuple[str, ...]] = {
    "en": ("{m:02}/{d:02}/{y}", "{y}-{m:02}-{d:02}", "{d:02}/{m:02}/{y}", "{d} {name} {y}", "{m:02}/{d:02}/{s:02}"),
    "zh": ("{y}-{m:02}-{d:02}", "{y}年{m}月{d}日", "{y}/{m:02}/{d:02}"),
    "": ("{d:02}.{m:02}.{y}", "{d:02}/{m:02}/{y}", "{d:02}.{m:02}.{s:02}", "{y}-{m:02}-{d:02}"),
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SELLERS: Mapping[str, tuple[str, ...]] = {
    "en": ("Shop", "Store", "Market", "Cafe", "Deli", "& Co."),
    "de": ("Laden", "GmbH", "Markt"),
    "fr": ("SARL", "Marché"),
    "es": ("S.L.", "Tienda"),
    "it": ("S.r.l.", "Bar"),
    "zh": ("超市", "商店", "餐厅"),
}


class Item(NamedTuple):
    """A line of a bill as printed."""

    name: str
    quantity: str
    price: str
    amount: str


class Bill(NamedTuple):
    """A receipt or an invoice; `fields` are printed texts by English key, in the order of a receipt."""

    language: str
    fields: Mapping[str, str]
    items: tuple[Item, ...]
    labels: Mapping[str, str]

    @property
    def text(self) -> str:
        """Everything that is to be printed."""
        return "".join((*self.fields.values(), *self.labels.values(), *("".join(item) for item in self.items)))


def date(rng: np.random.Generator, language: str) -> str:
    """A day in a form of the language."""
    day, month, year = int(rng.integers(1, 29)), int(rng.integers(1, 13)), int(rng.integers(2005, 2031))
    form = pick(rng, DATES.get(language, DATES[""]))
    return form.format(d=day, m=month, y=year, s=year % 100, name=MONTHS[month - 1])


def person(rng: np.random.Generator, language: str, *, split: str, assets: Assets) -> str:
    """A made-up name."""
    if names := assets.phrases("name", language, split):
        return pick(rng, names)
    if language == "zh":
        return (
            pick(rng, "王李张刘陈杨赵黄周吴")
            + pick(rng, "伟芳娜敏静丽强磊军洋")
            + pick(rng, ("", "明", "华", "英", "平"))
        )
    last = pick(rng, LAST_NAMES) if rng.random() < 0.4 else pseudo_words(rng, split, 7).split()[0].title()
    return f"{pick(rng, FIRST_NAMES)} {last}"


def seller(rng: np.random.Generator, language: str, *, split: str, assets: Assets, longest: int) -> str:
    """A made-up shop or company of at most `longest` letters."""
    for _ in range(6):
        known = assets.phrases("company", language, split)
        if known and rng.random() < 0.5:
            name = pick(rng, known)
        elif language == "zh":
            name = pick(rng, "福顺昌鑫美佳乐康永盛") + pick(rng, "达源丰华利兴隆泰和安") + pick(rng, SELLERS["zh"])
        else:
            name = f"{pseudo_words(rng, split, 6).split()[0].title()} {pick(rng, SELLERS.get(language, SELLERS['en']))}"
        name = name.upper() if rng.random() < 0.4 else name
        if len(name) <= longest:
            return name
    return name[:longest].strip()


def address(rng: np.random.Generator, language: str, *, split: str, assets: Assets) -> str:
    """A street with a number."""
    streets = assets.phrases("street", language, split)
    if streets:
        return pick(rng, streets)
    if language == "zh":
        return f"{pick(rng, ('人民', '解放', '中山', '和平', '建设'))}路{int(rng.integers(1, 400))}号"
    street = pseudo_words(rng, split, 7).split()[0].title()
    number = int(rng.integers(1, 300))
    return f"{number} {street} St" if language == "en" else f"{street} {number}"


def products(rng: np.random.Generator, count: int, language: str, *, split: str, longest: int) -> list[str]:
    """Different goods of at most `longest` letters."""
    known = kept(PRODUCTS[language], split)
    found: dict[str, str] = {}
    for _ in range(6 * count):
        name = pick(rng, known)
        if len(name) <= longest and name.isprintable():
            found.setdefault(name.lower(), name)
    names = list(found.values())[:count] or [min(known, key=len)] * (count > 0)
    return [name.upper() for name in names] if rng.random() < 0.2 else names


class Money(NamedTuple):
    """How amounts are printed."""

    form: str
    comma: bool

    def text(self, value: Decimal) -> str:
        """`1,234.50`, `1.234,50 €`."""
        plain = f"{value:,.2f}"
        return self.form.format(plain.translate(str.maketrans(",.", ".,")) if self.comma else plain)


def money_of(rng: np.random.Generator, language: str) -> Money:
    """The way a shop of the language prints amounts."""
    if language == "en":
        return Money(pick(rng, ("{}", "{}", "${}", "£{}")), comma=False)
    if language == "zh":
        return Money(pick(rng, ("{}", "{}", "¥{}")), comma=False)
    return Money(pick(rng, ("{}", "{}", "{} €", "€{}")), comma=True)


def languages(assets: Assets, split: str) -> list[str]:
    """The languages of LABELS that there are faces for, English most often."""
    others = [name for name in LABELS if name != "en" and assets.families(LANGUAGES[name], split)]
    return ["en"] * 4 + others + ["zh"] * ("zh" in others)


def make_bill(
    rng: np.random.Generator,
    count: int,
    keys: Sequence[str],
    *,
    longest: int,
    split: str,
    assets: Assets,
    language: str,
) -> Bill:
    """A bill of `count` items at most that prints the fields `keys`; sums add up, taxes are rounded to cents."""
    money = money_of(rng, language)
    names = products(rng, count, language, split=split, longest=longest)
    most = int(10 ** float(rng.uniform(0.6, 2.2)))
    items, net = [], Decimal(0) if names else Decimal(int(rng.integers(50, 100 * most))) / 100
    for name in names:
        price = Decimal(int(rng.integers(50, 100 * most))) / 100
        quantity = int(rng.integers(1, 10)) if rng.random() < 0.4 else 1
        net += price * quantity
        items.append(Item(name, str(quantity), money.text(price), money.text(price * quantity)))
    tax = (net * pick(rng, (5, 7, 8, 10, 19, 20)) / 100).quantize(Decimal("0.01")) if "tax" in keys else Decimal(0)
    cash = (net + tax).quantize(Decimal(1)) + pick(rng, (1, 5, 10, 20))
    made: dict[str, Callable[[], str]] = {
        "seller": lambda: seller(rng, language, split=split, assets=assets, longest=longest + 6),
        "address": lambda: address(rng, language, split=split, assets=assets),
        "number": lambda: pick(rng, ("", "A", "B-", "R", "2024-")) + digits(rng, int(rng.integers(3, 7))),
        "date": lambda: date(rng, language),
        "time": lambda: f"{int(rng.integers(7, 22)):02}:{int(rng.integers(60)):02}",
        "due": lambda: date(rng, language),
        "buyer": lambda: person(rng, language, split=split, assets=assets),
        "subtotal": lambda: money.text(net),
        "tax": lambda: money.text(tax),
        "total": lambda: money.text(net + tax),
        "cash": lambda: money.text(cash),
        "change": lambda: money.text(cash - net - tax),
    }
    labels = {key: pick(rng, options) for key, options in LABELS[language].items()}
    return Bill(language, {key: maker() for key, maker in made.items() if key in keys}, tuple(items), labels)
