"""The first process of the sandbox, a script of the standard library alone: it shuts itself in,
starts the code and waits for it.

On Linux it moves into namespaces of its own for users, processes, mounts and the network. There the
code has no rights, sees no other process and no network device, every folder is read-only, and what
stands in ``/proc``, ``/run`` and the temporary folder is covered by empty folders in memory. When
the first process of such a namespace dies, the kernel kills all the others.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys

_NAMESPACES = 0x20000000 | 0x10000000 | 0x00020000 | 0x40000000 | 0x08000000
"""CLONE_NEWPID, NEWUSER, NEWNS, NEWNET, NEWIPC."""
_DEATH_SIGNAL, _ADOPT_ORPHANS = 1, 36
_MOUNT_SETATTR, _HERE, _RECURSIVE = 442, -100, 0x8000
_READ_ONLY, _PRIVATE = 1 | 2 | 4, 1 << 18
"""Neither set-user-ID programs nor devices: root could write to a disk."""
_NOBODY = 65534
PROCESSES = 16
FILE_BYTES = 16 << 20
_START = (
    "import builtins, sys; builtins.exit = builtins.quit = sys.exit; "
    "__name__ = {name!r}; sys.modules[__name__] = sys.modules['__main__']; sys.argv[:] = ['']; "
    "del builtins, sys; exec(compile(open({code}, 'rb').read(), 'answer.py', 'exec'))"
)


def main(code: int, report: int, seconds: int, megabytes: int, name: str) -> int:
    """Run the code in the file ``code``; the exit status is its own, 128 + n for signal n.
    ``report`` gets "isolated" where it is, "root" where the code would have root's rights and is
    not run."""
    python, folder = os.path.realpath(sys.executable), os.getcwd()
    root = os.geteuid() == 0
    isolated = sys.platform == "linux" and _alone()
    if root and not isolated and not _nobody(python):
        os.write(report, b"root")
        return 1
    _die_with_parent()
    child = os.fork()
    if child == 0:
        _die_with_parent()
        if isolated:
            covered = _covered(python, folder)
            os.write(report, b"isolated" if covered else b"root" if root else b"")
            if root and not covered:
                os._exit(1)
        os.close(report)
        # As the first process of its namespace the code would be immune to signals.
        if isolated and (inner := os.fork()):
            os._exit(_ended(inner))
        _limit(seconds, megabytes)
        start = _START.format(code=code, name=name)
        os.execv(python, [python, "-I", "-S", "-X", "utf8", "-c", start])
    os.close(report)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    if sys.platform == "linux":
        _libc().prctl(_ADOPT_ORPHANS, 1)
    status = _ended(child)
    with contextlib.suppress(OSError):
        _end_orphans()
    return status


def _ended(child: int) -> int:
    """The exit status of ``child``; whoever else is left to this process is reaped meanwhile."""
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _end_orphans() -> None:
    """``OSError`` where the system does not tell of them."""
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            orphans = children.read().split()
        for pid in orphans:
            os.kill(int(pid), signal.SIGKILL)
        os.wait()


def _alone() -> bool:
    """Whether the children to come live in namespaces of their own."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        # The kernel counts no processes of root; it counts by the real user, and reads files by
        # the effective one.
        with contextlib.suppress(OSError):
            os.setresuid(_NOBODY, 0, 0)
    if _libc().unshare(_NAMESPACES) != 0:
        return False
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", f"1000 {user} 1"),
        ("gid_map", f"1000 {group} 1"),
    ):
        # Where a security module forbids it, the mounts below fail too.
        with contextlib.suppress(OSError), open(f"/proc/self/{file}", "w") as out:
            out.write(text)
    return True


def _nobody(python: str) -> bool:
    """Whether root's rights are given up for those of nobody, who can read ``python`` and write the
    current folder."""
    try:
        os.chown(".", _NOBODY, _NOBODY)
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    except OSError:
        return False
    return os.access(python, os.X_OK) and os.access(os.__file__, os.R_OK)


def _covered(python: str, folder: str) -> bool:
    """Whether no file but those of an empty folder in memory can be written; it is the current
    one."""
    libc = _libc()
    attributes = struct.pack("QQQQ", _READ_ONLY, 0, _PRIVATE, 0)
    wanted = libc.syscall(
        _MOUNT_SETATTR, _HERE, b"/", _RECURSIVE, attributes, ctypes.c_size_t(len(attributes))
    )
    shared = os.path.dirname(folder)
    # A Python that is installed below the temporary folder must stay in sight.
    work = folder if any(p.startswith(shared + "/") for p in (python, os.__file__)) else shared
    options = f"size={4 * FILE_BYTES},nr_inodes=4096,mode=700".encode()
    for place in ("/proc", "/run", work):
        if os.path.isdir(place):
            wanted |= libc.mount(b"tmpfs", place.encode(), b"tmpfs", 0, options)
    os.chdir(work)
    return bool(wanted == 0)


def _limit(seconds: int, megabytes: int) -> None:
    for name, soft, hard in (
        ("AS", megabytes << 20, megabytes << 20),
        ("CPU", seconds, seconds + 1),
        ("FSIZE", FILE_BYTES, FILE_BYTES),
        ("NPROC", PROCESSES, PROCESSES),
        ("NOFILE", 64, 64),
        ("CORE", 0, 0),
    ):
        # macOS has no limit on memory; a limit of the machine's that is lower stays.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (soft, hard))


def _die_with_parent() -> None:
    if sys.platform == "linux":
        _libc().prctl(_DEATH_SIGNAL, signal.SIGKILL)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    _code, _report, _seconds, _megabytes = map(int, sys.argv[1:5])
    sys.exit(main(_code, _report, _seconds, _megabytes, sys.argv[5]))
