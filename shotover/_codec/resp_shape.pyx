"""See resp_shape.pxd."""

from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp

from shotover._codec.commands cimport command_count, word_is
from shotover._codec.resp cimport resp_words

cdef extern from "shotover/_codec/resp_shapes.h" nogil:
    enum:
        RULE_SCORES_AT_4
        RULE_SCORES_AFTER_KEYS
        RULE_SCORES_AT_3
        RULE_VALUES_AT_3
        RULE_POP_SCORES
        RULE_INCR
        RULE_RANK
        RULE_SPOP
        RULE_PING
        RULE_SCRIPT
        RULE_TRACKING
        RULE_DEBUG
        RULE_REFUSED
    uint8_t reply_shape_by_id(uint32_t id)


cdef bint shape_varies(const command_t *command) noexcept nogil:
    """Whether it depends on more than the command."""
    return command is not NULL and reply_shape_by_id(command.id) >= SHAPE_COUNT


cdef uint8_t reply_shape(const command_t *command, const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Of the reply to the request [at, end), which may end in the middle of a word; `command` is its command, or NULL."""
    cdef:
        slice_t  words[SHAPE_WORDS]
        uint32_t count, there
        uint8_t  shape
    if command is NULL or command.id >= command_count():
        return SHAPE_UNKNOWN
    if reply_shape_by_id(command.parent) == RULE_REFUSED:
        return SHAPE_REFUSED
    shape = reply_shape_by_id(command.id)
    if shape < SHAPE_COUNT:
        return shape
    there = SHAPE_WORDS
    count = resp_words(at, end, words, there)
    while count == 0 and there > 1:         # it is cut: the words that are whole
        there = there - 1
        count = resp_words(at, end, words, there)
    return _by_words(shape, words, count, min(count, there), at, end)


cdef uint8_t _by_words(uint8_t rule, slice_t *words, uint32_t count, uint32_t there, const uint8_t *at,
                       const uint8_t *end) noexcept nogil:
    """`count` words, of which the first `there` are known."""
    if rule == RULE_PING:
        return SHAPE_PONG if count == 1 else SHAPE_PING_TEXT
    if rule == RULE_SPOP:
        return SHAPE_SET if count > 2 else SHAPE_ANY
    if rule == RULE_POP_SCORES:
        return SHAPE_SCORES if count > 2 else SHAPE_ONE_SCORE
    if rule == RULE_RANK:
        return SHAPE_ONE_SCORE if count > 3 else SHAPE_ANY
    if rule == RULE_VALUES_AT_3:
        return SHAPE_VALUES if count > 3 else SHAPE_ANY
    if rule == RULE_SCORES_AT_3:
        return SHAPE_SCORES if count > 3 else SHAPE_ANY
    if rule == RULE_SCORES_AT_4:
        return _with_scores(words, 4, count, there)
    if rule == RULE_SCORES_AFTER_KEYS:
        return _with_scores_after_keys(words, count, there, at, end)
    if rule == RULE_INCR:
        return _with_incr(words, there)
    if rule == RULE_SCRIPT:
        return SHAPE_SCRIPT_REFUSED if _sets_protocol(at, end) else SHAPE_ANY
    if rule == RULE_TRACKING:
        return SHAPE_ANY if there > 2 and word_is(&words[2], b"OFF", 3) else SHAPE_TRACKING_REFUSED
    if rule == RULE_DEBUG:
        return SHAPE_REFUSED if there > 1 and word_is(&words[1], b"PROTOCOL", 8) else SHAPE_ANY
    return SHAPE_REFUSED


cdef uint8_t _with_scores(slice_t *words, uint32_t first, uint32_t count, uint32_t there) noexcept nogil:
    """WITHSCORES among the options from `first` on; if not all of them are known, that cannot be told."""
    while first < there:
        if word_is(&words[first], b"WITHSCORES", 10):
            return SHAPE_SCORES
        first += 1
    return SHAPE_ANY if there == count else SHAPE_REFUSED


cdef uint8_t _with_scores_after_keys(slice_t *words, uint32_t count, uint32_t there, const uint8_t *at,
                                     const uint8_t *end) noexcept nogil:
    """The same behind a number of keys, one of which may have that name."""
    cdef:
        uint64_t keys = 0
        size_t   index
    if there < 2 or words[1].size > 6:
        return SHAPE_ANY                    # the server will not take it
    for index in range(words[1].size):
        if words[1].data[index] < 48 or words[1].data[index] > 57:
            return SHAPE_ANY
        keys = 10 * keys + words[1].data[index] - 48
    if keys + 2 >= count:
        return SHAPE_ANY
    if there == count:
        return _with_scores(words, <uint32_t>keys + 2, count, there)
    return _last_is_with_scores(at, end)


cdef uint8_t _last_is_with_scores(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Of a request with more words than are looked at: WITHSCORES in its last place. Elsewhere it cannot be told."""
    if end - at > 17 and memcmp(end - 17, b"$10\r\n", 5) == 0 and (end[-12] | 32) == b'w':
        return SHAPE_SCORES
    return SHAPE_REFUSED


cdef uint8_t _with_incr(slice_t *words, uint32_t there) noexcept nogil:
    """ZADD key [NX|XX|GT|LT|CH|INCR ...] score member ..."""
    cdef uint32_t index = 2
    while index < there and 2 <= words[index].size <= 4:
        if word_is(&words[index], b"INCR", 4):
            return SHAPE_DOUBLE
        if words[index].data[0] < 65:       # a score; the options are all of letters
            break
        index += 1
    return SHAPE_ANY


cdef bint _sets_protocol(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Whether the text of a script says `setresp`."""
    while at < end:
        at = <const uint8_t *>memchr(at, b's', <size_t>(end - at))
        if at is NULL or end - at < 7:
            return False
        if memcmp(at, b"setresp", 7) == 0:
            return True
        at += 1
    return False
