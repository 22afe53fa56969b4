"""Which records a recovery must look at, told for all at once by resource manager and info (`xlogrecord.h`)."""

import numpy as np
from numpy.typing import NDArray

from engine.wal import records
from engine.wal.headers import Headers

END, TOLD, SWITCH, UNKNOWN = 1, 2, 3, 4  # a transaction's end; what `records.read_other` reads; XLOG_SWITCH; no record


def _table() -> NDArray[np.uint8]:
    marks = np.zeros((256, 256), np.uint8)  # rmgr, info
    info = np.arange(256)
    marks[records.LAST_BUILTIN_RMGR + 1 : records.FIRST_CUSTOM_RMGR] = UNKNOWN
    marks[records.RM_XACT, (info & records.XACT_OPMASK) >> 4 < len(records.END_KINDS)] = END
    marks[records.RM_STANDBY, info & 0xF0 == records.XLOG_RUNNING_XACTS] = TOLD
    for kind in (records.XLOG_BACKUP_END, records.XLOG_PARAMETER_CHANGE, records.XLOG_RESTORE_POINT):
        marks[records.RM_XLOG, info & 0xF0 == kind] = TOLD
    marks[records.RM_XLOG, info & 0xF0 == records.XLOG_SWITCH] = SWITCH
    return marks.reshape(-1)  # info is the lower byte of the two


_MARKS = _table()


def marks_of(headers: Headers) -> NDArray[np.uint8]:
    """One mark for each record; 0 for what a recovery need not know of."""
    marks: NDArray[np.uint8] = _MARKS.take(headers.last & 0xFFFF)
    return marks
