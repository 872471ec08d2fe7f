"""KeyRouter: sends each request down the chain that its rules name, and parts of one down several.

Here is decided where a request goes; how it goes, and what comes of its reply, stands in _key_router_base.
"""

from libc.stdint cimport uint8_t, uint32_t

from shotover._codec.fan cimport fan_t
from shotover._core.request cimport request_t
from shotover.transforms._key_router_base cimport KeyRouterBase
from shotover.transforms._key_router_state cimport route_session_t


cdef class KeyRouter(KeyRouterBase):
    cdef route_session_t *_client_of(self, request_t *request) noexcept nogil
    cdef void _take(self, request_t *request, route_session_t *client) noexcept nogil
    cdef bint _special(self, request_t *request, route_session_t *client) noexcept nogil
    cdef int _place(self, request_t *request, route_session_t *client, uint32_t *chain, fan_t **fan) noexcept nogil
    cdef bint _route(self, request_t *request, route_session_t *client) noexcept nogil
    cdef bint _spread(self, request_t *request, route_session_t *client, fan_t *fan, bint holds) noexcept nogil
    cdef bint _everywhere(self, request_t *request, route_session_t *client, uint32_t count, bint holds) noexcept nogil
    cdef bint _state(self, request_t *request, route_session_t *client) noexcept nogil
    cdef bint _reset(self, request_t *request, route_session_t *client) noexcept nogil
    cdef bint _reply_mode(self, request_t *request, route_session_t *client) noexcept nogil
    cdef bint _multi(self, request_t *request, route_session_t *client) noexcept nogil
    cdef bint _watch(self, request_t *request, route_session_t *client) noexcept nogil
    cdef bint _in_transaction(self, request_t *request, route_session_t *client) noexcept nogil
    cdef bint _queue(self, request_t *request, route_session_t *client) noexcept nogil
    cdef bint _end(self, request_t *request, route_session_t *client) noexcept nogil
    cdef bint _scan(self, request_t *request, route_session_t *client, uint32_t count) noexcept nogil
