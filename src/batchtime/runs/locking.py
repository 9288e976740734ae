"""One process at a time: a lock on an open file, which the system lifts when the file is closed."""

import os
import sys


def lock(descriptor: int, *, wait: bool) -> None:
    """Lock an open file against other processes.

    Args:
        descriptor: Of the file; on Windows it must be open for writing.
        wait: Whether to wait for another process that holds the lock.

    Raises:
        BlockingIOError: If another process holds it and `wait` is false.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from error
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
