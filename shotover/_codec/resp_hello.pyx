"""See resp_hello.pxd."""

from libc.stdint cimport uint32_t
from libc.string cimport memchr, memcmp, memset, strlen

from shotover._codec.commands cimport word_is
from shotover._codec.resp cimport resp_bulk, resp_words
from shotover._codec.resp_edit cimport resp_put_bulk, resp_put_head

cdef enum:
    FACT_MAX = 64               # bytes of a line's value in INFO


cdef inline uint8_t *_put_text(uint8_t *to, const char *text) noexcept nogil:
    return resp_put_bulk(to, <const uint8_t *>text, strlen(text))


cdef bint hello_parse(const uint8_t *at, const uint8_t *end, hello_t *hello) noexcept nogil:
    """The words of HELLO; False: not as they should be, and the version alone is sure to be there if it is given."""
    cdef:
        slice_t  words[HELLO_WORDS]
        uint32_t count = resp_words(at, end, words, HELLO_WORDS)
        uint32_t index = 2
    memset(hello, 0, sizeof(hello_t))
    if count > 1:
        hello.version = words[1]
    if count == 0 or count > HELLO_WORDS:
        return False
    while index < count:
        if word_is(&words[index], b"AUTH", 4) and index + 2 < count:
            hello.user = words[index + 1]
            hello.password = words[index + 2]
            index += 3
        elif word_is(&words[index], b"SETNAME", 7) and index + 1 < count:
            hello.name = words[index + 1]
            index += 2
        else:
            return False
    return True


cdef size_t hello_auth(const hello_t *hello, uint8_t *out) noexcept nogil:
    """The AUTH of it. A server without HELLO may have no users: the default one goes without its name."""
    cdef:
        bint     named = hello.user.size != 7 or memcmp(hello.user.data, b"default", 7) != 0
        uint8_t *to = resp_put_head(out, b'*', 3 if named else 2)
    to = _put_text(to, b"AUTH")
    if named:
        to = resp_put_bulk(to, hello.user.data, hello.user.size)
    to = resp_put_bulk(to, hello.password.data, hello.password.size)
    return <size_t>(to - out)


cdef size_t hello_name(const hello_t *hello, uint8_t *out) noexcept nogil:
    cdef uint8_t *to = resp_put_head(out, b'*', 3)
    to = _put_text(to, b"CLIENT")
    to = _put_text(to, b"SETNAME")
    to = resp_put_bulk(to, hello.name.data, hello.name.size)
    return <size_t>(to - out)


cdef uint8_t *_put_fact(uint8_t *to, const char *name, const slice_t *info, const char *key,
                        const char *otherwise) noexcept nogil:
    """A name and the value that INFO has in the line `key:value`."""
    cdef:
        const uint8_t *at = info.data
        const uint8_t *end = at + info.size
        const uint8_t *line_end
        size_t         size = strlen(key)
    to = _put_text(to, name)
    while at < end:
        line_end = <const uint8_t *>memchr(at, b'\n', <size_t>(end - at))
        if line_end is NULL:
            line_end = end
        if <size_t>(line_end - at) > size and memcmp(at, key, size) == 0:
            at += size
            if line_end > at and line_end[-1] == b'\r':
                line_end -= 1
            return resp_put_bulk(to, at, min(<size_t>(line_end - at), <size_t>FACT_MAX))
        at = line_end + 1
    return _put_text(to, otherwise)


cdef size_t hello_reply(const slice_t *info, uint64_t id, int protocol, uint8_t *out) noexcept nogil:
    """The reply to HELLO, from that to INFO. Returns its size; 0: that was none."""
    cdef:
        slice_t  text
        uint8_t *to
    if info.size == 0 or info.data[0] != b'$' or resp_bulk(info.data, info.data + info.size, &text) is NULL or text.data is NULL:
        return 0
    to = resp_put_head(out, b'%', 7) if protocol == 3 else resp_put_head(out, b'*', 14)
    to = _put_text(_put_text(to, b"server"), b"redis")
    to = _put_fact(to, b"version", &text, b"redis_version:", b"0.0.0")
    to = resp_put_head(_put_text(to, b"proto"), b':', <uint64_t>protocol)
    to = resp_put_head(_put_text(to, b"id"), b':', id)
    to = _put_fact(to, b"mode", &text, b"redis_mode:", b"standalone")
    to = _put_fact(to, b"role", &text, b"role:", b"master")
    to = resp_put_head(_put_text(to, b"modules"), b'*', 0)
    return <size_t>(to - out)
