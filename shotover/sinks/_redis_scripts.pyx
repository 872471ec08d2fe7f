"""See _redis_scripts.pxd. The GIL is taken once for each new script, and for each that a server has lost."""

from hashlib import sha1

from libc.string cimport memcpy, memset

from shotover._core.memory cimport chunk_data, chunk_put, pool_take

cdef enum:
    SCRIPTS_MAX = 1000
    SCRIPT_SIZE_MAX = 65536


cdef class ScriptBook:

    def __cinit__(self):
        self.scripts = {}

    cdef void note(self, const slice_t *script) noexcept nogil:
        """A client has sent this script."""
        cdef:
            uint64_t hash = 14695981039346656037u
            size_t   index
            uint32_t at
        if script.size > SCRIPT_SIZE_MAX or self.count >= SCRIPTS_MAX:
            return
        for index in range(script.size):
            hash = (hash ^ script.data[index]) * 1099511628211u
        if hash == 0:
            hash = 1
        at = <uint32_t>(hash >> 20) % SEEN_SLOTS
        while self.seen[at]:
            if self.seen[at] == hash:
                return
            at = (at + 1) % SEEN_SLOTS
        self.seen[at] = hash
        self.count += 1
        with gil:
            self._add(script.data[:script.size])

    def _add(self, bytes script):
        self.scripts[sha1(script, usedforsecurity=False).hexdigest().encode()] = script

    cdef void forget(self) noexcept nogil:
        if self.count == 0:
            return
        self.count = 0
        memset(self.seen, 0, sizeof(self.seen))
        with gil:
            self.scripts.clear()

    cdef bint restore(self, pool_t *pool, request_t *request, const slice_t *words, uint32_t count) noexcept nogil:
        """Makes EVAL of EVALSHA, whose words these are, if its script is known."""
        if count < 3 or self.count == 0 or words[1].size != 40:
            return False
        with gil:
            return self._restore(pool, request, words, count)

    cdef bint _restore(self, pool_t *pool, request_t *request, const slice_t *words, uint32_t count) noexcept:
        cdef:
            bytes    script = self.scripts.get(words[1].data[:40].lower())
            bytes    head
            uint8_t *rest = words[1].data + words[1].size + 2
            size_t   rest_size = <size_t>(request.wire.data + request.wire.size - rest)
            chunk_t *chunk
        if script is None or request.wire.data[0] != b'*':
            return False
        name = words[0].data[:words[0].size].upper().replace(b"EVALSHA", b"EVAL")
        head = b"*%d\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (count, len(name), name, len(script), script)
        chunk = pool_take(pool, len(head) + rest_size)
        if chunk is NULL:
            return False
        memcpy(chunk_data(chunk), <const char *>head, len(head))
        memcpy(chunk_data(chunk) + len(head), rest, rest_size)
        if request.owner is not NULL:
            chunk_put(pool, request.owner)
        if request.key_at:
            request.key_at = <uint32_t>(request.key_at - (rest - request.wire.data) + len(head))
        request.owner = chunk
        request.wire.data = chunk_data(chunk)
        request.wire.size = len(head) + rest_size
        return True
