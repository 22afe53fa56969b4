"""Production's own settings, put back at the switch-over, under a block of ours that keeps the cluster to ourselves.

The newest production settings are those of the data directory that was set aside; where there is none (a bare machine),
the backup's. Files outside the data directory (the site's ``config_file``) are production's already and are only read.
What we overrule stands in one marked block at the end of `postgresql.auto.conf`, which wins over every other file:

- from the take-over to the finish of the promotion: the feed, the gate, **no archive command**;
- from then to `open`: private socket, no TCP, no job runners, no synchronous standbys;
- after `open`: nothing, but `synchronous_standby_names` stays blank (`sync-standby`).
"""

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from engine.formats.control_file import ControlFile
from engine.formats.settings_file import (
    quote_setting,
    read_list,
    read_settings,
    read_settings_file,
    remove_block,
    remove_settings,
    write_block,
)
from engine.records.errors import RepriseError, RunFailed
from engine.records.plan import Layout
from engine.records.survey import OsUser
from engine.site import Database
from engine.steps.protocol import RunningStep
from engine.steps.settings import (
    FILES,
    MARK,
    ORIGINAL,
    harmless_libraries,
    hba_text,
    needed_settings,
    quote_list,
    recovery_settings,
    room_for_origins,
)
from engine.steps.shared.layout import layout_of, write_file
from engine.steps.shared.points import current_point
from engine.system.programs import run_program

AUTO_CONF = "postgresql.auto.conf"
_HBA, _IDENT = "pg_hba.reprise.conf", "pg_ident.reprise.conf"
_TARGETS = (
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
)
_COMMANDS = ("archive_cleanup_command", "primary_conninfo", "primary_slot_name", "recovery_end_command")
STALE = frozenset({*_TARGETS, *_COMMANDS, "restore_command", "recovery_target_timeline", "recovery_target_action",
                   "recovery_target_inclusive", "recovery_min_apply_delay", "promote_trigger_file"})  # fmt: skip


def put_back(step: RunningStep, data_dir: Path) -> None:
    """Production's files into ``data_dir``, cleared of any old recovery; our block is not in them yet. Applied again,
    it does the same. Raises RunFailed."""
    layout = layout_of(step.plan)
    for name in FILES:
        source = _newest(layout, data_dir, name)
        if source is None:
            continue
        text = read_inside(source, layout.run_as)
        if name == AUTO_CONF:
            text = remove_settings(remove_block(text), STALE)
        write_file(layout, data_dir / name, text)
        if layout.set_aside is not None and source.is_relative_to(layout.set_aside):
            _bring_includes(layout, text, Path(layout.set_aside), data_dir)
    if not (data_dir / AUTO_CONF).is_file():
        write_file(layout, data_dir / AUTO_CONF, "")


def production_settings(step: RunningStep, data_dir: Path) -> dict[str, str]:
    """What production's files set, as they stand in ``data_dir`` or where the site names them; without our block and
    without what is included."""
    named = step.site.database.config_file
    settings: dict[str, str] = {}
    for path in (Path(named) if named else data_dir / "postgresql.conf", data_dir / AUTO_CONF):
        if path.is_file():
            outside = named is not None and path == Path(named)  # the operator's own, link or not
            user = layout_of(step.plan).run_as
            text = path.read_text("utf-8", "surrogateescape") if outside else read_inside(path, user)
            settings |= read_settings(remove_block(text))
    return settings


