"""See segments.pxd."""

from libc.errno cimport ENOMEM, EPROTO
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from shotover._codec.cql.frame cimport HEADER_SIZE, read_int
from shotover._codec.cql.segment cimport (
    SEGMENT_AROUND_MAX,
    SEGMENT_PAYLOAD_MAX,
    SEGMENT_PLAIN_HEADER,
    SEGMENT_TRAILER,
    segment_check,
    segment_head,
    segment_open,
    segment_room,
    segment_seal,
    segment_write,
)
from shotover._codec.cql.segment cimport segment_t as cql_segment_t
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, pool_take, slab_give
from shotover._core.status cimport BAD, NEED_DATA, OK, status_t
from shotover._net.loop cimport Loop, queue_add, queue_t, segment_t, stream_close

cdef enum:
    PIECE_MAX = 32768           # what is handed out at a time of memory that the loop lends

cdef struct reader_t:           # over what is queued
    segment_t *segment
    uint8_t   *at


cdef void _take(reader_t *reader, uint8_t *out, size_t size) noexcept nogil:
    """Copies `size` bytes, which are there, and goes on behind them."""
    cdef size_t piece
    while size:
        piece = min(<size_t>(reader.segment.end - reader.at), size)
        memcpy(out, reader.at, piece)
        out += piece
        size -= piece
        reader.at += piece
        if reader.at == reader.segment.end and reader.segment.next is not NULL:
            reader.segment = reader.segment.next
            reader.at = reader.segment.start


cdef bint segments_begin(stream_t *stream, bint lz4, envelopes_f on_envelopes) noexcept nogil:
    """From here on; what has been written already goes as it is. False: no memory."""
    cdef:
        segments_t *segments = <segments_t *>calloc(1, sizeof(segments_t))
        segment_t  *segment = stream.out.head
    if segments is NULL:
        return False
    segments.framing.seal = _seal
    segments.framing.free = _free
    segments.on_envelopes = on_envelopes
    segments.lz4 = lz4
    if not lz4:
        segments.framing.before = SEGMENT_PLAIN_HEADER
        segments.framing.behind = SEGMENT_TRAILER
    while segment is not NULL:
        segments.framing.sealed += <size_t>(segment.end - segment.start)
        segment = segment.next
    stream.framing = &segments.framing
    return True


cdef void _free(stream_t *stream) noexcept nogil:
    cdef segments_t *segments = <segments_t *>stream.framing
    if segments.cut is not NULL:
        chunk_put(&(<Loop>stream.loop).pool, segments.cut)
    free(segments)
    stream.framing = NULL


# ---- out ------------------------------------------------------------------------------------------------------------

cdef bint _seal(stream_t *stream) noexcept nogil:
    cdef bint good = _seal_queue(<segments_t *>stream.framing, stream, <Loop>stream.loop)
    if stream.layer is not NULL:
        stream.framing.sealed = 0               # it takes all that is there
    return good


cdef bint _seal_in_place(segment_t *segment) noexcept nogil:
    """What one chunk holds becomes a segment where it lies: if it is whole envelopes, nobody else's, and has room around it."""
    cdef:
        uint8_t *at = segment.start
        size_t   left = <size_t>(segment.end - at)
        size_t   size
    if segment.chunk.refs != 1 or left > SEGMENT_PAYLOAD_MAX or at - chunk_data(segment.chunk) < SEGMENT_PLAIN_HEADER:
        return False
    if chunk_data(segment.chunk) + segment.chunk.size - segment.end < SEGMENT_TRAILER:
        return False
    while left >= HEADER_SIZE:
        size = HEADER_SIZE + read_int(at + 5)
        if size > left:
            return False
        at += size
        left -= size
    if left or at is segment.start:
        return False
    segment_seal(segment.start - SEGMENT_PLAIN_HEADER, <size_t>(segment.end - segment.start), True)
    segment.start -= SEGMENT_PLAIN_HEADER
    segment.end += SEGMENT_TRAILER
    return True


