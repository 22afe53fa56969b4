"""What of a drill runs: looked for in the whole machine."""

import os
from pathlib import Path

from engine.drill.base import lab_place
from tests.clusters import processes_below


def left_behind(state: Path) -> list[str]:
    """What runs in the drills' lab or for a drill; and the lab's sockets."""
    lab = lab_place(state)
    found = [f"process {pid} in the lab" for pid in processes_below(lab)]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except OSError:
            continue
        named = os.fsencode(f"{lab}/") in words or os.fsencode(f"{state}/drills/") in words
        if named and int(process.parent.name) != os.getpid():
            found.append(words.replace(b"\0", b" ").decode())
    return found + [str(path) for path in lab.glob("s/.s.*")]
