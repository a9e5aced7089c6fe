"""What the buttons and fields of drawn interfaces say, and how they are asked about."""

import zlib
from collections.abc import Sequence

__all__ = ["CLICK", "EMPTY", "FIELD", "LABELS", "NEXT", "STATE", "WHERE", "labels"]

LABELS = {
    "en": ("Save", "Cancel", "Open", "Close", "Delete", "Edit", "Search", "Send", "Next", "Back", "Apply", "Help",
           "Print", "Copy", "Paste", "Undo", "Sign in", "Sign out", "Add to cart", "Check out", "Download", "Upload",
           "Settings", "Profile", "Share", "Reply", "Forward", "New file", "Select all", "Zoom in", "Refresh", "Stop",
           "Continue", "Accept", "Decline", "Browse", "Import", "Export", "Log out", "Subscribe", "Remember me",
           "Dark mode", "Notifications", "First name", "Last name", "Email", "Password", "Phone", "Address", "City",
           "Country", "Language", "Date", "Amount", "Comment", "Title", "Home", "About", "Contact", "News", "Account",
           "Orders", "Messages", "Calendar", "Files", "Pictures", "Music", "Sound", "Privacy", "Security", "Network"),
    "de": ("Speichern", "Abbrechen", "Öffnen", "Schließen", "Löschen", "Bearbeiten", "Suchen", "Senden", "Weiter",
           "Zurück", "Drucken", "Kopieren", "Einfügen", "Anmelden", "Abmelden", "Einstellungen", "Hilfe", "Vorname",
           "Nachname", "Straße", "Ort", "Land", "Sprache", "Betrag", "Datum", "Konto", "Dateien", "Bilder", "Ton"),
    "fr": ("Enregistrer", "Annuler", "Ouvrir", "Fermer", "Supprimer", "Modifier", "Rechercher", "Envoyer", "Suivant",
           "Retour", "Imprimer", "Copier", "Coller", "Connexion", "Réglages", "Aide", "Prénom", "Nom", "Adresse",
           "Ville", "Pays", "Langue", "Montant", "Date", "Compte", "Fichiers", "Images", "Son", "Accueil"),
    "es": ("Guardar", "Cancelar", "Abrir", "Cerrar", "Eliminar", "Editar", "Buscar", "Enviar", "Siguiente", "Atrás",
           "Imprimir", "Copiar", "Pegar", "Entrar", "Salir", "Ajustes", "Ayuda", "Nombre", "Apellidos", "Dirección",
           "Ciudad", "País", "Idioma", "Importe", "Fecha", "Cuenta", "Archivos", "Imágenes", "Sonido", "Inicio"),
    "zh": ("保存", "取消", "打开", "关闭", "删除", "编辑", "搜索", "发送", "下一步", "返回", "打印", "复制", "粘贴",
           "登录", "退出", "设置", "帮助", "姓名", "地址", "城市", "国家", "语言", "金额", "日期", "账户", "文件",
           "图片", "音乐", "声音", "首页", "确定", "应用", "刷新", "下载", "上传"),
    "ja": ("保存", "キャンセル", "開く", "閉じる", "削除", "編集", "検索", "送信", "次へ", "戻る", "印刷", "コピー",
           "貼り付け", "ログイン", "設定", "ヘルプ", "名前", "住所", "国", "言語", "金額", "日付", "ファイル", "画像",
           "音楽", "ホーム", "更新", "共有"),
}  # fmt: skip
WHERE = ("Where is {}?", "Find {}.", "Give the box of {}.", "Locate {}.")
CLICK = {
    "button": ("Click {0}.", "Press {0}.", "Click the {0} button.", "Where do I click for {0}?"),
    "check box": ("Click the check box {0}.", "Click {0}."),
    "switch": ("Click the switch {0}.", "Click {0}."),
    "radio button": ("Choose {0}.", "Click {0}."),
    "field": ("Click into the field {0}.", "Click the field {0}."),
    "list": ("Open the list {0}.", "Click the list {0}."),
    "tab": ("Open the tab {0}.", "Click the tab {0}."),
    "menu": ("Open the menu {0}.", "Click {0}."),
    "icon": ("Click the {0} icon.", "Press the {0} icon."),
}
STATE = {
    "check box": ("Is {0} ticked?", "Is the check box {0} ticked?", "Is {0} checked?"),
    "switch": ("Is {0} on?", "Is the switch {0} on?"),
    "radio button": ("Is {0} chosen?", "Is {0} selected?"),
    "tab": ("Is the tab {0} open?", "Is {0} the open tab?"),
}
FIELD = ("What is in the field {}?", "What does the field {} hold?", "Read the field {}.", "What is entered as {}?")
EMPTY = "It is empty."
NEXT = ("Task: tick {}, then press {}. Where is the next click?", "Tick {}, then click {}. What is the next click?")


def labels(language: str, split: str) -> Sequence[str]:
    """The labels of a split; one in five is held out.

    >>> "Cancel" in labels("en", "train") or "Cancel" in labels("en", "held_out")
    True
    """
    wanted = split == "held_out"
    return tuple(text for text in LABELS[language] if (zlib.crc32(text.encode()) % 5 == 0) == wanted)
