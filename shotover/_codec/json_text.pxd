"""JSON, written into room that the caller gives."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from shotover._core.slice cimport slice_t


cdef struct json_t:
    uint8_t *at
    uint8_t *end
    bint     full               # something did not fit, and nothing after it was written
    bint     comma              # a field goes before the next one


cdef void json_begin(json_t *json, uint8_t *room, size_t size) noexcept nogil
cdef void json_raw(json_t *json, const void *data, size_t size) noexcept nogil
cdef void json_text(json_t *json, const uint8_t *data, size_t size) noexcept nogil
cdef void json_name(json_t *json, const char *name) noexcept nogil
cdef void json_word(json_t *json, const char *name, const char *word) noexcept nogil
cdef void json_string(json_t *json, const char *name, slice_t value, size_t most) noexcept nogil
cdef void json_number(json_t *json, const char *name, uint64_t value) noexcept nogil
