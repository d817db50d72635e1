"""Languages as file names spell them: ISO 639-1 and 639-2 codes, and the commonest names.

A table of our own, because the full ISO 639-3 takes the words of film titles ("the", "dvd") for languages.
"""

import re

_CODE_LIST = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv "
    "dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie "
    "ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv "
    "mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm "
    "rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr "
    "ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu "
    "aar abk afr aka alb amh ara arg arm asm ava ave aym aze bak bam baq bel ben bis bod bos bre bul bur "
    "cat ces cha che chi chu chv cor cos cre cym cze dan deu div dut dzo ell eng epo est eus ewe fao fas "
    "fij fin fra fre fry ful geo ger gla gle glg glv gre grn guj hat hau hbs heb her hin hmo hrv hun hye "
    "ibo ice ido iii iku ile ina ind ipk isl ita jav jpn kal kan kas kat kau kaz khm kik kin kir kom kon "
    "kor kua kur lao lat lav lim lin lit ltz lub lug mac mah mal mao mar may mkd mlg mlt mon mri msa mya "
    "nau nav nbl nde ndo nep nld nno nob nor nya oci oji ori orm oss pan per pli pol por pus que roh ron "
    "rum run rus sag san sin slk slo slv sme smo sna snd som sot spa sqi srd srp ssw sun swa swe tah tam "
    "tat tel tgk tgl tha tib tir ton tsn tso tuk tur twi uig ukr urd uzb ven vie vol wel wln wol xho yid "
    "yor zha zho zul "
)
_CODES = frozenset(_CODE_LIST.split())
_NAME_LIST = (
    "arabic:ar bulgarian:bg chinese:zh croatian:hr czech:cs danish:da dutch:nl english:en estonian:et "
    "finnish:fi french:fr german:de greek:el hebrew:he hindi:hi hungarian:hu indonesian:id italian:it "
    "japanese:ja korean:ko latvian:lv lithuanian:lt norwegian:no persian:fa polish:pl portuguese:pt "
    "romanian:ro russian:ru serbian:sr slovak:sk slovenian:sl spanish:es swedish:sv thai:th turkish:tr "
    "ukrainian:uk vietnamese:vi deutsch:de español:es français:fr italiano:it svenska:sv chs:zh cht:zh"
)
_NAMES = dict(pair.split(":") for pair in _NAME_LIST.split())
_TAG = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{4}|[a-z]{2}|\d{3}))?", re.IGNORECASE)


def language_of(word: str) -> str | None:
    """Return the language that a word of a file's name or a header means: "en", "ger", "pt-BR"; else None."""
    name = _NAMES.get(word.lower())
    if name is not None:
        return name
    tag = _TAG.fullmatch(word)
    if tag is None or tag[1].lower() not in _CODES:
        return None
    return f"{tag[1].lower()}-{tag[2]}" if tag[2] else tag[1].lower()
