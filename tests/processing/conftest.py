"""The published tokenizer, written from the rank file once a session, and sentences in many languages."""

from pathlib import Path

import pytest

from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.vocabulary import default_ranks_file, write_tokenizer

# After article 1 of the Universal Declaration of Human Rights, and text that tokenizers stumble over.
SENTENCES = {
    "ar": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً.",
    "bg": "Всички хора се раждат свободни и равни по достойнство и права.",
    "bn": "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে।",
    "cs": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren; äußere Größe zählt nicht.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "en": "All human beings are born free and equal in dignity and rights. They're endowed with reason; it's THEIR'S.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos. ¿Y tú, año 1948?",
    "fa": "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند.",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. L'été, ça coûte 12,50 €.",
    "he": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "hu": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van.",
    "id": "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Perché no?",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ka": "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით.",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
    "ro": "Toate ființele umane se nasc libere și egale în demnitate și în drepturi.",
    "ru": "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter.",
    "sw": "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa.",
    "ta": "மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்.",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Iğdır, İstanbul.",
    "uk": "Всі люди народжуються вільними і рівними у своїй гідності та правах.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，共1948年12月10日。",
    "zh-Hant": "人人生而自由，在尊嚴和權利上一律平等。「龘」字很難。",
    "emoji": "👩‍👩‍👧‍👦 family, 🇻🇳🇰🇷 flags, 👍🏽, ❤️‍🔥 and ☎️!",
    "code": "def f(x: int) -> str:\n\treturn f'{x:>08_}'\n\n\nif __name__ == \"__main__\":  # 100%\n    print(f(42))\n",
    "json": '{"total": 12.50, "items": [{"n": 1, "sku": "A-0042"}], "ok": null}',
    "maths": "∑_{i=1}^{∞} 1/i² = π²/6 ≈ 1.644934; x⃗ ∈ ℝ³, Ω ≠ Å",
    "decomposed": "e\u0301te\u0301, a\u0302\u0301, \u1112\u1161\u11ab\u1100\u1173\u11af, \u212b \u2126 \u03d2\u0301",
    "blanks": "  two  leading,\ttab \t mix,\u00a0nbsp,\u3000wide,\u200bzero  ",
    "lines": "\n\nfirst\r\nsecond\r\r\n   \n\n third \n",
    "marks": "?!... --- ***bold*** ~~~ <b>&amp;</b> <|not special|> <| im_start |> |> <|",
    "controls": "bell\x07 nul\x00 esc\x1b[0m del\x7f bom\ufeff end\u2028para\u2029",
    "digits": "1234567890 ١٢٣ ⅷ ² 3.14e-10 0x1F",
}


@pytest.fixture(scope="session")
def sentences() -> dict[str, str]:
    return SENTENCES


@pytest.fixture(scope="session")
def full_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokenizer files with all 151,643 ranks and the ids of the published checkpoints."""
    folder = tmp_path_factory.mktemp("qwen2_vl_tokenizer")
    write_tokenizer(folder, default_ranks_file())
    return folder


@pytest.fixture(scope="session")
def full_tokenizer(full_folder: Path) -> Tokenizer:
    return Tokenizer.from_folder(full_folder)


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 2,048 ranks, as the embedded checkpoint has them."""
    folder = tmp_path_factory.mktemp("small_tokenizer")
    write_tokenizer(folder, default_ranks_file(), size=2048)
    return folder


@pytest.fixture(scope="session")
def small_tokenizer(small_folder: Path) -> Tokenizer:
    return Tokenizer.from_folder(small_folder)
