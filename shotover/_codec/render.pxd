"""Requests and replies as text for people: bounded, escaped, without secrets."""

from libc.stdint cimport uint8_t

from shotover._core.request cimport request_t


cdef size_t render_request(char *out, size_t room, request_t *request) noexcept nogil
cdef size_t render_reply_to(char *out, size_t room, request_t *request, const uint8_t *reply, size_t size) noexcept nogil
cdef size_t render_reply(char *out, size_t room, const uint8_t *reply, size_t size) noexcept nogil
