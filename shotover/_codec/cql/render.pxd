"""Requests and replies of CQL as text for people: bounded, escaped, without secrets; see _codec/render.pxd."""

from libc.stdint cimport uint8_t

from shotover._core.request cimport request_t


cdef size_t cql_render_request(char *out, size_t room, const request_t *request) noexcept nogil
cdef size_t cql_render_reply(char *out, size_t room, const uint8_t *reply, size_t size) noexcept nogil
