"""See resp_upgrade.pxd. Bytes that stay as they are go out in stretches as long as possible: `from_` is where one began.

A reply that is not RESP2 (the sink would have hung up) goes through as it is from where that shows.
"""

from libc.string cimport memchr, memcpy

from shotover._codec.resp_edit cimport resp_put_head
from shotover._codec.resp_shape cimport SHAPE_ANY
from shotover._core.debug cimport invariant, likely, unlikely

cdef extern from "shotover/_codec/resp_shapes.h" nogil:
    enum:
        AS_ANY
        AS_LIST
        AS_LIST_OR_SET
        AS_SET
        AS_MAP
        AS_PAIRS
        AS_ENTRIES
        AS_PAIR
        AS_TUPLE
        AS_PUSH
        AS_QUEUED
        TEXT_BULK
        TEXT_DOUBLE
        TEXT_VERBATIM
        TEXT_GONE
        TEXT_PONG
        SHAPE_PROTOCOL
    ctypedef struct resp_shape_t:
        uint8_t     kind
        uint8_t     text
        uint8_t     item
        uint8_t     part_count
        uint8_t     parts[12]
        const void *fields
    const resp_shape_t *RESP_SHAPES
    uint8_t shape_of_field(const resp_shape_t *shape, const uint8_t *name, uint32_t size)

cdef enum:                  # upgrade_t.state
    AT_HEAD = 0             # the next byte is a type, or `head` has the beginning of a head
    AT_LINE = 1             # in a simple string or an error, up to \n
    AT_BODY = 2             # `body` bytes of a bulk string, its end included
    AT_SEA = 3              # it is no RESP2: all goes through

cdef struct copy_t:         # what upgrade_write and its helpers share
    const uint8_t *at       # what has been looked at ends here
    const uint8_t *from_    # [from_, at) has not been written yet
    uint8_t       *to


cdef void upgrade_begin(upgrade_t *upgrade, uint8_t shape, const uint8_t *queued, uint32_t queued_count) noexcept nogil:
    """`queued`: for SHAPE_EXEC, the shapes of the commands that were queued; must live until the reply is whole."""
    upgrade.state = AT_HEAD
    upgrade.shape = shape
    upgrade.done = False
    upgrade.drop = False
    upgrade.naming = False
    upgrade.head_size = 0
    upgrade.name_size = 0
    upgrade.depth = 0
    upgrade.any = 0
    upgrade.body = 0
    upgrade.queued = queued
    upgrade.queued_count = queued_count


cdef uint8_t *upgrade_write(upgrade_t *upgrade, const uint8_t **at_io, const uint8_t *end, uint8_t *out) noexcept nogil:
    """Goes on with [*at_io, end) and moves *at_io behind what it used: all of it, or up to the end of the reply. Returns
    the end of what it wrote to `out`, which has upgrade_room."""
    cdef:
        copy_t         copy
        const uint8_t *newline
        size_t         step
    copy.at = at_io[0]
    copy.from_ = copy.at
    copy.to = out
    while copy.at < end and not upgrade.done:
        if upgrade.state == AT_HEAD:
            _read_head(upgrade, &copy, end)
        elif upgrade.state == AT_BODY:
            step = min(upgrade.body, <uint64_t>(end - copy.at))
            if unlikely(upgrade.naming):
                _read_name(upgrade, copy.at, step)
            upgrade.body -= step
            copy.at += step
            if unlikely(upgrade.drop):
                copy.from_ = copy.at
            if upgrade.body == 0:
                upgrade.drop = False
                _value_done(upgrade)
        elif upgrade.state == AT_LINE:
            newline = <const uint8_t *>memchr(copy.at, b'\n', <size_t>(end - copy.at))
            copy.at = end if newline is NULL else newline + 1
            if newline is not NULL:
                _value_done(upgrade)
        else:
            copy.at = end
    _flush(&copy, copy.at)
    at_io[0] = copy.at
    return copy.to


cdef inline void _flush(copy_t *copy, const uint8_t *up_to) noexcept nogil:
    cdef size_t size = <size_t>(up_to - copy.from_)
    if size:
        memcpy(copy.to, copy.from_, size)
        copy.to += size
        copy.from_ = up_to


cdef inline bint _is_digits(const uint8_t *at, const uint8_t *end, uint64_t *number) noexcept nogil:
    number[0] = 0
    if at == end or end - at > 15:
        return False
    while at < end:
        if at[0] < 48 or at[0] > 57:
            return False
        number[0] = number[0] * 10 + at[0] - 48
        at += 1
    return True


# ---- heads ----------------------------------------------------------------------------------------------------------

