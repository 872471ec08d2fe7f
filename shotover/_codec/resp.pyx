"""RESP: requests are cut, their command looked up, their first key noted; replies are only measured.

The wording of protocol errors is the server's own, since drivers and people match it.
"""

from libc.stdint cimport INT32_MAX, INT64_MAX, INT64_MIN
from libc.string cimport memchr, memcpy, memset, strlen, strstr

from shotover._codec.codec cimport MERGE_KIN, SCAN_BAD, SCAN_DONE, SCAN_MORE, SCAN_PUSH, follow_t, limits_t, resume_t
from shotover._codec.commands cimport (
    CONDUCT_ALONE,
    CONDUCT_PLAIN,
    ID_CLUSTER,
    KIND_UNKNOWN,
    KIND_WRITE,
    command_find,
    command_find_sub,
)
from shotover._codec.lexicon cimport lexicon_close, lexicon_find
from shotover._core.debug cimport invariant, likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_ref, chunk_t, pool_take
from shotover._core.request cimport batch_push, request_new
from shotover._core.status cimport BAD, HEAD, NEED_DATA, NO_MEMORY, OK

cdef enum:
    # scan_t.state
    AT_TYPE = 0         # the next byte is a type
    AT_LENGTH = 1       # in the digits after $ * ~ > % | = !
    AT_LENGTH_LF = 2    # the \n after them
    AT_LINE = 3         # in a simple string, error, number ... up to \n
    AT_BULK = 4         # `number` bytes of a bulk (its \r\n included) to come

    LENGTH_SHIFT = 40   # longer than 2**40 is nonsense
    PENDING_SHIFT = 62  # and so are counts that add up to more than this
    LINE_MAX = 65536    # bytes of a length line before it is called too big, as the server does


