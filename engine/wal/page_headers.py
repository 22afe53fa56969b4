"""The headers of a segment's pages, checked as XLogReaderValidatePageHeader (`xlogreader.c`) checks them."""

import numpy as np

from engine.records.lsn import PAGE_SIZE, Lsn, format_lsn
from engine.wal.pages import ALL_FLAGS, FIRST_IS_CONTRECORD, LONG_HEADER
from engine.wal.stripped import Numbers


class PageHeaders:
    """Looks at one page after another of the segment that starts at ``base``, of a timeline not above ``timeline``."""

    def __init__(self, base: Lsn, timeline: int) -> None:
        self.trouble: str | None = None  # what is wrong with the first page that is not sound
        self._base, self._address = base, base
        self._timelines = 1, timeline
        self._magic = 0

    def count_sound(self, pages: Numbers) -> int:
        """How many of the next pages, from the first on, have a right header."""
        if not len(pages):
            return 0
        if self._address == self._base:
            self._magic = int(pages["magic"][0])
        info, timelines = pages["info"], pages["tli"]
        addresses = np.arange(len(pages), dtype=np.uint64) * np.uint64(PAGE_SIZE) + np.uint64(self._address)
        lowest, highest = self._timelines
        good = (pages["magic"] == self._magic) & (pages["addr"] == addresses) & (info <= ALL_FLAGS)
        good &= ((info & LONG_HEADER) != 0) == (addresses == self._base)
        good &= (timelines <= highest) & (timelines >= np.maximum(np.maximum.accumulate(timelines), lowest))
        good &= ((info & FIRST_IS_CONTRECORD) != 0) == (pages["rem"] != 0)
        sound = len(pages) if good.all() else int(np.argmin(good))
        if sound < len(pages):
            self.trouble = self._what_is_wrong(pages[sound : sound + 1], int(addresses[sound]))
        else:
            self._timelines = int(timelines[-1]), highest
        self._address += sound * PAGE_SIZE
        return sound

    def _what_is_wrong(self, page: Numbers, address: Lsn) -> str:
        where, told = format_lsn(address), int(page["addr"][0])
        if not page.view(np.uint8).any():
            return f"zeroed from {where} on"
        if page["magic"][0] == self._magic and told != address:
            return f"the page at {where} says that it is {format_lsn(told)}"
        return f"the page header at {where} is damaged"
