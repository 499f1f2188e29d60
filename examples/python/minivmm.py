# SPDX-License-Identifier: BSD-2-Clause
"""Virtual machines from Python: libminivmm by ctypes, with no compiled parts of its own.

    with minivmm.Machine(kernel="bzImage", memory="512M", on_log=print) as vm:
        print(vm.run(timeout=60), vm.why)

Options are those of minivmm(1), with _ for -; a list gives an option several times, True a switch. include/minivmm.h says what each
function does. The library is libminivmm.so.0, or what the environment variable LIBMINIVMM names.
"""
import atexit
import ctypes
import errno
import math
import os
import time
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_longlong, c_ulonglong, c_void_p

_lib = ctypes.CDLL(os.environ.get("LIBMINIVMM", "libminivmm.so.0"))
_LOG, _EVENT = CFUNCTYPE(None, c_void_p, c_int, c_char_p), CFUNCTYPE(None, c_void_p, c_int)
_NO_LOG, _NO_EVENT = _LOG(), _EVENT()

for _name, _result, _arguments in (
    ("version", c_char_p, []),
    ("error", c_char_p, []),
    ("config_new", c_void_p, []),
    ("config_free", None, [c_void_p]),
    ("config_set", c_int, [c_void_p, c_char_p, c_char_p]),
    ("config_command", c_int, [c_void_p, POINTER(c_char_p)]),
    ("config_log", None, [c_void_p, _LOG, c_void_p]),
    ("config_events", None, [c_void_p, _EVENT, c_void_p]),
    ("create", c_int, [c_void_p, POINTER(c_void_p)]),
    ("start", c_int, [c_void_p]),
    ("wait", c_int, [c_void_p, c_int]),
    ("end_fd", c_int, [c_void_p]),
    ("destroy", None, [c_void_p]),
    ("pause", c_int, [c_void_p]),
    ("resume", c_int, [c_void_p]),
    ("stop", c_int, [c_void_p, c_int]),
    ("stream", c_int, [c_void_p, c_int]),
    ("signal", c_int, [c_void_p, c_int]),
    ("balloon", c_longlong, [c_void_p, c_longlong]),
    ("memory", c_ulonglong, [c_void_p]),
    ("end", c_int, [c_void_p]),
    ("status", c_int, [c_void_p]),
    ("why", c_char_p, [c_void_p]),
):
    _function = getattr(_lib, "minivmm_" + _name)
    _function.restype, _function.argtypes = _result, _arguments

LEVELS = ("asked", "error", "warn", "info")
EVENTS = ("started", "restarted", "ended")
ENDS = (None, "power-off", "reset", "crashed", "debug-exit", "quit", "killed", "failed", "command")


class Error(OSError):
    """A function of the library failed: errno, and why in words."""

_open = set()  # machines whose threads may call us


@atexit.register
def _close_all():
    for machine in list(_open):
        machine.close()


def version():
    return _lib.minivmm_version().decode()


def _check(rc):
    if rc < 0:
        raise Error(-rc, _lib.minivmm_error().decode())
    return rc


class Machine:
    """A virtual machine; close(), "with" or the end of the program ends it, and it can't be used after that.
    on_log(text, level) and on_event(name) are called on threads of the machine.

    With command, a list of arguments, it runs that as minivmm run does.
    """

    def __init__(self, command=None, on_log=None, on_event=None, **options):
        self._pointer = c_void_p()
        # ctypes can call these as long as something refers to them: we do, and _open refers to us.
        self._log = _LOG(lambda _, level, text: on_log(text.decode(), LEVELS[level])) if on_log else _NO_LOG
        self._event = _EVENT(lambda _, event: on_event(EVENTS[event])) if on_event else _NO_EVENT
        config = _lib.minivmm_config_new()
        if not config:
            raise MemoryError
        try:
            _lib.minivmm_config_log(config, self._log, None)
            _lib.minivmm_config_events(config, self._event, None)
            if command is not None:
                arguments = [os.fsencode(argument) for argument in command] + [None]
                _check(_lib.minivmm_config_command(config, (c_char_p * len(arguments))(*arguments)))
            for name, values in options.items():
                for value in values if isinstance(values, (list, tuple)) else [values]:
                    self._set(config, name.replace("_", "-"), value)
            _check(_lib.minivmm_create(config, byref(self._pointer)))
            _open.add(self)
        finally:
            _lib.minivmm_config_free(config)

    @property
    def _vm(self):
        if not self._pointer:
            raise ValueError("the machine was closed")
        return self._pointer

    @staticmethod
    def _set(config, name, value):
        if value is not False and value is not None:
            _check(_lib.minivmm_config_set(config, name.encode(), None if value is True else os.fsencode(str(value))))

    def start(self):
        _check(_lib.minivmm_start(self._vm))

    def wait(self, timeout=None):
        """Waits for the end; False: it has not come within timeout seconds."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            left = max(until - time.monotonic(), 0)
            rc = _lib.minivmm_wait(self._vm, math.ceil(min(left, 1000000) * 1000))
            if rc != -errno.ETIMEDOUT:
                return not _check(rc)
            if left == 0:
                return False

    def run(self, timeout=None):
        """Starts it, waits for its end and returns the status; after timeout seconds it is stopped."""
        self.start()
        if not self.wait(timeout):
            try:
                self.stop()
            except Error as error:
                if error.errno != errno.ESRCH:  # it has just ended
                    raise
            self.wait()
        return self.status

    def pause(self):
        _check(_lib.minivmm_pause(self._vm))

    def resume(self):
        _check(_lib.minivmm_resume(self._vm))

    def stop(self, politely=False):
        """Presses the power button (politely), or ends the machine at once."""
        _check(_lib.minivmm_stop(self._vm, 0 if politely else 1))

    def stream(self, which):
        """Returns a descriptor of the command's input (0), output (1) or errors (2); the caller owns it from here on."""
        return _check(_lib.minivmm_stream(self._vm, which))

    def signal(self, number):
        """Sends the command a signal."""
        _check(_lib.minivmm_signal(self._vm, number))

    def balloon(self, change):
        """Moves the balloon by that many bytes; returns its new target."""
        return _check(_lib.minivmm_balloon(self._vm, change))

    def fileno(self):
        """A descriptor that is readable once the machine has ended: for select and the like."""
        return _lib.minivmm_end_fd(self._vm)

    @property
    def memory(self):
        return _lib.minivmm_memory(self._vm)

    @property
    def end(self):
        """One of ENDS; None: it has not ended."""
        return ENDS[_lib.minivmm_end(self._vm)]

    @property
    def status(self):
        return _check(_lib.minivmm_status(self._vm))

    @property
    def why(self):
        return _lib.minivmm_why(self._vm).decode()

    def close(self):
        vm, self._pointer = self._pointer, c_void_p()
        _lib.minivmm_destroy(vm)
        _open.discard(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
