"""See resp_spoil.pxd."""

cdef enum:
    PLACES_MAX = 256            # values of a reply among which one is chosen


cdef size_t _length(const uint8_t *text, size_t size) noexcept nogil:
    """A length; what is none, or negative, becomes larger than any."""
    cdef:
        size_t number = 0
        size_t index
    if size == 0 or size > 18:
        return <size_t>-1
    for index in range(size):
        if not 48 <= text[index] <= 57:
            return <size_t>-1
        number = number * 10 + (text[index] - 48)
    return number


cdef bint spoil_value(uint8_t *reply, size_t size, uint64_t chance) noexcept nogil:
    """Changes one byte of a value, so that the reply says something else and is still well formed.

    `reply` holds whole frames. `chance` (random bits) chooses the value and the byte. False: there is nothing in it that
    could be changed so: it is empty, null, or an aggregate of such.
    """
    cdef:
        size_t   at = 0
        size_t   start, length, chosen = 0, chosen_size = 0
        uint64_t seen = 0
        uint8_t  kind, chosen_kind = 0
    while at < size and seen < PLACES_MAX:
        kind = reply[at]
        at += 1
        start = at
        while at < size and reply[at] != b'\r':
            at += 1
        if at + 2 > size:
            break
        length = at - start
        at += 2
        if kind == b'$' or kind == b'=' or kind == b'!':
            length = _length(reply + start, length)
            if length > size - at:                  # -1 is null; more than there is cannot be
                continue
            start = at
            at += length + 2
            if kind == b'=' and length > 4:         # after its "txt:"
                start += 4
                length -= 4
        elif kind == b'*' or kind == b'~' or kind == b'%' or kind == b'>' or kind == b'|' or kind == b'_':
            continue                                # its elements come next, or it has no value
        elif (kind == b':' or kind == b',' or kind == b'(') and length > 0 and not 48 <= reply[start + length - 1] <= 57:
            continue                                # inf, nan
        if length == 0:
            continue
        seen += 1
        if chance % seen == 0:                      # each of them is as likely as another
            chosen, chosen_size, chosen_kind = start, length, kind
        chance = chance * <uint64_t>6364136223846793005 + <uint64_t>1442695040888963407
    if chosen_size == 0:
        return False
    if chosen_kind == b':' or chosen_kind == b',' or chosen_kind == b'(':
        at = chosen + chosen_size - 1               # the last digit becomes the next one
        reply[at] = 48 + (reply[at] - 47) % 10
    elif chosen_kind == b'#':
        reply[chosen] = 102 if reply[chosen] == 116 else 116        # f for t
    else:
        at = chosen + chance % chosen_size
        reply[at] = 121 if reply[at] == 120 else 120      # x, or y for x
    return True


cdef bint spoil_frame(uint8_t *reply, size_t size) noexcept nogil:
    """Makes the first byte one that begins no reply: whoever parses it finds out. False: there is no byte."""
    if size == 0:
        return False
    reply[0] = b'?'
    return True
