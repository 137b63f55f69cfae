"""Which language a text is likely in, told by its letters and its commonest words. None where that is not sure."""

from __future__ import annotations

import re
from collections import Counter

_WORDS = {
    "en": "the and of to is that it for you with are this have was not but they from what will your can would",
    "de": "der die das und ist nicht ein eine zu den mit sich auf von dem für auch es wir sie ich aber oder wird",
    "fr": "le la les et est un une des que pour dans qui pas vous avec sur ce nous sont mais du au cette elle",
    "es": "el la los que y es un una de en por con para no se las del lo como más pero su está este sus",
    "it": "il la che e di un una non per con sono del della gli le si da come anche ma nel questo più alla",
    "pt": "o a os que e é um uma de em para com não se do da no na como mais mas por são seu isso você",
    "nl": "de het een en van is dat niet te zijn op voor met ik je maar ook aan er wordt deze als naar bij",
}
_OF_WORD: dict[str, list[str]] = {}
for _language, _list in _WORDS.items():
    for _word in _list.split():
        _OF_WORD.setdefault(_word, []).append(_language)
_SCRIPTS = {
    "ja": "[\u3040-\u30ff]",
    "zh": "[\u4e00-\u9fff]",
    "ko": "[\uac00-\ud7af]",
    "ru": "[\u0400-\u04ff]",
    "ar": "[\u0600-\u06ff]",
    "el": "[\u0370-\u03ff]",
    "he": "[\u0590-\u05ff]",
    "hi": "[\u0900-\u097f]",
}
LANGUAGES = (*_WORDS, *_SCRIPTS)
_WORD = r"[^\W\d_]+"
_CODE = r"(?s)```.*?(?:```|$)|`[^`\n]*`"
_LEAST_WORDS = 12
_LEAST_PART = 0.12  # of all words are the commonest of the language
_LEAD = 1.5  # over the next language


def likely_language(text: str) -> str | None:
    """Its ISO 639-1 code."""
    text = re.sub(_CODE, " ", text)
    letters = sum(map(str.isalpha, text))
    for language, letter in _SCRIPTS.items():
        if letters >= _LEAST_WORDS and len(re.findall(letter, text)) > (0.1 if language == "ja" else 0.4) * letters:
            return language
    words = [word.lower() for word in re.findall(_WORD, text)]
    if len(words) < _LEAST_WORDS:
        return None
    counts: Counter[str] = Counter()
    for word in words:
        for language in _OF_WORD.get(word, ()):
            counts[language] += 1
    ranked = counts.most_common(2)
    if not ranked or ranked[0][1] < _LEAST_PART * len(words):
        return None
    if len(ranked) > 1 and ranked[0][1] < _LEAD * ranked[1][1]:
        return None
    return ranked[0][0]