cdef class RespCodec(Codec):

    def __cinit__(self):
        self.protocol = "redis"

    def __dealloc__(self):
        lexicon_close(&self.lexicon)

    cdef status_t decode(self, decode_t *decode) noexcept nogil:
        cdef status_t status = OK
        while decode.at < decode.end:
            if likely(decode.at[0] == b'*'):
                status = self._decode_one(decode)
            else:
                status = self._decode_inline(decode)
            if status != OK:
                return status
        return OK

    cdef status_t _decode_one(self, decode_t *decode) noexcept nogil:
        """One array of bulk strings. Resumes where the last attempt on this frame stopped."""
        cdef:
            uint8_t  *start = decode.at
            uint8_t  *end = decode.end
            uint8_t  *at
            uint8_t  *word
            uint64_t  size
            int64_t   number
            uint32_t  index
        if decode.resume.offset:
            at = start + decode.resume.offset
        else:
            at = _read_length(start + 1, end, &number)
            if at is NULL:
                if end - start > LINE_MAX:
                    return self._bad(decode, b"Protocol error: too big mbulk count string")
                return self._cut(decode, NULL, <size_t>(end - start) + 1)
            if unlikely(number == INT64_MIN or number > INT32_MAX):
                return self._bad(decode, b"Protocol error: invalid multibulk length")
            if number <= 0:
                decode.at = at
                return OK
            if number > decode.limits.arguments_max:
                return self._bad(decode, b"Protocol error: too many arguments (shotover: max_arguments)")
            decode.resume.argc = <uint32_t>number
            decode.resume.args_left = <uint32_t>number
            decode.resume.name_size = 0
            decode.resume.key_at = 0
            decode.resume.key_size = 0
        while decode.resume.args_left:
            if at >= end:
                return self._cut(decode, at, <size_t>(at - start) + 2)     # as little as "\r\n" can be wrong
            if unlikely(at[0] != b'$'):
                if _line_end(at, end) is not NULL:      # the server looks for the end of the line first
                    return self._bad_type(decode, at[0])
                word = NULL
            else:
                word = _read_length(at + 1, end, &number)
            if unlikely(word is NULL):
                if end - at > LINE_MAX:
                    return self._bad(decode, b"Protocol error: too big bulk count string")
                return self._cut(decode, at, <size_t>(end - start) + 1)
            if unlikely(number < 0 or <uint64_t>number > decode.limits.frame_bytes_max):
                return self._bad(decode, b"Protocol error: invalid bulk length")
            size = <uint64_t>number
            if unlikely(<uint64_t>(word - start) + size > 2 * decode.limits.frame_bytes_max):
                return self._bad(decode, b"Protocol error: request too large (shotover: max_frame_bytes)")
            index = decode.resume.argc - decode.resume.args_left
            if unlikely(<uint64_t>(end - word) < size + 2):
                if decode.stream_min and index >= 2 and <uint64_t>(word - start) + size >= decode.stream_min \
                        and self._emit_head(decode, start, word, size) == HEAD:
                    return HEAD
                return self._cut(decode, at, <size_t>(word - start) + size + 2)
            if index == 0:
                decode.resume.name_at = <uint32_t>(word - start)
                decode.resume.name_size = <uint32_t>size
            elif index == 1:
                decode.resume.key_at = <uint32_t>(word - start)
                decode.resume.key_size = <uint32_t>size
            at = word + size + 2
            decode.resume.args_left -= 1
        return self._emit(decode, start, at)

    cdef status_t _emit_head(self, decode_t *decode, uint8_t *start, uint8_t *word, uint64_t size) noexcept nogil:
        """What there is of a big request, up to the middle of `word`. HEAD, or another status: gather it after all.

        Only for commands that leave their connection as it was: of them nobody needs to know more than command and key.
        """
        cdef:
            const command_t *command = command_find(start + decode.resume.name_at, decode.resume.name_size)
            request_t       *request
        if command is NULL or command.conduct != CONDUCT_PLAIN or command.has_subcommands:
            return NEED_DATA
        request = request_new(decode.slab)
        if request is NULL:
            return NO_MEMORY
        request.session = decode.session
        request.chain = decode.chain
        request.arrived_ns = decode.now
        request.wire.data = start
        request.wire.size = <size_t>(decode.end - start)
        if decode.owner is not NULL:
            request.owner = chunk_ref(decode.owner)
        request.command = command
        request.kind = command.kind
        request.conduct = CONDUCT_ALONE         # nobody else may wait for its rest
        request.argc = decode.resume.argc
        request.streamed = 1
        if command.first_key == 1:
            request.key_at = decode.resume.key_at
            request.key_size = decode.resume.key_size
        batch_push(decode.batch, request)
        memset(decode.follow, 0, sizeof(follow_t))
        decode.follow.word_left = size + 2 - <uint64_t>(decode.end - word)
        decode.follow.size = request.wire.size
        decode.follow.args_left = decode.resume.args_left - 1
        decode.resume.offset = 0
        decode.at = decode.end
        decode.requests += 1
        return HEAD

    cdef status_t follow(self, follow_t *follow, const limits_t *limits, uint8_t **at_io, uint8_t *end) noexcept nogil:
        """The same checks as in _decode_one, on bytes that nobody keeps."""
        cdef:
            uint8_t *at = at_io[0]
            uint64_t step
            int64_t  number
            bint     ends
        while True:
            step = min(follow.word_left, <uint64_t>(end - at))
            follow.word_left -= step
            follow.size += step
            at += step
            at_io[0] = at
            if follow.word_left:
                return NEED_DATA
            if follow.args_left == 0:
                return OK
            while True:                         # the length of the next word
                if at == end:
                    return NEED_DATA
                follow.line[follow.line_size] = at[0]
                follow.line_size += 1
                follow.size += 1
                at += 1
                at_io[0] = at
                ends = follow.line_size >= 2 and follow.line[follow.line_size - 2] == b'\r'
                if ends or follow.line_size == sizeof(follow.line):
                    break
            if follow.line[0] != b'$' and ends:
                memcpy(follow.error, b"Protocol error: expected '$', got 'X'", 38)
                follow.error[35] = <char>(32 if follow.line[0] == b'\r' else follow.line[0])
                return BAD
            if not ends or _read_length(follow.line + 1, follow.line + follow.line_size, &number) is NULL \
                    or number < 0 or <uint64_t>number > limits.frame_bytes_max:
                memcpy(follow.error, b"Protocol error: invalid bulk length", 36)
                return BAD
            if follow.size + <uint64_t>number > 2 * limits.frame_bytes_max:
                memcpy(follow.error, b"Protocol error: request too large (shotover: max_frame_bytes)", 62)
                return BAD
            follow.args_left -= 1
            follow.line_size = 0
            follow.word_left = <uint64_t>number + 2

    cdef status_t _cut(self, decode_t *decode, uint8_t *at, size_t need) noexcept nogil:
        """The frame at decode.at is cut; `at` is the word to go on with (NULL: from the beginning)."""
        decode.resume.offset = 0 if at is NULL else <uint32_t>(at - decode.at)
        decode.need = need
        return NEED_DATA

    cdef status_t _bad(self, decode_t *decode, const char *text) noexcept nogil:
        decode.error = text
        decode.error_size = strlen(text)
        decode.error_limit = strstr(text, b"(shotover: ") is not NULL       # it names the limit
        return BAD

    cdef status_t _bad_type(self, decode_t *decode, uint8_t found) noexcept nogil:
        """The server quotes the byte that it found."""
        cdef chunk_t *chunk = pool_take(decode.pool, 64)
        cdef uint8_t *out
        if chunk is NULL:
            return self._bad(decode, b"Protocol error: expected '$'")
        out = chunk_data(chunk)
        memcpy(out, b"Protocol error: expected '$', got 'X'", 37)
        out[35] = 32 if found == b'\r' or found == b'\n' else found
        decode.error = <const char *>out
        decode.error_size = 37
        decode.error_chunk = chunk
        return BAD

    cdef status_t _emit(self, decode_t *decode, uint8_t *start, uint8_t *end) noexcept nogil:
        """A whole request [start, end): into the run before it, or as a request of its own."""
        cdef:
            resume_t        *resume = decode.resume
            uint8_t         *name = start + resume.name_at
            const command_t *command = command_find(name, resume.name_size)
            const command_t *sub
            request_t       *tail = decode.batch.tail
            request_t       *request
            slice_t          word
            uint8_t          kind = KIND_UNKNOWN
            uint8_t          conduct = CONDUCT_PLAIN
            bint             apart = False
        resume.offset = 0
        decode.at = end
        if unlikely(command is NULL and self.lexicon.known):
            command = lexicon_find(&self.lexicon, name, resume.name_size)
        if likely(command is not NULL):
            if command.has_subcommands and resume.argc > 1:
                word.data = start + resume.key_at
                word.size = resume.key_size
                sub = command_find_sub(command, word.data, word.size)
                if sub is not NULL:
                    command = sub
                    apart = command.parent == ID_CLUSTER
            kind = command.kind
            conduct = command.conduct
        elif unlikely(_is_http(name, resume.name_size)):
            decode.error = NULL
            return BAD
        decode.requests += 1
        if (
            decode.merge
            and not apart
            and conduct == CONDUCT_PLAIN
            and command is not NULL
            and tail is not NULL
            and not tail.apart
            and tail.conduct == CONDUCT_PLAIN
            and tail.command is not NULL
            and (decode.merge != MERGE_KIN or tail.command is command)
            and tail.wire.data + tail.wire.size == start
            and tail.owner is decode.owner
        ):
            tail.wire.size += <size_t>(end - start)
            tail.count += 1
            tail.left += 1
            tail.argc = resume.argc
            if tail.kind != kind:
                tail.kind = KIND_WRITE          # a mixed run is treated as its gravest member
            return OK
        request = request_new(decode.slab)
        if unlikely(request is NULL):
            return NO_MEMORY
        request.session = decode.session
        request.chain = decode.chain
        request.arrived_ns = decode.now
        request.wire.data = start
        request.wire.size = <size_t>(end - start)
        if decode.owner is not NULL:
            request.owner = chunk_ref(decode.owner)
        request.command = command
        request.kind = kind
        request.conduct = conduct
        request.apart = apart
        request.argc = resume.argc
        if command is not NULL and command.first_key == 1:
            request.key_at = resume.key_at
            request.key_size = resume.key_size
        batch_push(decode.batch, request)
        return OK

    cdef status_t _decode_inline(self, decode_t *decode) noexcept nogil:
        """A line of words; it becomes an array, so that nobody further down knows of inline commands."""
        cdef:
            uint8_t  *start = decode.at
            size_t    have = <size_t>(decode.end - start)
            uint8_t  *newline = <uint8_t *>memchr(start, b'\n', have)
            size_t    size
            chunk_t  *chunk
            chunk_t  *owner = decode.owner
            uint8_t  *end
            status_t  status
        if newline is not NULL and memchr(start, 0, <size_t>(newline - start)) is not NULL:
            newline = NULL              # as for the server, a zero byte hides what follows
        if newline is NULL:
            if have > decode.limits.inline_bytes_max:
                return self._bad(decode, b"Protocol error: too big inline request")
            return self._cut(decode, NULL, have + 1)
        size = <size_t>(newline - start)
        if size > decode.limits.inline_bytes_max:
            return self._bad(decode, b"Protocol error: too big inline request")
        chunk = pool_take(decode.pool, 8 * size + 64)
        if chunk is NULL:
            return NO_MEMORY
        memset(decode.resume, 0, sizeof(resume_t))
        end = _inline_to_array(start, newline, chunk_data(chunk), decode.resume)
        if end is NULL:
            chunk_put(decode.pool, chunk)
            return self._bad(decode, b"Protocol error: unbalanced quotes in request")
        if decode.resume.argc > decode.limits.arguments_max:
            chunk_put(decode.pool, chunk)
            return self._bad(decode, b"Protocol error: too many arguments (shotover: max_arguments)")
        status = OK
        if decode.resume.argc > 0:
            decode.owner = chunk
            status = self._emit(decode, chunk_data(chunk) + 16 - decode.resume.offset, end)
            decode.owner = owner
        decode.resume.offset = 0
        chunk_put(decode.pool, chunk)
        decode.at = newline + 1
        return status

    cdef int scan(self, scan_t *scan, uint8_t **at, uint8_t *end, uint32_t *left) noexcept nogil:
        return resp_scan(scan, at, end, left)

    cdef int scan_frame(self, scan_t *scan, uint8_t **at, uint8_t *end, uint32_t *left) noexcept nogil:
        if scan.pending == 0 and scan.state == AT_TYPE and at[0] < end and at[0][0] == b'>':
            scan.pending = 1
            scan.first = b'>'
            scan.type = b'>'
            scan.state = AT_LENGTH
            scan.number = 0
            scan.digits = 0
            scan.negative = 0
            at[0] += 1
        return resp_scan(scan, at, end, left)

    cdef size_t error(self, uint8_t *out, size_t room, const char *code, const char *text, size_t text_size) noexcept nogil:
        cdef:
            size_t size = 1, index
            uint8_t byte
        invariant(room >= 64)
        out[0] = b'-'
        if code is not NULL:
            memcpy(out + 1, code, strlen(code))
            size += strlen(code)
            out[size] = b' '
            size += 1
        if text_size > room - size - 2:
            text_size = room - size - 2
        for index in range(text_size):
            byte = <uint8_t>text[index]
            out[size] = b' ' if byte == b'\r' or byte == b'\n' else byte
            size += 1
        out[size] = b'\r'
        out[size + 1] = b'\n'
        return size + 2

    cdef bint key(self, request_t *request, slice_t *key) noexcept nogil:
        if request.key_at == 0:
            return False
        key.data = request.wire.data + request.key_at
        key.size = request.key_size
        return True


