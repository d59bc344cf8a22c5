"""What the process of a submission may not do: the limits of every Unix, and the two locks of Linux by its system calls."""

import ctypes
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_WRITE_FILE = 1 << 1
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/fonts", "/proc/self", "/proc/meminfo")
_SYSTEM_TOO = ("/proc/cpuinfo", "/proc/stat", "/sys/devices/system/cpu", "/dev/urandom", "/dev/random")
_SECCOMP = 317
_ALLOW, _EPERM, _ENOSYS, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_X86_64, _X32 = 0xC000003E, 0x40000000
_CLONE, _CLONE3, _CLONE_THREAD, _PRCTL = 56, 435, 1 << 16, 157
_MOST_OPEN = 256
# fmt: off
_DENIED = (
    57, 58, 59, 322,  # fork vfork execve execveat
    62, 200, 234, 129, 297, 424,  # kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal
    109, 112,  # setpgid setsid
    101, 310, 311, 312, 434, 438, 440,  # ptrace process_vm_readv process_vm_writev kcmp pidfd_open pidfd_getfd process_madvise
    41, 425, 426, 427,  # socket io_uring_setup io_uring_enter io_uring_register
    160, 302, 141, 142, 144, 203, 251,  # setrlimit prlimit64 setpriority sched_set(param scheduler affinity) ioprio_set
    90, 91, 268, 452, 92, 93, 94, 260,  # chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat
    132, 235, 261, 280, 76,  # utime utimes futimesat utimensat truncate
    188, 189, 190, 197, 198, 199,  # setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
    133, 259, 304, 319, 447,  # mknod mknodat open_by_handle_at memfd_create memfd_secret
    29, 64, 68, 240,  # shmget semget msgget mq_open
    165, 166, 155, 161, 272, 308, 428, 429, 430, 431, 432, 433, 442,  # mount umount2 pivot_root chroot unshare setns ...
    167, 168, 169, 170, 171, 164, 227, 159, 305, 172, 173,  # swapon swapoff reboot set*name set*time *adjtime iopl ioperm
    175, 176, 313, 246, 320, 321, 298, 323, 300, 248, 249, 250,  # modules kexec bpf perf_event_open userfaultfd fanotify keys
)
# fmt: on


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Attributes:
        seconds: for its cells, and as many for its answers.
        memory: bytes of address space on top of what Python and PyTorch take (Linux).
        file: bytes of one file.
        folder: bytes of all that it writes.
        locked: use the locks that there are.
    """

    seconds: float = 120.0
    memory: int = 3 << 30
    file: int = 10 << 20
    folder: int = 100 << 20
    locked: bool = True


def missing_locks() -> tuple[str, ...]:
    """What this machine cannot keep a submission from, in words; empty where both locks are there."""
    if sys.platform == "win32":
        return ("reading and writing your files", "using the network", "starting programs", "taking all the memory")
    words = []
    if not _landlock_version():
        words.append("reading and writing your files")
    if not _has_seccomp():
        words += ["using the network", "starting programs"]
    return (*words, *(() if sys.platform == "linux" else ("taking all the memory",)))


def limit(limits: Limits) -> None:
    """Set the limits of this process; on Linux it also ends with the process that started it."""
    if sys.platform == "win32":
        return
    import resource

    bounds = {
        resource.RLIMIT_CPU: int(4 * limits.seconds) + 10,
        resource.RLIMIT_NOFILE: _MOST_OPEN,
        resource.RLIMIT_FSIZE: limits.file,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":
        bounds[resource.RLIMIT_AS] = limits.memory + _address_space()
        _libc().prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    for kind, bound in bounds.items():
        resource.setrlimit(kind, (bound, bound))


def lock(folder: Path, readable: Iterable[Path], hidden: Path) -> None:
    """Give up for good, where the kernel can: every file but those that Python needs, writing outside ``folder``, the network,
    other processes, and changing the limits.

    Args:
        folder: the only place to write.
        readable: folders to read besides the system's and Python's.
        hidden: a folder whose files are not to be read, wherever it lies.

    Raises:
        OSError: a lock that the kernel has could not be closed.
    """
    if _landlock_version():
        prefixes = (sys.prefix, sys.base_prefix, *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))
        _landlock(folder, [*map(Path, (*prefixes, *_SYSTEM, *_SYSTEM_TOO)), *readable], hidden.resolve())
    if _has_seccomp():
        _seccomp()


def _address_space() -> int:
    """Bytes of address space of this process."""
    pages = Path("/proc/self/statm").read_text().split()[0]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _landlock_version() -> int:
    """The version of Landlock that the kernel has, or 0."""
    if sys.platform != "linux":
        return 0
    return max(0, _libc().syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))


def _has_seccomp() -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64" and Path("/proc/sys/kernel/seccomp").exists()


def _landlock(folder: Path, readable: list[Path], hidden: Path) -> None:
    version, read = _landlock_version(), _READ_FILE | _READ_FOLDER
    write = _WRITE_FILE | sum(1 << bit for bit in range(4, 13)) | (1 << 13) * (version >= 2) | (1 << 14) * (version >= 3)
    handled = (write | read | 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    attributes = struct.pack("<QQQ", *handled)[: 8 if version < 4 else 16 if version < 6 else 24]
    rules = _libc().syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    _require(rules >= 0)
    _permit(rules, folder, write | read)
    _permit(rules, Path(os.devnull), _WRITE_FILE | _READ_FILE)
    for path in readable:
        _permit_reading(rules, path.resolve(), hidden)
    _require(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
    _require(_libc().syscall(_LANDLOCK_RESTRICT, rules, 0) == 0)
    os.close(rules)


def _permit_reading(rules: int, path: Path, hidden: Path) -> None:
    """Permit to read all below a path, but for the files of a folder."""
    if hidden.is_relative_to(path):
        _permit(rules, path, _READ_FOLDER)
        for child in path.iterdir() if path != hidden else ():
            _permit_reading(rules, child.resolve(), hidden)
    elif path.exists():
        _permit(rules, path, _READ_FILE | _READ_FOLDER if path.is_dir() else _READ_FILE)


def _permit(rules: int, path: Path, access: int) -> None:
    descriptor = os.open(path, os.O_PATH)
    _require(_libc().syscall(_LANDLOCK_ADD, rules, 1, struct.pack("<Qi", access, descriptor), 0) == 0)
    os.close(descriptor)


def _seccomp() -> None:
    """A filter of system calls, in the instructions of BPF: (code, jump if true, jump if false, constant)."""
    load, equal, at_least, any_bit, end = 0x20, 0x15, 0x35, 0x45, 0x06
    program = [(load, 0, 0, 4), (equal, 1, 0, _X86_64), (end, 0, 0, _KILL), (load, 0, 0, 0)]
    program += [(at_least, 0, 1, _X32), (end, 0, 0, _EPERM), (equal, 0, 1, _CLONE3), (end, 0, 0, _ENOSYS)]
    for call in _DENIED:
        program += [(equal, 0, 1, call), (end, 0, 0, _EPERM)]
    program += [
        (equal, 0, 3, _CLONE),
        (load, 0, 0, 16),
        (any_bit, 4, 0, _CLONE_THREAD),
        (end, 0, 0, _EPERM),
        (equal, 0, 2, _PRCTL),
        (load, 0, 0, 16),
        (equal, 1, 0, _PR_SET_PDEATHSIG),
        (end, 0, 0, _ALLOW),
        (end, 0, 0, _EPERM),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in program))
    filter_ = struct.pack("HP", len(program), ctypes.addressof(code))
    _require(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
    of_all_threads = 1
    _require(_libc().syscall(_SECCOMP, 1, of_all_threads, filter_) == 0)


def _require(done: bool) -> None:
    if not done:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
