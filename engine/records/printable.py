"""Text of others as it may be shown: names out of databases, archives and file systems, what programs say."""


def printable(text: str | bytes) -> str:
    """One line for a terminal or a log: what is not UTF-8 (as bytes, or as Python decodes names), and every character
    that is not printable (controls, direction marks, line breaks), is escaped as in a Python string."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    if "\udc80" <= char <= "\udcff":  # a byte that is not UTF-8 (PEP 383)
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()
