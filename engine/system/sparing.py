"""A process that lets others go first, with all that it starts from then on."""

import psutil


def let_others_go_first(nice: int, idle_io: bool) -> None:
    """Take a lower priority for the processor (nice(2)) and the disks (ioprio_set(2), the idle class), which children
    inherit whatever user they become. One that is as low already stays: only root could raise it again."""
    here = psutil.Process()
    if here.nice() < nice:
        here.nice(nice)
    if idle_io:
        here.ionice(psutil.IOPRIO_CLASS_IDLE)
