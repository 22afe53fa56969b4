"""Which records a recovery must look at, told for all at once by resource manager and info (`xlogrecord.h`)."""

import numpy as np
from numpy.typing import NDArray

from engine.wal import records

END, TOLD, SWITCH, UNKNOWN = 1, 2, 3, 4  # a transaction's end; what `records.read_other` reads; XLOG_SWITCH; no record

RECORD = np.dtype(
    [("length", "<u4"), ("xid", "<u4"), ("previous", "<u8"), ("info", "u1"), ("rmgr", "u1"), ("padding", "<u2"),
     ("crc", "<u4")]
)  # fmt: skip


def _table() -> NDArray[np.uint8]:
    marks = np.zeros((256, 256), np.uint8)  # rmgr, info
    info = np.arange(256)
    marks[records.LAST_BUILTIN_RMGR + 1 : records.FIRST_CUSTOM_RMGR] = UNKNOWN
    marks[records.RM_XACT, (info & records.XACT_OPMASK) >> 4 < len(records.END_KINDS)] = END
    marks[records.RM_STANDBY, info & 0xF0 == records.XLOG_RUNNING_XACTS] = TOLD
    for kind in (records.XLOG_BACKUP_END, records.XLOG_PARAMETER_CHANGE, records.XLOG_RESTORE_POINT):
        marks[records.RM_XLOG, info & 0xF0 == kind] = TOLD
    marks[records.RM_XLOG, info & 0xF0 == records.XLOG_SWITCH] = SWITCH
    return marks.reshape(-1)


_MARKS = _table()


def marks_of(headers: NDArray[np.void]) -> NDArray[np.uint8]:
    """One mark for each record header; 0 for what a recovery need not know of."""
    words = headers.view("<u2").reshape(len(headers), RECORD.itemsize // 2)
    marks: NDArray[np.uint8] = _MARKS.take(words[:, RECORD.fields["info"][1] // 2])  # type: ignore[index]
    return marks
