"""The system calls that a reader process may make, as a seccomp filter; every other one is refused with EPERM.

A reader needs memory, threads, time, its two pipes, and files opened to be read. It needs no process, no program, no
socket beyond a pair of its own, no file written, and nothing of another process.
"""

import ctypes
import os
import platform
import struct

# name: its number on x86_64, on aarch64; None where there is none
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67), "pwrite64": (18, 68),
    "close": (3, 57), "close_range": (436, 436), "lseek": (8, 62), "fadvise64": (221, 223), "recvfrom": (45, 207),
    "sendto": (44, 206), "fstat": (5, 80), "newfstatat": (262, 79), "stat": (4, None), "lstat": (6, None),
    "statx": (332, 291), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "readlink": (89, None), "readlinkat": (267, 78), "getdents64": (217, 61), "getcwd": (79, 17), "fcntl": (72, 25),
    "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "pipe": (22, None), "pipe2": (293, 59),
    "eventfd2": (290, 19), "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216), "madvise": (28, 233),
    "brk": (12, 214), "membarrier": (324, 283), "mincore": (27, 232), "futex": (202, 98), "set_robust_list": (273, 99),
    "get_robust_list": (274, 100), "rseq": (334, 293), "set_tid_address": (218, 96), "gettid": (186, 178),
    "getpid": (39, 172), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176),
    "getegid": (108, 177), "getresuid": (118, 148), "getresgid": (120, 150), "exit": (60, 93), "exit_group": (231, 94),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "restart_syscall": (219, 128), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "nanosleep": (35, 101), "gettimeofday": (96, 169), "time": (201, None),
    "times": (100, 153), "getrusage": (98, 165), "sysinfo": (99, 179), "uname": (63, 160), "getcpu": (309, 168),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getrandom": (318, 278), "getrlimit": (97, 163),
}  # fmt: skip

_OPEN, _OPENAT, _CLONE, _CLONE3, _OPENAT2 = (2, None), (257, 56), (56, 220), (435, 435), (437, 437)
_PRCTL, _PRLIMIT64, _TGKILL, _IOCTL, _SOCKETPAIR = (157, 167), (302, 261), (234, 131), (16, 29), (53, 199)
_MAKE_FOLDER = ((83, None), (258, 34))
_PR_SET_NAME, _PR_SET_VMA = 15, 0x53564D41
_CLONE_THREAD = 0x10000
_AF_UNIX = 1
_TCGETS, _FIONBIO, _FIOCLEX = 0x5401, 0x5421, 0x5451

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Of each machine: the place of its numbers above, and its AUDIT_ARCH."""
_SECCOMP = (317, 277)
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC = 1, 1

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_EPERM, _EEXIST, _ENOSYS = 1, 17, 38
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16

_Instruction = tuple[int, int, int, int]


def install() -> bool:
    """Puts the filter on this process and its threads, and returns whether the kernel took it. To be called after
    PR_SET_NO_NEW_PRIVS."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    code = b"".join(struct.pack("=HBBI", *one) for one in filter_for(machine[0], machine[1], os.getpid()))
    kept = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(kept))
    number, flags = _SECCOMP[machine[0]], _SECCOMP_FILTER_FLAG_TSYNC
    return bool(ctypes.CDLL(None).syscall(number, _SECCOMP_SET_MODE_FILTER, flags, program) == 0)


def allowed_numbers() -> set[int]:
    """What this machine's filter lets pass, whole or in part."""
    place = _MACHINES[platform.machine()][0]
    partly = (_OPEN, _OPENAT, _CLONE, _PRCTL, _PRLIMIT64, _TGKILL, _IOCTL, _SOCKETPAIR)
    return {number for one in (*_ALLOWED.values(), *partly) if (number := one[place]) is not None}


def filter_for(place: int, arch: int, pid: int) -> list[_Instruction]:
    """The filter's instructions for the process `pid`. Another architecture's numbers are none of ours."""
    code: list[_Instruction] = [(_LOAD, 0, 0, _ARCH_AT), (_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _REFUSE | _EPERM)]
    code.append((_LOAD, 0, 0, _NUMBER_AT))
    for numbers in _ALLOWED.values():
        code += _on(numbers[place], [(_RETURN, 0, 0, _ALLOW)])
    for numbers in (_CLONE3, _OPENAT2):  # their arguments lie in memory: libraries ask for clone and openat instead
        code += _on(numbers[place], [(_RETURN, 0, 0, _REFUSE | _ENOSYS)])
    for numbers in _MAKE_FOLDER:  # the OCR makes the folder of a cache that it does not use
        code += _on(numbers[place], [(_RETURN, 0, 0, _REFUSE | _EEXIST)])
    written = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
    code += _on(_OPEN[place], _without(1, written))
    code += _on(_OPENAT[place], _without(2, written))
    code += _on(_CLONE[place], [_argument(0), (_ANY_BIT, 0, 1, _CLONE_THREAD), (_RETURN, 0, 0, _ALLOW), _REFUSED])
    code += _on(_PRCTL[place], _one_of(0, _PR_SET_NAME, _PR_SET_VMA))
    code += _on(_PRLIMIT64[place], _one_of(0, 0, pid))
    code += _on(_TGKILL[place], _one_of(0, pid))  # abort()
    code += _on(_IOCTL[place], _one_of(1, _TCGETS, _FIONBIO, _FIOCLEX))
    code += _on(_SOCKETPAIR[place], _one_of(0, _AF_UNIX))
    return [*code, _REFUSED]


_REFUSED: _Instruction = (_RETURN, 0, 0, _REFUSE | _EPERM)


def _on(number: int | None, then: list[_Instruction]) -> list[_Instruction]:
    return [] if number is None else [(_EQUAL, 0, len(then), number), *then]


def _argument(which: int) -> _Instruction:
    """Loads the lower half of an argument; none that is compared here has a meaning in the upper one."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * which)


def _without(which: int, bits: int) -> list[_Instruction]:
    return [_argument(which), (_ANY_BIT, 0, 1, bits), _REFUSED, (_RETURN, 0, 0, _ALLOW)]


def _one_of(which: int, *values: int) -> list[_Instruction]:
    each = [one for value in values for one in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW))]
    return [_argument(which), *each, _REFUSED]
