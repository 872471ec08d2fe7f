from shotover._codec.codec cimport SCAN_BAD
from shotover._core.status cimport BAD


cdef class Codec:
    """One per chain and worker; holds no state of a conversation."""

    cdef status_t decode(self, decode_t *decode) noexcept nogil:
        """Cuts [at, end) into requests. OK: all used up; NEED_DATA; BAD: answer `error` and close; NO_MEMORY.

        HEAD: all used up, but the last request goes on; what comes next is for `follow`.
        """
        return BAD

    cdef status_t follow(self, follow_t *follow, const limits_t *limits, uint8_t **at, uint8_t *end) noexcept nogil:
        """Moves *at through the rest of a request. OK: it ends there; NEED_DATA: all used up; BAD: see follow.error."""
        return BAD

    cdef int scan(self, scan_t *scan, uint8_t **at, uint8_t *end, uint32_t *left) noexcept nogil:
        """Moves *at behind up to *left replies (counted down), or to `end`. Returns SCAN_*."""
        return SCAN_BAD

    cdef int scan_frame(self, scan_t *scan, uint8_t **at, uint8_t *end, uint32_t *left) noexcept nogil:
        """As scan, but a push counts as a frame like any other."""
        return SCAN_BAD

    cdef size_t error(self, uint8_t *out, size_t room, const char *code, const char *text, size_t text_size) noexcept nogil:
        """Writes an error reply of the protocol; line breaks in `text` become spaces, and it is cut to fit. Returns its size.

        `code`: a word as servers of Redis use it (ERR, BUSY, NOAUTH ...); other protocols have numbers for some of them.
        """
        return 0

    cdef size_t error_for(
        self, const request_t *request, uint8_t *out, size_t room, const char *code, const char *text, size_t text_size
    ) noexcept nogil:
        """The same, as the reply to `request`: where replies bear the numbers of requests, this one must be known."""
        return self.error(out, room, code, text, text_size)

    cdef status_t head(self, const uint8_t *at, const uint8_t *end, head_t *head) noexcept nogil:
        """Numbered protocols: what the frame of a server is that begins at `at`. OK, NEED_DATA (fewer than head_size), BAD."""
        return BAD

    cdef void renumber(self, uint8_t *frame, uint32_t number) noexcept nogil:
        """Numbered protocols: changes the number of a frame, of which head_size bytes are there."""
        pass

    cdef int framed_after(self, const request_t *request) noexcept nogil:
        """What frames travel in, both ways, once the reply of this request has gone: FRAMED_*."""
        return 0

    cdef void learn(self, request_t *request, void *talk, pool_t *pool) noexcept nogil:
        """The reply of a request with `tells`, whole, as it goes to the client of that conversation."""
        pass

    cdef void let_go(self, pool_t *pool) noexcept nogil:
        """The worker has stopped: gives back what it keeps."""
        pass

    def configure(self, dict options):
        """Limits of its own, from a source's options."""

    cdef bint key(self, request_t *request, slice_t *key) noexcept nogil:
        """The first key of a request of count 1; False: it has none."""
        return False
