"""See fan_join.pxd. One pass over the replies, one copy of what goes into the joined one.

`cursor` of each part walks through its reply. What looks whole from its first bytes is walked to its end before it is
passed on, so that bytes which are no reply cannot get the client out of step.
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport strtod
from libc.string cimport memcmp, memcpy, memset, strlen

from shotover._codec.commands cimport (
    POLICY_AGG_LOGICAL_AND,
    POLICY_AGG_LOGICAL_OR,
    POLICY_AGG_MAX,
    POLICY_AGG_MIN,
    POLICY_AGG_SUM,
    POLICY_ALL_SUCCEEDED,
    POLICY_DEFAULT,
    POLICY_ONE_SUCCEEDED,
    POLICY_SPECIAL,
)
from shotover._codec.fan cimport fan_part_t
from shotover._codec.resp cimport resp_bulk, resp_frame_size
from shotover._codec.resp_edit cimport resp_head_size, resp_put_head
from shotover._core.debug cimport invariant, likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_ref, pool_take
from shotover._core.request cimport request_drop_reply

cdef extern from *:
    bint __builtin_add_overflow(int64_t a, int64_t b, int64_t *sum) nogil

cdef enum:
    NUMBER_SIZE_MAX = 64        # bytes of any number that is read
    NUMBER_ROOM = 32            # and of any that is written, its line included

cdef struct number_t:
    int64_t whole               # of : ( and #
    double  real                # of ,
    uint8_t type                # first byte

cdef struct out_t:              # the joined reply
    pool_t  *pool
    slice_t *reply
    chunk_t *owner
    uint8_t *to
    const char *error           # what is to be said instead; NULL: nothing

cdef const char *TYPES_DIFFER = b"-ERR shotover: the parts of this request have replies of different types\r\n"
cdef const char *VALUES_DIFFER = b"-ERR shotover: the parts of this request have different replies that cannot be joined\r\n"
cdef const char *SIZES_DIFFER = b"-ERR shotover: the parts of this request have replies of different or wrong lengths\r\n"
cdef const char *NOT_NUMBERS = b"-ERR shotover: the replies to the parts of this request are no numbers that can be joined\r\n"
cdef const char *NO_REPLY = b"-ERR shotover: what came for a part of this request is no reply\r\n"
cdef const char *NO_ROOM = b"-ERR shotover: no memory to join the replies to the parts of this request\r\n"


cdef int fan_join(pool_t *pool, fan_t *fan, slice_t *reply, chunk_t **owner) noexcept nogil:
    """The joined reply; every part must have its own (`left` is 0). Returns JOIN_*.

    `owner` is a reference for the caller, NULL when the bytes live as long as the process. The fan is as before.
    """
    cdef:
        out_t       out
        fan_part_t *part
        fan_part_t *failed = NULL
        fan_part_t *good = NULL
        uint32_t    index
    invariant(fan.left == 0)
    owner[0] = NULL
    reply.data = NULL
    reply.size = 0
    if fan.policy == POLICY_SPECIAL:
        return JOIN_SPECIAL
    out.pool = pool
    out.reply = reply
    out.owner = NULL
    out.error = NULL
    for index in range(fan.part_count):
        part = &fan.parts[index]
        if not _begin(part, fan.policy == POLICY_DEFAULT and fan.keys > 0):
            out.error = NO_REPLY
        elif part.cursor[0] == b'-' or part.cursor[0] == b'!':
            if failed is NULL or (fan.policy == POLICY_ONE_SUCCEEDED and _idle(failed) and not _idle(part)):
                failed = part
        elif good is NULL:
            good = part
    if failed is not NULL and (fan.policy != POLICY_ONE_SUCCEEDED or good is NULL):
        _pass_on(&out, failed)
        owner[0] = out.owner
        return JOIN_ERROR
    if fan.policy == POLICY_ONE_SUCCEEDED and good is not NULL:
        out.error = NULL
    elif good is NULL:
        out.error = NO_REPLY
    if out.error is NULL:
        if fan.policy == POLICY_ALL_SUCCEEDED or fan.policy == POLICY_ONE_SUCCEEDED:
            _pass_on(&out, good)
        elif fan.policy == POLICY_DEFAULT:
            _default(&out, fan, good)
        else:
            _aggregate(&out, fan)
    if out.error is not NULL:
        if out.owner is not NULL:
            chunk_put(pool, out.owner)
        reply.data = <uint8_t *>out.error
        reply.size = strlen(out.error)
        return JOIN_ERROR
    owner[0] = out.owner
    return JOIN_DONE


cdef bint fan_answer(pool_t *pool, fan_t *fan, request_t *request) noexcept nogil:
    """Gives `request` the joined reply. False: the policy is special; nothing was done."""
    cdef:
        slice_t  reply
        chunk_t *owner
        int      outcome = fan_join(pool, fan, &reply, &owner)
    if outcome == JOIN_SPECIAL:
        return False
    request_drop_reply(pool, request)
    if request.mute:
        if owner is not NULL:
            chunk_put(pool, owner)
        return True
    request.reply = reply
    request.reply_owner = owner
    request.failed = outcome == JOIN_ERROR
    return True


cdef void fan_pick(pool_t *pool, fan_t *fan, request_t *request, uint64_t number) noexcept nogil:
    """Gives `request` one of the replies of RANDOMKEY: of those with a key the one that `number` falls on; an error if none has
    one and one has failed."""
    cdef:
        uint32_t index, keys = 0
        int64_t  chosen = -1
        slice_t  key
        slice_t *reply
    for index in range(fan.part_count):
        reply = &fan.parts[index].reply
        if resp_bulk(reply.data, reply.data + reply.size, &key) is not NULL and key.data is not NULL:
            keys += 1
            if number % keys == 0:          # each of those so far with the same chance, if number is any
                chosen = index
                number = number * 0x5851F42D4C957F2Du + 0x14057B7EF767814Fu >> 7
        elif chosen < 0 and keys == 0 and (reply.data[0] == b'-' or reply.data[0] == b'!'):
            chosen = -2 - <int64_t>index
    if keys == 0:
        chosen = -2 - chosen if chosen < -1 else 0
    request.reply = fan.parts[chosen].reply
    request.reply_owner = NULL
    if fan.parts[chosen].reply_owner is not NULL:
        request.reply_owner = chunk_ref(fan.parts[chosen].reply_owner)
    request.failed = request.reply.data[0] == b'-' or request.reply.data[0] == b'!'


# ---- one part's reply -----------------------------------------------------------------------------------------------


cdef bint _begin(fan_part_t *part, bint walked) noexcept nogil:
    """Puts the cursor on the value, behind attributes. False: it is not one whole reply.

    `walked`: whoever joins arrays element by element will find out by itself.
    """
    cdef:
        uint8_t *at = part.reply.data
        uint8_t *end = part.reply.data + part.reply.size
        size_t   size
    part.cursor = at
    if part.reply.size < 3:
        return False
    if likely(at[0] == b'*') and walked:
        return True
    while at < end and at[0] == b'|':
        at = _behind_attribute(at, end)
        if at is NULL:
            return False
    size = resp_frame_size(at, end) if at < end else 0
    part.cursor = at
    return size > 0 and at + size == end


cdef uint8_t *_behind_attribute(uint8_t *at, uint8_t *end) noexcept nogil:
    cdef:
        int64_t count
        size_t  size
    at = _head(at, end, &count)
    if at is NULL or count < 0:
        return NULL
    count *= 2
    while count:
        size = resp_frame_size(at, end) if at < end else 0
        if size == 0:
            return NULL
        at += size
        count -= 1
    return at


cdef uint8_t *_head(uint8_t *at, uint8_t *end, int64_t *count) noexcept nogil:
    """The number in a line such as `*3`; -1 for a null. Returns what follows the line, NULL: it is none."""
    cdef:
        int64_t number = 0
        uint8_t digit
        int     digits = 0
    if end - at < 4:
        return NULL
    at += 1
    if at[0] == b'-':
        count[0] = -1
        return at + 4 if end - at >= 4 and at[1] == b'1' and at[2] == b'\r' and at[3] == b'\n' else NULL
    while at < end:
        digit = at[0] - 48
        if digit > 9:
            break
        number = number * 10 + digit
        digits += 1
        if digits > 15:
            return NULL
        at += 1
    if digits == 0 or end - at < 2 or at[0] != b'\r' or at[1] != b'\n':
        return NULL
    count[0] = number
    return at + 2


cdef inline size_t _element(uint8_t *at, uint8_t *end) noexcept nogil:
    """resp_frame_size; the short way for bulk strings. 0: none."""
    cdef:
        uint64_t size
        uint8_t *line = at + 1
        uint8_t  digit
    if likely(end - at >= 6 and at[0] == b'$'):
        size = <uint64_t>line[0] - 48
        if likely(size <= 9):
            line += 1
            digit = line[0] - 48
            while digit <= 9:
                size = size * 10 + digit
                line += 1
                if unlikely(size >= <uint64_t>(end - line)):    # so there is one more byte, and no overflow
                    return 0
                digit = line[0] - 48
            if unlikely(size + 4 > <uint64_t>(end - line) or line[0] != b'\r' or line[1] != b'\n'):
                return 0
            return <size_t>(line - at) + <size_t>size + 4
    return resp_frame_size(at, end) if at < end else 0


cdef bint _idle(const fan_part_t *part) noexcept nogil:
    """An error that only says: no script is running here."""
    return part.reply.size > 8 and memcmp(part.cursor, b"-NOTBUSY", 8) == 0


cdef inline uint8_t *_end(const fan_part_t *part) noexcept nogil:
    return part.reply.data + part.reply.size


# ---- pieces of the joined reply -------------------------------------------------------------------------------------


cdef void _pass_on(out_t *out, fan_part_t *part) noexcept nogil:
    """This part's reply, in its own memory. Of keyed arrays nobody has seen the end yet."""
    cdef size_t size = resp_frame_size(part.cursor, _end(part))
    if size == 0 or part.cursor + size != _end(part):
        out.error = NO_REPLY
        return
    out.reply.data = part.cursor
    out.reply.size = size
    if part.reply_owner is not NULL:
        out.owner = chunk_ref(part.reply_owner)