cdef int resp_scan(scan_t *scan, uint8_t **at_io, uint8_t *end, uint32_t *left) noexcept nogil:
    """Moves *at_io behind up to *left replies. One pass, any cut: the state says where in a reply the bytes ended."""
    cdef:
        uint8_t *at = at_io[0]
        uint8_t *whole = at             # end of the last whole reply
        uint8_t *found
        uint8_t  byte
        uint64_t room
        int      result = SCAN_MORE
    while at < end:
        if scan.state == AT_TYPE:
            byte = at[0]
            if scan.pending == 0:
                if left[0] == 0:
                    result = SCAN_DONE
                    break
                if byte == b'>':
                    result = SCAN_PUSH
                    break
                scan.pending = 1
                scan.first = byte
                if byte == b'-':
                    scan.errors += 1
                    if scan.error_at is NULL:
                        scan.error_at = at
            at += 1
            if byte == b'$' or byte == b'*' or byte == b'%' or byte == b'~' or byte == b'=' or byte == b'>' \
                    or byte == b'!' or byte == b'|':
                scan.type = byte
                scan.state = AT_LENGTH
                scan.number = 0
                scan.digits = 0
                scan.negative = 0
            elif byte == b'+' or byte == b'-' or byte == b':' or byte == b'_' or byte == b'#' or byte == b',' \
                    or byte == b'(':
                scan.state = AT_LINE
            else:
                result = SCAN_BAD
                break
            continue
        if scan.state == AT_LENGTH:
            while at < end:
                byte = at[0] - 48
                if byte > 9:
                    break
                scan.number = scan.number * 10 + byte
                scan.digits += 1
                at += 1
            if at == end:
                if scan.digits > 15:
                    result = SCAN_BAD
                break
            if at[0] == b'-' and scan.digits == 0 and not scan.negative:
                scan.negative = 1
                at += 1
                continue
            if at[0] != b'\r' or scan.digits == 0 or scan.digits > 15:
                result = SCAN_BAD
                break
            at += 1
            scan.state = AT_LENGTH_LF
            continue
        if scan.state == AT_LENGTH_LF:
            if at[0] != b'\n':
                result = SCAN_BAD
                break
            at += 1
            scan.state = AT_TYPE
            if (scan.negative and (scan.number != 1 or scan.type == b'|')) or scan.number >> LENGTH_SHIFT \
                    or scan.pending >> PENDING_SHIFT:
                result = SCAN_BAD
                break
            if scan.type == b'$' or scan.type == b'=' or scan.type == b'!':
                if scan.negative:
                    scan.pending -= 1
                else:
                    scan.number += 2
                    scan.state = AT_BULK
            elif scan.type == b'|':
                scan.pending += 2 * scan.number     # attributes stand before a value and are none
            else:
                scan.pending -= 1
                if not scan.negative:
                    scan.pending += scan.number
                    if scan.type == b'%':
                        scan.pending += scan.number
        elif scan.state == AT_LINE:
            found = <uint8_t *>memchr(at, b'\n', <size_t>(end - at))
            if found is NULL:
                at = end
                break
            at = found + 1
            scan.state = AT_TYPE
            scan.pending -= 1
        if scan.state == AT_BULK:
            room = <uint64_t>(end - at)
            if room < scan.number:
                scan.number -= room
                at = end
                break
            at += scan.number
            scan.state = AT_TYPE
            scan.pending -= 1
        if scan.pending == 0:
            left[0] -= 1
            whole = at
            scan.midway = 0
            if left[0] == 0:
                result = SCAN_DONE
                break
    if result == SCAN_BAD:
        at = whole                      # what is broken is not passed on, unless it began in earlier bytes
    elif scan.pending:
        scan.midway = 1
    at_io[0] = at
    return result


