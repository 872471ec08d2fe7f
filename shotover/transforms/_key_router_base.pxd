"""KeyRouterBase: how requests go down the chains of a KeyRouter, and what comes of their replies.

A client's own request goes down one of the chains and comes back by on_child, untouched if nothing hangs on its reply.
Where something does, a route_item_t hangs on the request, or on a request of the router's own. A session has a
route_session_t once it has sent anything but plain commands.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from shotover._codec.fan cimport fan_t
from shotover._codec.key_rules cimport asker_t, rules_t
from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._proxy.step cimport Chain, Step, waker_t
from shotover.transforms._key_router_state cimport route_session_t


cdef enum:                      # route_item_t.kind: what a reply means
    ITEM_NONE = 0               # only that the client gets it, or does not (silent)
    ITEM_STATE = 1              # AUTH, SELECT ...: if it is no error, the client's state is another
    ITEM_WAIT = 2               # what comes behind has waited for it
    ITEM_MULTI = 3              # of the client, to the chain in which it watches keys
    ITEM_ABORTED = 4            # DISCARD in place of EXEC
    ITEM_UNSUBSCRIBE = 5
    ITEM_RESET = 6
    ITEM_SCAN = 7
    ITEM_TELL = 8               # the router's own: state that the client has set elsewhere
    ITEM_OPEN = 9               # the router's own: MULTI
    ITEM_ANEW = 10              # the router's own: RESET
    ITEM_LEG = 11               # a leg of a fan

cdef enum:
    HOME = 0                    # index of the default chain

cdef struct route_item_t:
    route_session_t *client
    fan_t           *fan
    uint32_t         leg
    uint32_t         chain      # it went to; of SCAN its place among those in reach
    uint32_t         reach      # of SCAN
    uint8_t          kind       # ITEM_*
    uint8_t          holds      # the client's later requests wait
    uint8_t          vital      # of TELL: an error fails what it was sent for
    uint8_t          complete   # of STATE: the chain has been told all but what this takes the place of
    uint8_t          silent     # the client gets no reply

cdef class KeyRouterBase(Step):
    cdef:
        list        names               # of the chains, the default first
        uint32_t    chain_count
        bint        splits              # multi_key: split
        slab_t      sessions, items
        batch_t    *queues              # of each chain: what goes down before the router returns
        uint32_t   *dirty               # chains whose queue is not empty
        uint8_t    *marks               # of each chain: for working out which are in reach
        uint32_t   *reach               # and the result
        uint32_t    dirty_count
        bint        flushing
        const rules_t *rules            # of `held[-1]`, or of the one before until the worker has looked
        const rules_t *next_rules       # set by the control plane; NULL: none
        list        held                # the KeyRules that `rules` and `next_rules` are of
        uint64_t    generation          # of `rules`
        asker_t     fresh               # for sessions without a route_session_t
        route_session_t *nobody         # stands for clients that are gone
        waker_t     waker
        uint64_t   *routed              # requests and parts, by chain
        uint64_t    splits_total, refused_total, told_total

    cdef route_item_t *_item(self, route_session_t *client, uint8_t kind, uint32_t chain, bint holds) noexcept nogil
    cdef void read_rules(self) noexcept nogil
    cdef void _send(self, request_t *request, uint32_t chain) noexcept nogil
    cdef void _flush(self) noexcept nogil
    cdef void _ask(self, route_session_t *client, const request_t *request, asker_t *asker) noexcept nogil
    cdef uint32_t _target(self, const asker_t *asker, const uint8_t *key, size_t size) noexcept nogil
    cdef bint _dispatch(self, request_t *request, route_session_t *client) noexcept nogil
    cdef uint32_t _in_reach(self, const asker_t *asker) noexcept nogil
    cdef bint _pass(self, request_t *request, route_session_t *client, uint32_t chain, uint8_t kind, bint holds) noexcept nogil
    cdef bint _pass_as(self, request_t *request, route_session_t *client, uint32_t chain, uint8_t kind,
                       bint holds) noexcept nogil
    cdef bint _tell(self, route_session_t *client, uint32_t chain, uint8_t without) noexcept nogil
    cdef bint _tell_anew(self, route_session_t *client, uint32_t chain) noexcept nogil
    cdef bint _tell_one(self, route_session_t *client, uint32_t chain, const uint8_t *wire, size_t size, uint8_t kind,
                        bint vital) noexcept nogil
    cdef void _scanned(self, route_item_t *item, request_t *request) noexcept nogil
    cdef bint _answer(self, request_t *request, route_session_t *client, const char *reply) noexcept nogil
    cdef bint _refuse(self, request_t *request, route_session_t *client, const char *code, const char *text) noexcept nogil
    cdef void _back(self, route_item_t *item, request_t *request) noexcept nogil
    cdef void _leg_back(self, route_item_t *item, request_t *child) noexcept nogil
    cdef void _joined(self, fan_t *fan, bint silent) noexcept nogil
    cdef void _let_go(self, route_item_t *item) noexcept nogil
    cdef void _go_on(self, route_session_t *client) noexcept nogil
    cdef void _forget(self, route_session_t *client) noexcept nogil