cdef bint _room(out_t *out, size_t size) noexcept nogil:
    out.owner = pool_take(out.pool, size)
    if out.owner is NULL:
        out.error = NO_ROOM
        return False
    out.to = chunk_data(out.owner)
    out.reply.data = out.to
    return True


cdef void _finish(out_t *out) noexcept nogil:
    out.reply.size = <size_t>(out.to - out.reply.data)


# ---- default --------------------------------------------------------------------------------------------------------


cdef void _default(out_t *out, fan_t *fan, fan_part_t *good) noexcept nogil:
    cdef uint8_t type = good.cursor[0]
    if type == b'*' and fan.keys and not _is_null(good):
        _by_key(out, fan)
    elif type == b'*' or type == b'~' or type == b'%' or type == b'_':
        _concatenate(out, fan, good)
    else:
        _same(out, fan, good)


cdef bint _is_null(const fan_part_t *part) noexcept nogil:
    return part.cursor[0] == b'_' or (part.cursor[0] == b'*' and part.cursor[1] == b'-')


cdef void _same(out_t *out, fan_t *fan, fan_part_t *first) noexcept nogil:
    cdef:
        fan_part_t *part
        uint32_t    index
        size_t      size = <size_t>(_end(first) - first.cursor)
    for index in range(fan.part_count):
        part = &fan.parts[index]
        if part.cursor[0] != first.cursor[0]:
            out.error = TYPES_DIFFER
            return
        if <size_t>(_end(part) - part.cursor) != size or memcmp(part.cursor, first.cursor, size):
            out.error = VALUES_DIFFER
            return
    _pass_on(out, first)


