"""How icons and flags are asked about, in the languages of their names."""

__all__ = ["AT", "CORNERS", "COUNT", "EVERY", "FLAG", "LIST", "NAME", "TOTAL", "WHERE"]

NAME = {
    "en": ("What is this?", "What does the picture show?", "Name this.", "What do you see?"),
    "zh": ("这是什么？", "图中是什么？"),
    "ja": ("これは何ですか？", "絵には何がありますか？"),
    "ko": ("이것은 무엇입니까?", "그림에 무엇이 있습니까?"),
    "de": ("Was ist das?", "Was zeigt das Bild?"),
    "fr": ("Qu'est-ce que c'est ?", "Que montre l'image ?"),
    "es": ("¿Qué es esto?", "¿Qué muestra la imagen?"),
    "it": ("Che cos'è questo?", "Cosa mostra l'immagine?"),
    "pt": ("O que é isto?", "O que mostra a imagem?"),
    "ru": ("Что это?", "Что на картинке?"),
    "ar": ("ما هذا؟", "ماذا تظهر الصورة؟"),
    "vi": ("Đây là gì?", "Hình này vẽ gì?"),
}
FLAG = {
    "en": ("Which country's flag is this?", "Whose flag is this?", "Which country has this flag?"),
    "zh": ("这是哪个国家的国旗？",),
    "ja": ("これはどの国の旗ですか？",),
    "ko": ("어느 나라 국기입니까?",),
    "de": ("Welches Land hat diese Flagge?", "Wessen Flagge ist das?"),
    "fr": ("De quel pays est ce drapeau ?",),
    "es": ("¿De qué país es esta bandera?",),
    "it": ("Di quale paese è questa bandiera?",),
    "pt": ("De que país é esta bandeira?",),
    "ru": ("Флаг какой это страны?",),
    "ar": ("علم أي بلد هذا؟",),
    "vi": ("Đây là cờ nước nào?",),
}
WHERE = ("Where is the {}?", "Find the {}.", "Give the box of the {}.", "Locate the {}.")
EVERY = ("Find every {}.", "Where is each {}?", "Give the box of every {}.")
COUNT = ("How many times does the {} appear?", "How often is there a {}?", "Count the icons that show: {}.")
TOTAL = ("How many things are there?", "How many things do you see?", "Count the things.")
LIST = ("List what you see, row by row.", "Name everything, row by row.", "What is in each place, row by row?")
AT = ("What is {}?", "What do you see {}?", "Name the thing {}.")
CORNERS = {
    (0, 0): ("at the top left", "in the upper left corner"),
    (0, 1): ("at the top right", "in the upper right corner"),
    (1, 0): ("at the bottom left", "in the lower left corner"),
    (1, 1): ("at the bottom right", "in the lower right corner"),
}
"""(row, column) of a 2 x 2 grid, in words."""