cdef inline uint8_t *_read_length(uint8_t *at, uint8_t *end, int64_t *number) noexcept nogil:
    """Digits up to \\r\\n. Returns what follows; NULL: cut.

    As strict as the server: what is no number of 64 bits gives INT64_MIN (and that number itself INT64_MIN + 1).
    """
    cdef:
        uint64_t value = 0              # of 19 digits at most: no overflow
        uint8_t *first = at
        uint8_t  digit
        bint     negative = False
    if at < end and at[0] == b'-':
        negative = True
        first += 1
        at += 1
    while at < end:
        digit = at[0] - 48
        if digit > 9:
            break
        value = value * 10 + digit
        at += 1
        if unlikely(at - first > 18):
            break
    if likely(at + 1 < end and at[0] == b'\r'):
        if unlikely(value > <uint64_t>INT64_MAX + negative or at == first or (first[0] == b'0' and (at - first > 1 or negative))):
            number[0] = INT64_MIN
        elif negative:
            number[0] = -<int64_t>min(value, <uint64_t>INT64_MAX)
        else:
            number[0] = <int64_t>value
        return at + 2
    first = _line_end(at, end)
    if first is NULL:
        return NULL
    number[0] = INT64_MIN
    return first + 2


cdef uint8_t *_line_end(uint8_t *at, uint8_t *end) noexcept nogil:
    """The \\r of a line whose next byte is there, too; NULL: cut. As for the server, a zero byte hides what follows."""
    cdef uint8_t *found = <uint8_t *>memchr(at, b'\r', <size_t>(end - at)) if at < end else NULL
    if found is NULL or found + 1 >= end or memchr(at, 0, <size_t>(found - at)) is not NULL:
        return NULL
    return found