cdef void _concatenate(out_t *out, fan_t *fan, fan_part_t *first) noexcept nogil:
    """Arrays, sets or maps, one behind the other. Each was seen to be whole."""
    cdef:
        fan_part_t *part
        uint8_t     type = 0
        int64_t     count, total = 0
        size_t      size = 0
        uint32_t    index
    for index in range(fan.part_count):
        part = &fan.parts[index]
        if _is_null(part):
            part.cursor = _end(part)
            continue
        if type == 0:
            type = part.cursor[0]
        if part.cursor[0] != type or (type != b'~' and type != b'%' and (type != b'*' or fan.keys)):
            out.error = TYPES_DIFFER
            return
        part.cursor = _head(part.cursor, _end(part), &count)
        if part.cursor is NULL or count < 0:        # the scanner lets pass what no server says: %-1
            out.error = NO_REPLY
            return
        total += count
        size += <size_t>(_end(part) - part.cursor)
    if type == 0:
        first.cursor = first.reply.data             # nulls, all of them
        if _begin(first, False):
            _pass_on(out, first)
        else:
            out.error = NO_REPLY
        return
    if not _room(out, size + resp_head_size(<uint64_t>total)):
        return
    out.to = resp_put_head(out.to, type, <uint64_t>total)
    for index in range(fan.part_count):
        part = &fan.parts[index]
        size = <size_t>(_end(part) - part.cursor)
        memcpy(out.to, part.cursor, size)
        out.to += size
    _finish(out)


