"""What a check's findings mean for the run: which files were known to be nobody's, and which nobody has told of."""

from collections.abc import Iterator

from msgspec import Struct, field

from engine.media.catalogue import key_of
from engine.media.checking import read_findings
from engine.media.choices import Choices, Lost
from engine.records.checking import FileCheck, FileFinding

NOBODY = "no snapshot of the moment has it, and nothing that was set aside"
_NAMED = 100


class Judged(Struct):
    """Counts of files. ``listed``: missing or wrong, and told before as what nobody has; ``missing`` and ``wrong``: all
    others, with the first of them."""

    listed: int = 0
    missing: int = 0
    wrong: int = 0
    sample: list[FileFinding] = field(default_factory=list)

    @property
    def stops(self) -> bool:
        return bool(self.missing or self.wrong)


def judge(choices: Choices, checked: FileCheck, *, narrowed: bool) -> Judged:
    """``narrowed``: the database had said what it refers to when the files were chosen. Where it could not, what is
    missing counts as what nobody has, and is listed so now."""
    judged = Judged()
    choices.ask("DELETE FROM lost WHERE why = ?", NOBODY)  # of a check before
    for each in _findings(checked):
        if choices.number("SELECT EXISTS (SELECT 1 FROM lost WHERE key = ?)", key_of(each.path)):
            judged.listed += 1
            choices.ask("UPDATE lost SET rows = ? WHERE key = ?", each.rows, key_of(each.path))  # asked for only now
        elif each.kind == "missing" and not narrowed:
            choices.lose(Lost(each.path, None, each.size, each.rows, NOBODY))
            judged.listed += 1
        else:
            judged.missing += each.kind == "missing"
            judged.wrong += each.kind == "wrong"
            if len(judged.sample) < _NAMED:
                judged.sample.append(each)
    choices.commit()
    return judged


def _findings(checked: FileCheck) -> Iterator[FileFinding]:
    yield from read_findings(checked.book, "missing")
    yield from read_findings(checked.book, "wrong")
