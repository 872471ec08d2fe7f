"""RESP written anew from what was read of it: of requests and of replies. For what wants to be sure that nothing is lost."""

from libc.stdint cimport uint8_t


cdef size_t resp_request_again(const uint8_t *at, const uint8_t *end, uint8_t *out) noexcept nogil
cdef size_t resp_reply_again(const uint8_t *at, const uint8_t *end, uint8_t *out) noexcept nogil