cdef void _by_key(out_t *out, fan_t *fan) noexcept nogil:
    """Arrays with an element for each key of their part: the elements in the order of the request's keys.

    Neighbours that come from the same part are copied together.
    """
    cdef:
        fan_part_t *part
        fan_part_t *before = NULL
        uint8_t    *start = NULL
        uint8_t    *end = NULL
        int64_t     count
        size_t      size = 0
        uint32_t    index
    for index in range(fan.part_count):
        part = &fan.parts[index]
        if part.cursor[0] != b'*':
            out.error = TYPES_DIFFER
            return
        part.cursor = _head(part.cursor, _end(part), &count)
        if part.cursor is NULL or count != part.keys:
            out.error = NO_REPLY if part.cursor is NULL else SIZES_DIFFER
            return
        size += <size_t>(_end(part) - part.cursor)
    if not _room(out, size + resp_head_size(fan.keys)):
        return
    out.to = resp_put_head(out.to, b'*', fan.keys)
    for index in range(fan.keys):
        part = &fan.parts[fan.places[index]]
        if part is not before:
            if before is not NULL:
                memcpy(out.to, start, <size_t>(before.cursor - start))
                out.to += before.cursor - start
            before = part
            start = part.cursor
            end = _end(part)
        size = _element(part.cursor, end)
        if unlikely(size == 0):
            out.error = NO_REPLY
            return
        part.cursor += size
    memcpy(out.to, start, <size_t>(before.cursor - start))
    out.to += before.cursor - start
    for index in range(fan.part_count):
        if fan.parts[index].cursor != _end(&fan.parts[index]):
            out.error = NO_REPLY
            return
    _finish(out)


# ---- numbers --------------------------------------------------------------------------------------------------------


cdef void _aggregate(out_t *out, fan_t *fan) noexcept nogil:
    cdef:
        fan_part_t *part
        int64_t     count, first = -1
        uint32_t    index
        bint        arrays = fan.parts[0].cursor[0] == b'*'
    for index in range(fan.part_count):
        part = &fan.parts[index]
        if (part.cursor[0] == b'*') != arrays:
            out.error = TYPES_DIFFER
            return
        if arrays:
            part.cursor = _head(part.cursor, _end(part), &count)
            if part.cursor is NULL or count < 0 or (first >= 0 and count != first):
                out.error = SIZES_DIFFER
                return
            first = count
    if not arrays:
        if _room(out, NUMBER_ROOM) and _element_wise(out, fan):
            _finish(out)
        return
    # Each element of the first part takes 3 bytes or more, and was seen to be there.
    if not _room(out, <size_t>first * NUMBER_ROOM + NUMBER_ROOM):
        return
    out.to = resp_put_head(out.to, b'*', <uint64_t>first)
    while first:
        if not _element_wise(out, fan):
            return
        first -= 1
    _finish(out)