cdef inline bint _is_http(const uint8_t *name, size_t size) noexcept nogil:
    """POST and Host: are a browser made to talk to a database; the server hangs up on them, and so do we."""
    cdef uint8_t a, b, c, d
    if size != 4 and size != 5:
        return False
    a = name[0] | 32
    b = name[1] | 32
    c = name[2] | 32
    d = name[3] | 32
    if size == 4:
        return a == b'p' and b == b'o' and c == b's' and d == b't'
    return a == b'h' and b == b'o' and c == b's' and d == b't' and name[4] == b':'


cdef inline bint _is_space(uint8_t byte) noexcept nogil:
    return byte == 32 or (9 <= byte and byte <= 13)


cdef inline int _hex(uint8_t byte) noexcept nogil:
    if 48 <= byte and byte <= 57:
        return byte - 48
    byte |= 32
    return byte - 87 if 97 <= byte and byte <= 102 else -1


cdef size_t _put_number(uint8_t *out, uint8_t mark, size_t number) noexcept nogil:
    cdef:
        uint8_t digits[24]
        int     count = 0, index
    while True:
        digits[count] = <uint8_t>(48 + number % 10)
        number //= 10
        count += 1
        if number == 0:
            break
    out[0] = mark
    for index in range(count):
        out[1 + index] = digits[count - 1 - index]
    out[1 + count] = b'\r'
    out[2 + count] = b'\n'
    return <size_t>count + 3