cdef bint _seal_queue(segments_t *segments, stream_t *stream, Loop loop) noexcept nogil:
    """What was written since the last time becomes segments, in its place. False: no memory."""
    cdef:
        reader_t   reader
        segment_t *segment = stream.out.head
        segment_t *last = NULL
        size_t     skip = segments.framing.sealed
        size_t     left = 0
        size_t     fresh = 0
        queue_t    made
    made.head = NULL
    made.tail = NULL
    while segment is not NULL and skip and skip >= <size_t>(segment.end - segment.start):
        skip -= <size_t>(segment.end - segment.start)
        last = segment
        segment = segment.next
    if not segments.lz4 and skip == 0 and segments.rest == 0:
        while segment is not NULL and likely(_seal_in_place(segment)):
            stream.out_size += SEGMENT_PLAIN_HEADER + SEGMENT_TRAILER
            segments.framing.sealed += <size_t>(segment.end - segment.start)
            last = segment
            segment = segment.next
    reader.segment = segment
    if segment is NULL:
        return True
    reader.at = segment.start + skip
    while segment is not NULL:
        left += <size_t>(segment.end - segment.start)
        segment = segment.next
    left -= skip
    if left == 0:
        return True
    if not _cut_segments(segments, loop, &reader, left, &made, &fresh):
        while made.head is not NULL:
            segment = made.head
            made.head = segment.next
            chunk_put(&loop.pool, segment.chunk)
            slab_give(&loop.segments, segment)
        stream_close(stream, ENOMEM)
        return False
    segment = stream.out.head if last is NULL else last.next
    if skip:                                    # it ends in the middle of one
        last = segment
        segment = segment.next
        last.end = last.start + skip
    if last is NULL:
        stream.out.head = made.head
    else:
        last.next = made.head
    stream.out.tail = made.tail
    while segment is not NULL:
        last = segment
        segment = segment.next
        chunk_put(&loop.pool, last.chunk)
        slab_give(&loop.segments, last)
    stream.out_size += fresh
    stream.out_size -= left
    segments.framing.sealed += fresh
    return True


cdef bint _cut_segments(
    segments_t *segments, Loop loop, reader_t *reader, size_t left, queue_t *made, size_t *fresh
) noexcept nogil:
    """Puts the `left` bytes of `reader`, as segments, behind `made`; *fresh grows by theirs. False: no memory."""
    cdef:
        uint8_t   head[HEADER_SIZE]
        reader_t  ahead
        size_t    size, payload
        bint      alone
        chunk_t  *scratch = NULL
        chunk_t  *chunk
        bint      good = True
    while left and good:
        payload = 0
        alone = segments.rest == 0
        if alone:                               # as many whole envelopes as fit
            ahead = reader[0]
            while left - payload >= HEADER_SIZE:
                _take(&ahead, head, HEADER_SIZE)
                size = HEADER_SIZE + read_int(head + 5)
                if size > left - payload or payload + size > SEGMENT_PAYLOAD_MAX:
                    if payload == 0:
                        segments.rest = size
                        alone = False
                    break
                payload += size
                if left > payload:
                    _skip(&ahead, size - HEADER_SIZE)
        if not alone:
            payload = <size_t>min(segments.rest, <uint64_t>left, <uint64_t>SEGMENT_PAYLOAD_MAX)
            segments.rest -= payload
        if payload == 0:
            return False                        # less than a header: nobody writes that
        scratch = pool_take(&loop.pool, payload)
        chunk = pool_take(&loop.pool, segment_room(payload))
        good = scratch is not NULL and chunk is not NULL
        if good:
            _take(reader, chunk_data(scratch), payload)
            size = segment_write(chunk_data(chunk), chunk_data(scratch), payload, alone, segments.lz4)
            fresh[0] += size
            left -= payload
            good = queue_add(loop, made, chunk, chunk_data(chunk), chunk_data(chunk) + size)     # takes the chunk over
        elif chunk is not NULL:
            chunk_put(&loop.pool, chunk)
        if scratch is not NULL:
            chunk_put(&loop.pool, scratch)
    return good