cdef bint _element_wise(out_t *out, fan_t *fan) noexcept nogil:
    """The next number of each part, joined and written."""
    cdef:
        number_t    joined, number
        fan_part_t *part
        uint32_t    index
        bint        logical = fan.policy == POLICY_AGG_LOGICAL_AND or fan.policy == POLICY_AGG_LOGICAL_OR
    memset(&joined, 0, sizeof(joined))
    for index in range(fan.part_count):
        part = &fan.parts[index]
        part.cursor = _number(part.cursor, _end(part), &number)
        if part.cursor is NULL:
            out.error = NOT_NUMBERS
            return False
        if index == 0:
            joined = number
            if logical:
                joined.whole = joined.whole != 0
            continue
        if number.type != joined.type:
            out.error = TYPES_DIFFER
            return False
        if not _join_number(&joined, &number, fan.policy):
            out.error = NOT_NUMBERS
            return False
    if (joined.type == b',' and logical) or (joined.type == b'#' and not logical):
        out.error = NOT_NUMBERS
        return False
    _write_number(out, &joined)
    return True


cdef bint _join_number(number_t *joined, const number_t *number, uint8_t policy) noexcept nogil:
    """False: the sum goes beyond 64 bits."""
    if policy == POLICY_AGG_SUM:
        joined.real += number.real
        return not __builtin_add_overflow(joined.whole, number.whole, &joined.whole)
    if policy == POLICY_AGG_MIN:
        joined.whole = min(joined.whole, number.whole)
        joined.real = number.real if number.real < joined.real else joined.real
    elif policy == POLICY_AGG_MAX:
        joined.whole = max(joined.whole, number.whole)
        joined.real = number.real if number.real > joined.real else joined.real
    elif policy == POLICY_AGG_LOGICAL_AND:
        joined.whole = joined.whole and number.whole != 0
    else:
        joined.whole = joined.whole or number.whole != 0
    return True


cdef uint8_t *_number(uint8_t *at, uint8_t *end, number_t *number) noexcept nogil:
    """The number at `at`; returns what follows it. NULL: there is none of a kind that can be joined."""
    cdef:
        char     text[NUMBER_SIZE_MAX]
        char    *behind
        size_t   size
        uint8_t *line
    while at < end and at[0] == b'|':
        at = _behind_attribute(at, end)
        if at is NULL:
            return NULL
    size = resp_frame_size(at, end) if at < end else 0
    if size < 4 or size >= NUMBER_SIZE_MAX:
        return NULL
    number.type = at[0]
    number.whole = 0
    number.real = 0
    line = at + 1
    size -= 3
    if at[size + 1] != b'\r':           # a lone \n ends lines for the scanner, but not for us
        return NULL
    if number.type == b'#':
        number.whole = line[0] == b't'
        return at + size + 3 if size == 1 and (line[0] == b't' or line[0] == b'f') else NULL
    if number.type == b':' or number.type == b'(':
        return at + size + 3 if _whole(line, size, &number.whole) else NULL
    if number.type != b',':
        return NULL
    memcpy(text, line, size)
    text[size] = 0
    number.real = strtod(text, &behind)
    return at + size + 3 if behind == text + size else NULL


cdef bint _whole(const uint8_t *at, size_t size, int64_t *value) noexcept nogil:
    """All of the bytes as a number of 64 bits."""
    cdef:
        uint64_t number = 0
        uint64_t largest = <uint64_t>INT64_MAX
        size_t   index = 0
        bint     negative = at[0] == b'-'
    if negative or at[0] == b'+':
        index = 1
    largest += negative
    if index == size:
        return False
    while index < size:
        if at[index] < b'0' or at[index] > b'9' or number > largest // 10:
            return False
        number = number * 10 + (at[index] - 48)
        if number > largest:
            return False
        index += 1
    if negative:
        value[0] = INT64_MIN if number == largest else -<int64_t>number
    else:
        value[0] = <int64_t>number
    return True


cdef void _write_number(out_t *out, const number_t *number) noexcept nogil:
    cdef uint64_t value
    if number.type == b'#':
        out.to[0] = b'#'
        out.to[1] = b't' if number.whole else b'f'
        out.to[2] = b'\r'
        out.to[3] = b'\n'
        out.to += 4
    elif number.type == b',':
        out.to += snprintf(<char *>out.to, NUMBER_ROOM, b",%.17g\r\n", number.real)
    elif number.whole < 0:
        value = <uint64_t>0 - <uint64_t>number.whole
        out.to[0] = number.type
        out.to = resp_put_head(out.to + 1, b'-', value)
    else:
        out.to = resp_put_head(out.to, number.type, <uint64_t>number.whole)