cdef uint8_t *_inline_to_array(uint8_t *at, uint8_t *end, uint8_t *out, resume_t *resume) noexcept nogil:
    """Splits a line by the server's rules of quoting and writes the array at out + 16 - resume.offset.

    Words are written from out + 16 on, each behind a fixed-width hole for its length; the array's own header is put in
    front of them at the end. Returns the end of the array; NULL: unbalanced quotes.
    """
    cdef:
        uint8_t *word
        uint8_t *to
        uint8_t  header[24]
        uint8_t  length[24]
        size_t   size, header_size
        uint8_t *base = out + 16
        uint8_t *next_word = base
    while True:
        while at < end and _is_space(at[0]):
            at += 1
        if at >= end or at[0] == 0:
            break
        word = next_word + 16
        to = _inline_word(&at, end, word)
        if to is NULL:
            return NULL
        size = <size_t>(to - word)
        header_size = _put_number(length, b'$', size)
        _move(next_word + header_size, word, size)
        memcpy(next_word, length, header_size)
        if resume.argc == 0:
            resume.name_at = <uint32_t>(next_word + header_size - base)
            resume.name_size = <uint32_t>size
        elif resume.argc == 1:
            resume.key_at = <uint32_t>(next_word + header_size - base)
            resume.key_size = <uint32_t>size
        next_word += header_size + size
        next_word[0] = b'\r'
        next_word[1] = b'\n'
        next_word += 2
        resume.argc += 1
    if resume.argc == 0:
        return next_word
    header_size = _put_number(header, b'*', resume.argc)
    memcpy(base - header_size, header, header_size)
    resume.offset = <uint32_t>header_size
    resume.name_at += <uint32_t>header_size
    if resume.argc > 1:
        resume.key_at += <uint32_t>header_size
    return next_word


cdef inline void _move(uint8_t *to, uint8_t *source, size_t size) noexcept nogil:
    cdef size_t index
    for index in range(size):           # to lies before source: forward is safe
        to[index] = source[index]