cdef void _read_head(upgrade_t *upgrade, copy_t *copy, const uint8_t *end) noexcept nogil:
    """The head of a value, or as much of it as there is."""
    cdef:
        uint8_t        sign = upgrade.head[0] if upgrade.head_size else copy.at[0]
        size_t         room = HEAD_MAX - upgrade.head_size
        size_t         there = min(<size_t>(end - copy.at), room)
        const uint8_t *newline
        const uint8_t *head = copy.at
        size_t         size
    if sign != b'$' and sign != b'*' and sign != b':':
        upgrade.state = AT_LINE
        return
    newline = <const uint8_t *>memchr(copy.at, b'\n', there)
    if unlikely(newline is NULL and there == room):
        _flush_carried(upgrade, copy)
        upgrade.state = AT_SEA
        return
    if unlikely(newline is NULL or upgrade.head_size):
        _flush(copy, copy.at)
        size = there if newline is NULL else <size_t>(newline + 1 - copy.at)
        memcpy(upgrade.head + upgrade.head_size, copy.at, size)
        upgrade.head_size += <uint8_t>size
        copy.at += size
        copy.from_ = copy.at
        if newline is NULL:
            return
        _take_head(upgrade, copy, upgrade.head, upgrade.head_size)
        return
    size = <size_t>(newline + 1 - copy.at)
    copy.at = newline + 1
    _take_head(upgrade, copy, head, size)


cdef inline void _flush_carried(upgrade_t *upgrade, copy_t *copy) noexcept nogil:
    """A head from an earlier piece that stays as it was."""
    memcpy(copy.to, upgrade.head, upgrade.head_size)
    copy.to += upgrade.head_size
    upgrade.head_size = 0


cdef void _take_head(upgrade_t *upgrade, copy_t *copy, const uint8_t *head, size_t size) noexcept nogil:
    """A whole head; it lies before copy.at, or in upgrade.head."""
    cdef:
        uint64_t number = 0
        uint8_t  sign = head[0]
        uint8_t  shape
        bint     null = size == 5 and head[1] == b'-' and head[2] == b'1' and head[3] == b'\r'
    if sign == b':':
        if unlikely(_shape_here(upgrade, copy, head, size) == SHAPE_PROTOCOL and upgrade.any == 0):
            _replace(upgrade, copy, head)
            memcpy(copy.to, b":3\r\n", 4)
            copy.to += 4
        _keep(upgrade, copy)
        _value_done(upgrade)
        return
    if unlikely(not null and (size < 4 or head[size - 2] != b'\r' or not _is_digits(head + 1, head + size - 2, &number))):
        _keep(upgrade, copy)
        upgrade.state = AT_SEA
        return
    shape = _shape_here(upgrade, copy, head, size)
    if null:
        _replace(upgrade, copy, head)
        memcpy(copy.to, b"_\r\n", 3)
        copy.to += 3
        _value_done(upgrade)
    elif sign == b'$':
        _take_bulk(upgrade, copy, head, number, RESP_SHAPES[shape].text)
    else:
        _take_array(upgrade, copy, head, number, shape)


cdef inline void _replace(upgrade_t *upgrade, copy_t *copy, const uint8_t *head) noexcept nogil:
    """The head is not copied: something else goes in its place."""
    if unlikely(upgrade.head_size):
        upgrade.head_size = 0
    else:
        _flush(copy, head)
        copy.from_ = copy.at


cdef inline void _keep(upgrade_t *upgrade, copy_t *copy) noexcept nogil:
    if unlikely(upgrade.head_size):
        _flush_carried(upgrade, copy)


cdef uint8_t _shape_here(upgrade_t *upgrade, copy_t *copy, const uint8_t *head, size_t size) noexcept nogil:
    """The shape of the value that begins. Where it is the first of a pair, that pair's head is written."""
    cdef:
        level_t            *level
        const resp_shape_t *shape
    if likely(upgrade.any):
        return SHAPE_ANY
    if upgrade.depth == 0:
        return upgrade.shape
    level = &upgrade.levels[upgrade.depth - 1]
    shape = &RESP_SHAPES[level.shape]
    if shape.kind == AS_MAP:
        if level.index & 1:
            return level.value
        upgrade.naming = shape.fields is not NULL
        upgrade.name_size = 0
        return SHAPE_ANY
    if shape.kind == AS_PAIRS:
        if level.index & 1:
            return shape.item
        if upgrade.head_size == 0:
            _flush(copy, copy.at - size)
        memcpy(copy.to, b"*2\r\n", 4)
        copy.to += 4
        return SHAPE_ANY
    if shape.kind == AS_TUPLE:
        return shape.parts[min(level.index, <uint64_t>shape.part_count - 1)]
    if shape.kind == AS_PAIR:
        return shape.item if level.index else shape.parts[0]
    if shape.kind == AS_QUEUED:
        return upgrade.queued[level.index] if level.index < upgrade.queued_count else <uint8_t>SHAPE_ANY
    return shape.item


