"""See login.pxd."""

from libc.stdint cimport int64_t

from shotover._codec.commands cimport word_is


cdef uint32_t login_option(const slice_t *words, uint32_t count, const char *name, size_t size) noexcept nogil:
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
        at = login_option(words, count, "AUTH", 4)
        if at and at + 2 < count:
            user[0] = words[at + 1]
            return True
    return False


cdef bint login_database(const slice_t *words, uint32_t count, int32_t *database) noexcept nogil:
    """Whether the command is SELECT, and of which database."""
    cdef:
        size_t  index
        int64_t number = 0
    if count != 2 or not word_is(&words[0], "SELECT", 6) or not 0 < words[1].size <= 9:
        return False
    for index in range(words[1].size):
        if not b'0' <= words[1].data[index] <= b'9':
            return False
        number = number * 10 + (words[1].data[index] - 48)
    database[0] = <int32_t>number
    return True
