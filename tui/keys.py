"""Every key of the program: its id (for remapping in the settings), its keys, what it does. Help is made from these."""

from collections.abc import Mapping

from msgspec import Struct
from textual.binding import Binding


class Key(Struct, frozen=True):
    """``keys`` in Textual's names, comma-separated; ``shown`` is how footer and help write the first of them."""

    id: str
    keys: str
    help: str
    shown: str
    acts: bool = False  # changes something: disabled by --read-only


def _table(*keys: Key) -> dict[str, Key]:
    return {key.id: key for key in keys}


KEYS: dict[str, Key] = _table(
    Key("overview", "1", "overview", "1"),
    Key("timeline", "2", "recovery timeline", "2"),
    Key("runs", "3", "runs", "3"),
    Key("drills", "4", "drills", "4"),
    Key("help", "question_mark,f1", "all keys", "?"),
    Key("palette", "colon,ctrl+p", "palette: every act by name", ":"),
    Key("find", "slash", "find", "/"),
    Key("copy", "y", "copy what matters here", "y"),
    Key("read", "r", "read again", "r"),
    Key("theme", "T", "next theme", "T"),
    Key("back", "escape", "one level back", "Esc"),
    Key("quit", "q", "leave; a run goes on", "q"),
    Key("left", "left,h", "one column back", "←"),
    Key("right", "right,l", "one column on", "→"),
    Key("page-left", "pageup,ctrl+u", "one screen back", "PgUp"),
    Key("page-right", "pagedown,ctrl+d", "one screen on", "PgDn"),
    Key("first", "home", "to the beginning", "Home"),
    Key("last", "end,G", "to the end of the archive", "End"),
    Key("zoom-in", "plus,equals_sign,up,k", "closer", "+"),
    Key("zoom-out", "minus,down,j", "further away", "−"),
    Key("next-event", "n", "next event", "n"),
    Key("previous-event", "p", "previous event", "p"),
    Key("go-to", "g", "go to a time, LSN, transaction or restore point", "g"),
    Key("edge-before", "b", "nearest reachable moment before", "b"),
    Key("edge-after", "a", "nearest reachable moment after", "a"),
    Key("next-line", "tab", "next timeline that holds this moment", "Tab"),
    Key("problems", "i", "what is wrong in the repositories", "i"),
    Key("plan", "enter", "plan a restore to this moment", "Enter"),
    Key("plan-dump", "D", "plan the restore of the dump here, or the last one before", "D"),
    Key("up", "up,k", "up", "↑"),
    Key("down", "down,j", "down", "↓"),
    Key("page-up", "pageup,ctrl+u", "one page up", "PgUp"),
    Key("page-down", "pagedown,ctrl+d,space", "one page down", "PgDn"),
    Key("top", "home,g", "to the top", "Home"),
    Key("bottom", "end,G", "to the bottom", "End"),
    Key("open", "enter", "open", "Enter"),
    Key("destination", "d", "another destination", "d"),
    Key("port", "p", "another port", "p"),
    Key("wait", "w", "wait at the moment for a look, or go through", "w"),
    Key("with-files", "m", "with or without the users' files", "m"),
    Key("checks", "c", "all checks, or those that matter", "c"),
    Key("save", "s", "save the plan as JSON", "s"),
    Key("start", "enter", "start", "Enter", acts=True),
    Key("take-copy", "c", "take a copy of this now", "c", acts=True),
    Key("verify", "v", "verify the newest copy of this", "v", acts=True),
    Key("expire", "e", "what the policy lets go", "e"),
    Key("delete", "X", "delete what the policy lets go", "X", acts=True),
    Key("files", "f", "the files as they were at this moment", "f"),
    Key("up-folder", "backspace,left,h", "the folder above", "Bksp"),
    Key("difference", "d", "what differs from live, or from another snapshot", "d"),
    Key("next-snapshot", "tab,right_square_bracket", "the next snapshot, same folder", "Tab"),
    Key("previous-snapshot", "left_square_bracket", "the snapshot before, same folder", "["),
    Key("restore-files", "R", "restore this file or folder", "R", acts=True),
    Key("log", "l", "log, large or small", "l"),
    Key("which-log", "L", "the server's log or the engine's", "L"),
    Key("hold", "z", "hold, and go on", "z", acts=True),
    Key("stop", "x", "stop at the next safe point; all is left as it is", "x", acts=True),
    Key("skip", "s", "leave out the reading of every page; go on with files that are not right", "s", acts=True),
    Key("forward", "f", "replay on to a later moment", "f", acts=True),
    Key("keep", "k", "keep waiting, leave this screen", "k"),
    Key("finish", "P", "finish: open for writes", "P", acts=True),
    Key("psql", "o", "psql on the run's server", "o"),
    Key("resume", "R", "resume the run", "R", acts=True),
    Key("accept", "A", "go on although the site's own questions are not answered with true", "A", acts=True),
    Key("rollback", "U", "roll back to the state before", "U", acts=True),
    Key("discard", "D", "delete the copy, or what was set aside", "D", acts=True),
    Key("server", "S", "stop or start the copy's server", "S", acts=True),
    Key("application", "O", "open the system to its users", "O", acts=True),
    Key("report", "enter", "report", "Enter"),
    Key("prove", "p", "prove the copies: restored beside production, looked through, thrown away", "p"),
    Key("other-moment", "m", "prove a random moment, or the newest", "m"),
    Key("drill", "d", "drills: practise it", "d"),
    Key("past-drills", "p", "past drills", "p"),
    Key("other-chart", "c", "the other chart: times, or losses", "c"),
    Key("record", "w", "what happened, minute by minute", "w"),
    Key("to-work", "enter", "to work: the timeline of the drill's system", "Enter"),
    Key("drill-hint", "H", "in a drill: a hint, which costs points", "H"),
    Key("drill-check", "C", "in a drill: is it solved?", "C"),
    Key("drill-end", "E", "in a drill: end it, and see the marks", "E"),
)


def bind(id: str, action: str) -> Binding:
    """The Textual binding of a key."""
    key = KEYS[id]
    return Binding(key.keys, action, key.help, show=False, id=id)


def shown(id: str, remapped: Mapping[str, str]) -> str:
    """How a key is written in footer and help, remapped or not."""
    if id in remapped:
        first = remapped[id].split(",")[0].strip()
        return {"question_mark": "?", "colon": ":", "slash": "/", "escape": "Esc", "enter": "Enter"}.get(first, first)
    return KEYS[id].shown
