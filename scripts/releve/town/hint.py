"""The nearest right word for a wrong one."""

import difflib


def hint(word: str, known: list[str]) -> str:
    """Return `; did you mean "x"?`, or the choices when nothing is near."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known here: {', '.join(sorted(known))}" if known else ""
