"""See _query_type_filter.pxd. Types are those of users, kinds those of the command table:

  Read, Write, SchemaChange, PubSubMessage   the kinds of these names; orders to the server count as writes
  ReadWrite                                  what may be either: scripts, and commands that no table knows; refused
                                             with Write, too, since letting it through would let writes through
  none                                       the connection's own business always passes

Of CQL it is the statement that counts, that of an EXECUTE included; a text that cannot be followed may be anything.
"""

cimport cython

from libc.stdint cimport uint8_t

from shotover._codec.commands cimport (
    CATEGORY_SCRIPTING,
    CONDUCT_PLAIN,
    KIND_WRITE,
    command_t,
)
from shotover._core.debug cimport likely, unlikely
from shotover._core.request cimport batch_clear, batch_pop, batch_push, batch_t

from shotover._proxy.identities cimport identities_fit, identities_free, identities_set
from shotover._proxy.selecting import QUERY_KINDS
from shotover._proxy.session cimport session_t


@cython.final
cdef class QueryTypeFilter(RefusingStep):

    def __init__(self, context, *, str name, refused, certificates=None):
        self.texts = []
        identities_set(&self.identities, certificates, self.texts)
        self.wants_kin = True
        self.reads_bodies = False
        self.wants_statements = True
        for query_type in refused:
            self.kinds |= <uint32_t>QUERY_KINDS[query_type]
        self.scripts = bool({"Write", "ReadWrite"} & set(refused))

    def __dealloc__(self):
        identities_free(&self.identities)

    def on_linked(self):
        self.code = b"ERR" if self.codec.protocol == "redis" else b"INVALID"

    cdef inline bint refuses(self, request_t *request) noexcept nogil:
        cdef const command_t *command = <const command_t *>request.command
        if likely(not self.kinds >> request.kind & 1):
            return unlikely(
                self.scripts and request.kind == KIND_WRITE and command is not NULL
                and command.categories & CATEGORY_SCRIPTING
            ) and self.concerns(request)
        if request.kind == KIND_WRITE and command is not NULL and command.categories & CATEGORY_SCRIPTING:
            return self.scripts and self.concerns(request)
        return self.concerns(request)

    cdef bint concerns(self, request_t *request) noexcept nogil:
        """Whether its client's certificate is one of those in question. Who has gone is taken for one: what is left of it is
        not to slip through."""
        return likely(self.identities.names is NULL) or request.session is NULL or identities_fit(
            &self.identities, <session_t *>request.session)

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request = batch.head
            batch_t    rest
            uint8_t    out[128]
            size_t     size
        while request is not NULL and request.conduct == CONDUCT_PLAIN and not self.refuses(request):
            request = request.next
        if likely(request is NULL):
            self.pass_down(batch)       # nothing to refuse: the batch goes on as it came
            return
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            if self.refuses(request):
                size = self.codec.error_for(
                    request, out, sizeof(out), self.code, b"Message was filtered out by shotover", 36)
                self.refused_total += request.count
                self.refuse_with(request, out, size)
                continue
            if request.conduct != CONDUCT_PLAIN:
                self.track(request)
            batch_push(&rest, request)
        self.pass_down(&rest)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return RefusingStep.samples(self) + [
            ("shotover_refusals_count", labels | {"reason": "filtered"}, "counter", self.refused_total),
        ]
