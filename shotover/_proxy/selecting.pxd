"""SelectingStep, base of the steps whose rules name requests by command or statement, type, client and user.

A rule is a bit. Which of them a client falls under is found once, and again when it logs in; which of them name a
command is kept in a small cache. So a request costs a look at both, however many rules there are.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._net.peer cimport network_t
from shotover._proxy.identities cimport identities_t
from shotover._proxy.refusing cimport RefusingStep
from shotover._proxy.session cimport session_t
from shotover._proxy.statement_rules cimport statement_rule_t


cdef enum:
    RULES_MAX = 64
    COMMANDS_CACHED = 64

cdef struct selected_t:         # what such a step knows of a session; first in its subclass's own struct, if that has one
    session_t *session
    size_t     tx               # TX_* bits
    uint64_t   addressed        # rules whose conditions on the client's address and certificate hold
    uint64_t   fits             # ... and that on its user, too
    uint8_t   *user             # as whom it has logged in; NULL: default
    size_t     user_size

cdef struct rule_t:
    uint32_t   kinds            # bits of KIND_*; 0: it does not say
    slice_t   *commands         # upper case; NULL: it does not say
    uint32_t   command_count
    network_t *networks         # NULL: it does not say
    uint32_t   network_count
    slice_t   *users            # NULL: it does not say
    uint32_t   user_count
    identities_t identities     # whom its certificate names
    statement_rule_t statement  # of CQL

cdef class SelectingStep(RefusingStep):
    cdef:
        rule_t     rules[RULES_MAX]
        uint32_t   rule_count
        uint64_t   rules_all            # a bit for each
        uint64_t   rules_of_anyone      # those without a condition on the client
        bint       knows_users          # some rule has one on the user: logins are followed
        bint       cql
        uint64_t   rules_of_levels      # those with a condition on the consistency
        bint       knows_clients        # some rule has one on the client's address, certificate or user
        list       texts                # keeps the bytes that rules point to
        slab_t     clients              # selected_t, or what begins with one
        size_t     client_size          # of such an object; a subclass may raise it before it gives its rules
        size_t      nobody              # TX_* bits of a client that there was no memory for
        const void *cached[COMMANDS_CACHED]
        uint64_t   cached_rules[COMMANDS_CACHED]

    cdef selected_t *client_of(self, void *session) noexcept nogil
    cdef uint64_t select(self, request_t *request, selected_t *client) noexcept nogil
    cdef uint64_t rules_of_command(self, request_t *request) noexcept nogil
    cdef uint64_t rules_of_statement(self, request_t *request) noexcept nogil
    cdef void follow_login(self, request_t *request) noexcept nogil
    cdef void see_login(self, request_t *request) noexcept nogil
    cdef void _see_login_of_cql(self, request_t *request) noexcept nogil
    cdef slice_t *_slices(self, texts) except NULL
    cdef void _find_users(self, selected_t *client) noexcept nogil
    cdef void _find_rules(self, selected_t *client) noexcept nogil
    cdef uint64_t _stating(self, uint8_t kind, const cql_facts_t *facts) noexcept nogil
    cdef uint64_t _naming(self, request_t *request) noexcept nogil
    # to be overridden:
    cdef void client_begins(self, selected_t *client) noexcept nogil
    cdef void client_ends(self, selected_t *client) noexcept nogil
