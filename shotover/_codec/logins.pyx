"""See logins.pxd."""

from shotover._codec.commands cimport word_is

from libc.stdint cimport uint8_t


cdef uint32_t hello_option(const slice_t *words, uint32_t count, const char *name, size_t size) noexcept nogil:
    """Where an option of HELLO stands, with as many words behind it as it needs; 0: it is not there."""
    cdef uint32_t index = 2
    while index + 1 < count:
        if word_is(&words[index], name, size):
            return index
        index += 3 if word_is(&words[index], "AUTH", 4) else 2
    return 0


cdef bint login_user(const slice_t *words, uint32_t count, slice_t *user) noexcept nogil:
    """Whether the command logs in, and as whom; AUTH with a password alone logs in the user default."""
    cdef uint32_t at
    if word_is(&words[0], "AUTH", 4) and (count == 2 or count == 3):
        user.data = <uint8_t *>b"default" if count == 2 else words[1].data
        user.size = 7 if count == 2 else words[1].size
        return True
    if word_is(&words[0], "HELLO", 5):
        at = hello_option(words, count, "AUTH", 4)
        if at and at + 2 < count:
            user[0] = words[at + 1]
            return True
    return False
