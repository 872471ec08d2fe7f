"""What a process may give up for good. The control plane calls it once, before the workers' threads run.

Linux has all of it; elsewhere the functions say False and change nothing.
"""

from libc.errno cimport ENOSYS

cdef extern from "shotover/_core/hardening.h" nogil:
    int shotover_set_dumpable(int yes)
    int shotover_get_dumpable()
    int shotover_no_new_privileges()


def set_dumpable(bint yes):
    """Whether the process may leave a core and be looked into by others of its user. True: done. Raises OSError."""
    return _done(shotover_set_dumpable(yes))


def is_dumpable():
    """True or False; None where the system does not tell."""
    cdef int found = shotover_get_dumpable()
    return None if found < 0 else found == 1


def give_up_new_privileges():
    """From now on no program that is started gets more rights (setuid bits, file capabilities). Raises OSError."""
    return _done(shotover_no_new_privileges())


cdef bint _done(int error) except -1:
    if error == ENOSYS:
        return False
    if error:
        raise OSError(error, "refused by the system")
    return True
