"""Libraries that the server loads at its start: which of them this machine lacks."""

from pathlib import Path

from engine.formats.settings_file import read_list
from engine.records.copies import BaseBackup
from engine.records.survey import ClusterFacts, Programs


def missing_libraries(
    backup: BaseBackup | None, cluster: ClusterFacts, programs: Programs | None, *, in_place: bool
) -> tuple[str, ...]:
    """The preloaded libraries that are not where PostgreSQL looks for them (dfmgr.c: ``$libdir`` unless a folder is
    named). In place, production's own settings count too."""
    if programs is None or programs.library_dir is None:
        return ()
    named = list(backup.preload_libraries) if backup else []
    if in_place:
        for setting in ("shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"):
            named += read_list(cluster.settings.get(setting, ""))
    library_dir = Path(programs.library_dir)
    return tuple(name for name in dict.fromkeys(named) if not _there(name, library_dir))


def _there(name: str, library_dir: Path) -> bool:
    bare = name.removeprefix("$libdir/")
    if "/" in bare and not bare.startswith("/"):
        bare = bare.removeprefix("plugins/") if (library_dir / "plugins").is_dir() else bare
    place = Path(bare) if bare.startswith("/") else library_dir / bare
    return any(candidate.is_file() for candidate in (place, place.with_name(place.name + ".so")))
