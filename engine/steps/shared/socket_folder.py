"""The folder of a recovered server's private socket, there before every start."""

import os
import stat
from contextlib import suppress

from engine.postgres.server import Server
from engine.records.errors import RunFailed


def ensure_socket_folder(server: Server) -> None:
    """The server's socket folder, 0700 and its user's. Where the path was too long it lies in the system's folder of
    temporary files, which is emptied at a boot, and in which anybody may put something of that name. Raises RunFailed.
    """
    folder = server.socket_dir
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            status = os.fstat(handle)
            if status.st_uid not in (server.user.uid, os.geteuid()):
                raise RunFailed(
                    f"the socket folder {folder} belongs to somebody else (uid {status.st_uid})",
                    remedy="see whose it is and remove it, then try again",
                )
            if os.geteuid() == 0:
                os.fchown(handle, server.user.uid, server.user.gid)
            if stat.S_IMODE(status.st_mode) != 0o700:
                os.fchmod(handle, 0o700)
        finally:
            os.close(handle)
    except OSError as error:
        raise RunFailed(
            f"the socket folder {folder} cannot be made", cause=error.strerror, remedy="mend it, then try again"
        ) from error