def read_inside(path: Path, user: OsUser) -> str:
    """A file of a data directory, whose owner may have put a link or anything else there: what is no plain file is
    read as that owner, so that root's rights lead nowhere that he cannot look himself. Raises RepriseError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return run_program(["/bin/cat", "--", str(path)], user)
        raise RunFailed(f"{path} cannot be read", cause=error.strerror, remedy="mend it, then resume") from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise RunFailed(f"{path} is no file", remedy="put production's own there, then resume")
        return file.read().decode("utf-8", "surrogateescape")


def archives(settings: Mapping[str, str]) -> bool:
    """Whether production archives: every way to write a true `archive_mode`."""
    return settings.get("archive_mode", "off").lower() in ("on", "true", "yes", "1", "always", "t", "y", "tr", "tru")


def write_private_block(
    step: RunningStep, data_dir: Path, control: ControlFile, *, recovering: bool, hold_archiving: bool
) -> None:
    """Our block: private in any case; with what the recovery needs; with archiving switched on but held back, so that
    segments and history are marked for the archive and none is sent."""
    layout = layout_of(step.plan)
    production = production_settings(step, data_dir)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": quote_list([layout.socket_dir]),
        "unix_socket_permissions": "0700",
        "port": str(layout.port),
        "hba_file": str(data_dir / _HBA),
        "ident_file": str(data_dir / _IDENT),
        "ssl": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        "log_line_prefix": "%m [%p] ",
        "lc_messages": "C",
        "synchronous_standby_names": "",
        "max_logical_replication_workers": "0",
        **dict.fromkeys(_COMMANDS, ""),
        **needed_settings(step.plan, current_point(step), control, production),
    }
    if "shared_preload_libraries" in production:
        libraries = read_list(production["shared_preload_libraries"])
        settings["shared_preload_libraries"] = ",".join(harmless_libraries(libraries))
    if archives(production):
        settings["archive_mode"] = "on"
    if hold_archiving:
        settings["archive_command"] = ""
        if control.version >= 15:
            settings["archive_library"] = ""
    if recovering:
        settings |= dict.fromkeys(_TARGETS, "") | {"recovery_min_apply_delay": "0"}
        if control.version < 16:
            settings["promote_trigger_file"] = ""
        settings |= {"hot_standby": "on"} | recovery_settings(layout, current_point(step).timeline)
        settings |= room_for_origins(control, production)
    write_file(layout, data_dir / _HBA, hba_text())
    write_file(layout, data_dir / _IDENT, f"{MARK}: no maps.\n")
    text = read_inside(data_dir / AUTO_CONF, layout.run_as)
    write_file(layout, data_dir / AUTO_CONF, write_block(text, settings))


def open_to_production(step: RunningStep, data_dir: Path) -> bool:
    """Take our block away: the next start has production's own addresses. Synchronous standbys stay blanked, since
    those that were named are gone or on the old timeline; returns whether that was needed."""
    layout = layout_of(step.plan)
    text = remove_block(read_inside(data_dir / AUTO_CONF, layout.run_as))
    named = production_settings(step, data_dir).get("synchronous_standby_names", "")
    if named:
        kept = remove_settings(text, frozenset({"synchronous_standby_names"}))
        text = kept + f"synchronous_standby_names = {quote_setting('')}\n"
    write_file(layout, data_dir / AUTO_CONF, text)
    for name in (_HBA, _IDENT):
        (data_dir / name).unlink(missing_ok=True)
    return bool(named)


def start_settings(database: Database, data_dir: Path) -> dict[str, str]:
    """What production's server needs on its command line where its files lie outside the data directory."""
    if database.config_file is None:
        return {}
    return {"config_file": database.config_file, "data_directory": str(data_dir)}


def _newest(layout: Layout, data_dir: Path, name: str) -> Path | None:
    places = [data_dir / (name + ORIGINAL)]
    if layout.set_aside is not None:
        places.insert(0, Path(layout.set_aside) / name)
    return next((place for place in places if place.is_file()), None)


def _bring_includes(layout: Layout, text: str, old: Path, new: Path) -> None:
    """What production's file includes from inside the data directory is newer there than in the backup. Copied as
    run_as, whose folders both are: a link among them leads root nowhere."""
    for _, name in read_settings_file(text).includes:
        inner = PurePosixPath(name)
        if inner.is_absolute() or ".." in inner.parts or not (old / inner).exists():
            continue
        try:
            run_program(["/bin/mkdir", "-p", "--", str((new / inner).parent)], layout.run_as)
            copying = ["/bin/cp", "-RHT", "--preserve=mode,timestamps", "--remove-destination", "--"]
            run_program([*copying, str(old / inner), str(new / inner)], layout.run_as)
        except RepriseError as error:
            raise RunFailed(
                f"{new / inner} cannot be written", cause=error.cause or error.message, remedy="mend it, then resume"
            ) from error