cdef void _take_bulk(upgrade_t *upgrade, copy_t *copy, const uint8_t *head, uint64_t size, uint8_t text) noexcept nogil:
    upgrade.body = size + 2
    upgrade.state = AT_BODY
    if likely(text == TEXT_BULK):
        _keep(upgrade, copy)
        return
    _replace(upgrade, copy, head)
    if text == TEXT_DOUBLE:
        copy.to[0] = b','
        copy.to += 1
    elif text == TEXT_VERBATIM:
        copy.to = resp_put_head(copy.to, b'=', size + 4)
        memcpy(copy.to, b"txt:", 4)
        copy.to += 4
    else:
        upgrade.drop = True
        if text == TEXT_PONG:
            memcpy(copy.to, b"+PONG\r\n", 7)
            copy.to += 7


cdef void _take_array(upgrade_t *upgrade, copy_t *copy, const uint8_t *head, uint64_t number, uint8_t shape) noexcept nogil:
    """An array of so many elements: its new head, and a level if its elements have shapes."""
    cdef:
        uint8_t  kind = RESP_SHAPES[shape].kind
        uint8_t  sign = b'*'
        uint64_t written = number
        level_t *level
    upgrade.naming = False
    if upgrade.depth == LEVELS or ((kind == AS_MAP or kind == AS_PAIRS) and number & 1) or (kind == AS_PAIR and number != 2):
        kind = AS_ANY
    if likely(kind == AS_ANY):
        _keep(upgrade, copy)
        _count_array(upgrade, number)
        return
    if kind == AS_MAP or kind == AS_PAIRS:
        written = number // 2
    if kind == AS_MAP or kind == AS_ENTRIES:
        sign = b'%'
    elif kind == AS_SET or (kind == AS_LIST_OR_SET and number == 0):
        sign = b'~'
    elif kind == AS_PUSH:
        sign = b'>'
    if sign == b'*' and written == number and kind != AS_PAIR:
        _keep(upgrade, copy)
    else:
        _replace(upgrade, copy, head)
        if kind != AS_PAIR:
            copy.to = resp_put_head(copy.to, sign, written)
    if kind == AS_PUSH:
        _count_array(upgrade, number)
        return
    if number == 0:
        _value_done(upgrade)
        return
    level = &upgrade.levels[upgrade.depth]
    level.left = number
    level.index = 0
    level.shape = shape
    level.value = SHAPE_ANY
    upgrade.depth += 1


cdef inline void _count_array(upgrade_t *upgrade, uint64_t number) noexcept nogil:
    """Its elements have no shapes: they are counted, however deep they go."""
    upgrade.any += number + (upgrade.any == 0)
    _value_done(upgrade)


# ---- ends -----------------------------------------------------------------------------------------------------------

cdef void _read_name(upgrade_t *upgrade, const uint8_t *at, size_t size) noexcept nogil:
    """As much of a name as there is room for; a longer one is nobody's."""
    cdef size_t take = min(size, <size_t>NAME_MAX - upgrade.name_size)
    memcpy(upgrade.name + upgrade.name_size, at, take)
    upgrade.name_size += <uint8_t>take


cdef void _value_done(upgrade_t *upgrade) noexcept nogil:
    """A value is over (an array: as soon as its elements are counted on), and whatever ends with it."""
    cdef level_t *level
    upgrade.state = AT_HEAD
    if upgrade.any:
        upgrade.any -= 1
        if likely(upgrade.any):
            return
    while upgrade.depth:
        level = &upgrade.levels[upgrade.depth - 1]
        invariant(level.left > 0)
        if RESP_SHAPES[level.shape].kind == AS_MAP and not level.index & 1:
            level.value = _value_shape(upgrade, &RESP_SHAPES[level.shape])
        level.index += 1
        level.left -= 1
        if level.left:
            return
        upgrade.depth -= 1
    upgrade.done = True


cdef inline uint8_t _value_shape(upgrade_t *upgrade, const resp_shape_t *shape) noexcept nogil:
    cdef uint8_t size = upgrade.name_size
    if not upgrade.naming or size < 2:
        upgrade.naming = False
        return shape.item
    upgrade.naming = False
    return shape_of_field(shape, upgrade.name, size - 2)        # without its \r\n
