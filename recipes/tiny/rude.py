"""Words that frequency lists hold and nobody wants to be taught: left out when packs are read."""

import re

__all__ = ["is_rude"]

STEMS = (
    "arseh asshol bastard bitch blowjob boob cocks$ cocksuck cums?$ cunt dicks?$ dildo fag(got)?s?$ fuck handjob hentai"
    " hooker horny jizz kikes?$ masturb motherf nigg(a|er) orgasm penis$ porn prostitut pussy$ rape[drs]?$ rapist"
    " retarded sexpot sexy shit slut tits?$ twats?$ vagina wank whore xxx$ bullshit goddam"
    " arschl fick(en|t)?$ fotze hure(n|nsohn)?$ nutten?$ scheiß scheiss schlampe titten schwuchtel wichs"
    " branl connard couille encul merd niquer? putain putes?$ salope foutre enfoir"
    " cabr[oó]n chinga coño coj?on(es)?$ follar follando gilipoll jod(er|ida|ido|iendo)$ maric[oóa] mierda pendej"
    " polla[s]?$ put[ao]s?$ vergas?$ zorras?$ culos?$"
    " cazz coglion stronz puttan troi[ae]$ vaffan minchia figa$ scop(are|ata)$"
    " buceta caralh fod[ae]$ foder porra$ viad[oa] punhet putaria cacete arrombad"
    " địt đụ$ đéo lồn$ cặc đĩ$"
    " бля(дь|ть)?$ еба[лнт] заеб ху[йеёя] пизд муда мудил сука$ суки$ суку$ сучк шлюх жопу дерьм гандон педик"
    " γαμώ γαμη μαλάκα μαλάκε μαλακία μουνί πουτάν πούστ σκατ πούτσ κώλο κωλο"
    " エロ クソ$ チンコ マンコ フェラ$"
)
"""How rude words begin, of all languages that write with blanks; `$` where longer words are harmless."""
PARTS = (
    "fuck"
    " 操你 他妈 妈的 鸡巴 傻逼 屌 妓女 强奸 色情 淫 嫖 性交 阴茎 阴道 轮奸 做爱 裸体 卖淫"
    " セックス レイプ ちんこ まんこ オナニ 巨乳 おっぱい ポルノ 強姦 売春"
    " 씨발 시발 좆 보지 섹스 병신 강간 새끼 창녀 자지 야동 포르노"
    " شرموط قحب كسم اغتصاب عاهر"
)
"""What rude words hold anywhere."""
RUDE = re.compile(f"^(?:{'|'.join(STEMS.split())})|{'|'.join(PARTS.split())}", re.IGNORECASE)


def is_rude(word: str) -> bool:
    """Whether a word is left out; a list of stems finds what is common, not all.

    >>> is_rude("Shitty"), is_rude("cocktail"), is_rude("Titel"), is_rude("scum"), is_rude("性交")
    (True, False, False, False, True)
    """
    return RUDE.search(word) is not None