cdef void _skip(reader_t *reader, size_t size) noexcept nogil:
    cdef size_t piece
    while size:
        piece = min(<size_t>(reader.segment.end - reader.at), size)
        size -= piece
        reader.at += piece
        if reader.at == reader.segment.end and reader.segment.next is not NULL:
            reader.segment = reader.segment.next
            reader.at = reader.segment.start


# ---- in -------------------------------------------------------------------------------------------------------------

cdef void segments_read(stream_t *stream, uint8_t *data, size_t size) noexcept nogil:
    """Bytes from the wire. What they hold goes to the owner; a wrong sum closes the stream."""
    _read(<segments_t *>stream.framing, stream, <Loop>stream.loop, data, size)


cdef void _read(segments_t *segments, stream_t *stream, Loop loop, uint8_t *data, size_t size) noexcept nogil:
    cdef:
        cql_segment_t segment
        status_t      status
        size_t        piece
    while size and not stream.closed:
        if unlikely(segments.cut is not NULL):
            status = segment_head(&segment, chunk_data(segments.cut), segments.cut_size, segments.lz4)
            piece = (segment.header if status == NEED_DATA else segment.whole) - segments.cut_size
            if status == BAD:
                stream_close(stream, EPROTO)
                return
            piece = min(piece, size)
            memcpy(chunk_data(segments.cut) + segments.cut_size, data, piece)
            segments.cut_size += piece
            data += piece
            size -= piece
            if status == OK and segments.cut_size == segment.whole:
                _hand_out(segments, stream, loop, &segment, chunk_data(segments.cut), False)
                if segments.cut is not NULL:
                    chunk_put(&loop.pool, segments.cut)
                segments.cut = NULL
            continue
        status = segment_head(&segment, data, size, segments.lz4)
        if unlikely(status == BAD):
            stream_close(stream, EPROTO)
        elif status == NEED_DATA or size < segment.whole:
            segments.cut = pool_take(&loop.pool, SEGMENT_PAYLOAD_MAX + SEGMENT_AROUND_MAX)
            if segments.cut is NULL:
                stream_close(stream, ENOMEM)
                return
            memcpy(chunk_data(segments.cut), data, size)
            segments.cut_size = size
            return
        else:
            _hand_out(segments, stream, loop, &segment, data, True)
            data += segment.whole
            size -= segment.whole


cdef void _hand_out(
    segments_t *segments, stream_t *stream, Loop loop, const cql_segment_t *segment, uint8_t *at, bint lasts
) noexcept nogil:
    """A whole segment. `lasts`: where it lies are bytes of the event."""
    cdef:
        chunk_t *plain = NULL
        uint8_t *from_at = at + segment.header
        uint8_t *to
        size_t   left = segment.payload
        size_t   piece, room
    if segment.packed:
        plain = pool_take(&loop.pool, segment.payload)
        if plain is NULL:
            stream_close(stream, ENOMEM)
            return
        if segment_open(segment, at, chunk_data(plain)) != OK:
            stream_close(stream, EPROTO)
            left = 0
        from_at = chunk_data(plain)
    elif segment_check(segment, at) != OK:
        stream_close(stream, EPROTO)
        return
    if likely(lasts and plain is NULL):
        if left:
            segments.on_envelopes(stream, from_at, left)
        return
    while left and not stream.closed:
        piece = min(left, <size_t>PIECE_MAX)
        to = loop.lend(piece, &room)
        if to is NULL:
            stream_close(stream, ENOMEM)
            break
        memcpy(to, from_at, piece)
        loop.lent_used += piece
        from_at += piece
        left -= piece
        segments.on_envelopes(stream, to, piece)
    if plain is not NULL:
        chunk_put(&loop.pool, plain)