cdef uint8_t *_inline_word(uint8_t **at_io, uint8_t *end, uint8_t *out) noexcept nogil:
    """One word, quotes taken off. Returns the end of what was written; NULL: unbalanced quotes."""
    cdef:
        uint8_t *at = at_io[0]
        uint8_t  quote = 0
        uint8_t  byte
    while True:
        if at >= end or at[0] == 0:
            if quote:
                return NULL
            break
        byte = at[0]
        if quote == b'"' and byte == b'\\' and at + 3 < end and at[1] == b'x' and _hex(at[2]) >= 0 and _hex(at[3]) >= 0:
            out[0] = <uint8_t>(_hex(at[2]) * 16 + _hex(at[3]))
            out += 1
            at += 4
            continue
        if quote == b'"' and byte == b'\\' and at + 1 < end:
            byte = at[1]
            if byte == b'n':
                byte = 10
            elif byte == b'r':
                byte = 13
            elif byte == b't':
                byte = 9
            elif byte == b'b':
                byte = 8
            elif byte == b'a':
                byte = 7
            out[0] = byte
            out += 1
            at += 2
            continue
        if quote == b"'" and byte == b'\\' and at + 1 < end and at[1] == b"'":
            out[0] = b"'"
            out += 1
            at += 2
            continue
        if quote:
            at += 1
            if byte == quote:
                if at < end and at[0] != 0 and not _is_space(at[0]):
                    return NULL         # a closing quote ends the word
                break
            out[0] = byte
            out += 1
            continue
        if _is_space(byte) and byte != 11 and byte != 12:   # those two part words only in front of one
            break
        at += 1
        if byte == b'"' or byte == b"'":
            quote = byte
            continue
        out[0] = byte
        out += 1
    at_io[0] = at
    return out


cdef uint32_t resp_words(const uint8_t *at, const uint8_t *end, slice_t *words, uint32_t words_max) noexcept nogil:
    """The words of a whole request, at most words_max of them. Returns how many it has (may be more); 0: not a request."""
    cdef:
        int64_t  number
        uint32_t argc, index
        uint8_t *p = <uint8_t *>at
    if p >= end or p[0] != b'*':
        return 0
    p = _read_length(p + 1, <uint8_t *>end, &number)
    if p is NULL or number <= 0:
        return 0
    argc = <uint32_t>number
    for index in range(min(argc, words_max)):
        if p >= end or p[0] != b'$':
            return 0
        p = _read_length(p + 1, <uint8_t *>end, &number)
        if p is NULL or number < 0 or end - p < 2 or end - p - 2 < number:
            return 0
        words[index].data = p
        words[index].size = <size_t>number
        p += number + 2
    return argc


cdef size_t resp_frame_size(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Bytes of the reply that begins at `at`; 0: cut or not RESP."""
    cdef:
        scan_t   scan
        uint32_t left = 1
        uint8_t *p = <uint8_t *>at
    memset(&scan, 0, sizeof(scan))
    if resp_scan(&scan, &p, <uint8_t *>end, &left) != SCAN_DONE:
        return 0
    return <size_t>(p - <uint8_t *>at)


cdef bint resp_integer(const uint8_t *at, const uint8_t *end, int64_t *value) noexcept nogil:
    """An integer reply `:n` at `at`."""
    if at >= end or at[0] != b':':
        return False
    return _read_length(<uint8_t *>at + 1, <uint8_t *>end, value) is not NULL and value[0] != INT64_MIN


cdef uint8_t *resp_bulk(const uint8_t *at, const uint8_t *end, slice_t *bulk) noexcept nogil:
    """A bulk (or simple) string at `at`. Returns what follows it; NULL: something else. A null gives data NULL."""
    cdef:
        int64_t  number
        uint8_t *p
    if at >= end:
        return NULL
    if at[0] == b'+':
        p = <uint8_t *>memchr(at, b'\r', <size_t>(end - at))
        if p is NULL or p + 2 > end:
            return NULL
        bulk.data = <uint8_t *>at + 1
        bulk.size = <size_t>(p - bulk.data)
        return p + 2
    if at[0] == b'_' and end - at >= 3:
        bulk.data = NULL
        bulk.size = 0
        return <uint8_t *>at + 3
    if at[0] != b'$':
        return NULL
    p = _read_length(<uint8_t *>at + 1, <uint8_t *>end, &number)
    if p is NULL or number < -1:
        return NULL
    if number == -1:
        bulk.data = NULL
        bulk.size = 0
        return p
    if end - p < 2 or end - p - 2 < number:
        return NULL
    bulk.data = p
    bulk.size = <size_t>number
    return p + number + 2
