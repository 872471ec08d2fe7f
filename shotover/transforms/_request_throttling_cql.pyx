"""See _request_throttling_cql.pxd. A request is held against all limits that it comes under, and passes if all of them allow it;
a batch counts as many times as it has statements. What belongs to the connection (STARTUP, OPTIONS ...) is never counted.
"""

cimport cython

from libc.stdio cimport snprintf
from libc.string cimport strlen

from shotover._codec.commands cimport CONDUCT_PLAIN
from shotover._codec.cql.facts cimport cql_facts, cql_facts_t, cql_touch_t
from shotover._codec.cql.reading cimport cql_partition_key, cql_statements
from shotover._codec.cql.wire cimport wire_write, wire_writer_t
from shotover._codec.hashes cimport mix64, xxh64
from shotover._core.debug cimport likely, lowest_bit, unlikely
from shotover._core.request cimport batch_clear, batch_pop, batch_push, batch_t
from shotover.transforms._request_throttling_meter cimport (
    METER_HEAVY, TICKS_SHIFT, Meters, meter_get, meter_sub, meter_tag, meter_take,
)

import os

cdef enum:
    CHARGES_MAX = 256
    KEY_MAX = 4096              # bytes of a partition key that is told from others; longer ones have one meter together

PERS = {None: PER_ALL, "user": PER_USER, "client": PER_CLIENT, "statement": PER_STATEMENT, "keyspace": PER_KEYSPACE,
        "table": PER_TABLE, "key": PER_KEY}


cdef class StatementLimits:

    def __init__(self, limits, weights):
        """limits: (name, row, per, unweighed, rate, burst, keys); weights: (row, weight). The first weight that fits is taken,
        else 1. Rows are as set_rules takes them. Not checked here: see request_throttling.py."""
        cdef:
            cql_limit_t *limit
            uint32_t     index
        self.seed = int.from_bytes(os.urandom(8), "little")
        self.rows = [one[1] for one in limits] + [one[0] for one in weights]
        self.names = [one[0].encode() for one in limits]
        self.held = []
        self.limit_count = len(limits)
        self.weight_count = len(weights)
        for index, (_name, _row, per, unweighed, rate, burst, keys) in enumerate(limits):
            meters = Meters(rate, burst, 0 if per is None else keys)
            self.held.append(meters)
            limit = &self.limits[index]
            limit.meters = <void *>meters
            limit.name = <const char *><bytes>self.names[index]
            limit.per = PERS[per]
            limit.unweighed = unweighed
        for index, (_row, weight) in enumerate(weights):
            self.weights[index] = weight


@cython.final
cdef class CqlLimits(SelectingStep):

    def __init__(self, context, *, str name, StatementLimits limits):
        self.shared = limits
        self.reads_bodies = False
        self.set_rules(limits.rows)
        for index in range(limits.limit_count):
            if limits.limits[<size_t>index].per == PER_USER:
                self.knows_users = True

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t  *request
            selected_t *client
            batch_t     rest
            char        text[256]
            const char *name
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            client = NULL if request.session is NULL else self.client_of(request.session)
            if likely(self._take(request, client)):
                batch_push(&rest, request)
                continue
            name = self.shared.limits[self.refuser].name
            self.throttled_total += 1
            self.refusals[self.refuser] += 1
            if self.wait_ms == METER_HEAVY:
                snprintf(text, sizeof(text), b"this request weighs more than the limit %s ever lets pass at once "
                         b"(shotover: RequestThrottling)", name)
            else:
                snprintf(text, sizeof(text), b"over the limit %s, try again in %u ms (shotover: RequestThrottling)",
                         name, self.wait_ms)
            self.refuse_take(request, b"THROTTLED", text, strlen(text))
        self.pass_down(&rest)

    cdef bint _take(self, request_t *request, selected_t *client) noexcept nogil:
        """Whether a request may pass; it is counted then. If not, `refuser` and `wait_ms` say why."""
        cdef:
            const cql_facts_t *facts = cql_facts(request)
            uint64_t under, weighing, weight = 1, units, tag
            uint32_t index
            bint     passes = True
        if facts is NULL and request.conduct != CONDUCT_PLAIN:
            return True
        under = self.select(request, client)
        if under == 0:
            return True
        weighing = under >> self.shared.limit_count if self.shared.limit_count < 64 else 0
        under &= (<uint64_t>1 << self.shared.limit_count) - 1
        if weighing:
            weight = self.shared.weights[lowest_bit(weighing)]
        self.charge_count = 0
        while under and passes:
            index = <uint32_t>lowest_bit(under)
            under &= under - 1
            units = 1 if self.shared.limits[index].unweighed else weight * cql_statements(request)
            if units == 0:
                continue
            if self.shared.limits[index].per == PER_TABLE:
                passes = facts is NULL or self._charge_tables(index, request, weight)
                continue
            tag = self._tag(self.shared.limits[index].per, request, client)
            if tag:
                passes = self._charge(index, tag, units)
        if unlikely(not passes):
            for index in range(self.charge_count):          # those before have let it pass
                if meter_get(&self.charges[index].meter.tag) == self.charges[index].tag:
                    meter_sub(&self.charges[index].meter.until, self.charges[index].ticks)
        return passes

    cdef bint _charge_tables(self, uint32_t index, request_t *request, uint64_t weight) noexcept nogil:
        """Each table that a request touches has its own meter."""
        cdef:
            const cql_facts_t *facts = cql_facts(request)
            const cql_touch_t *touch
            uint64_t hash
            uint32_t at
        for at in range(facts.touch_count):
            touch = &facts.touches[at]
            if touch.table.size == 0:
                continue
            hash = xxh64(touch.keyspace.data, touch.keyspace.size, self.shared.seed)
            if not self._charge(index, meter_tag(xxh64(touch.table.data, touch.table.size, hash)), weight * touch.count):
                return False
        return True

    cdef uint64_t _tag(self, uint8_t per, request_t *request, selected_t *client) noexcept nogil:
        """Whose meter it is; 0: it has not what is asked for, and is not counted."""
        cdef:
            const cql_facts_t *facts = cql_facts(request)
            uint8_t       room[KEY_MAX]
            wire_writer_t key
        if per == PER_ALL:
            return 1
        if per == PER_USER:
            if client is NULL or client.user is NULL:
                return 1
            return meter_tag(xxh64(client.user, client.user_size, self.shared.seed))
        if per == PER_CLIENT:
            if client is NULL:
                return 1
            return meter_tag(mix64(<uint64_t>client.session ^ mix64(client.session.id)))
        if facts is NULL:
            return 0
        if per == PER_STATEMENT:
            return meter_tag(mix64(<uint64_t>facts.type << 8 | facts.object | 1 << 16))
        if per == PER_KEYSPACE:
            return meter_tag(xxh64(facts.keyspace.data, facts.keyspace.size, self.shared.seed)) if facts.keyspace.size else 0
        wire_write(&key, room, sizeof(room))
        if cql_partition_key(request, &key):
            return meter_tag(xxh64(room, key.size, xxh64(facts.table.data, facts.table.size, self.shared.seed)))
        return 1 if key.full else 0

    cdef bint _charge(self, uint32_t index, uint64_t tag, uint64_t units) noexcept nogil:
        """Whether a limit lets a request of so many units pass; it is charged then."""
        cdef:
            void         *meters = self.shared.limits[index].meters
            uint64_t      now = self.loop.now << TICKS_SHIFT
            bint          evicts = False
            meter_t      *meter = (<Meters>meters).find(tag, now, &evicts)
            cql_charge_t *charge
        self.evictions[index] += evicts
        if likely(units <= (<Meters>meters).burst_units and meter_take(
                &meter.until, now, units * (<Meters>meters).interval, (<Meters>meters).burst, 1)):
            if self.charge_count < CHARGES_MAX:
                charge = &self.charges[self.charge_count]
                charge.meter = meter
                charge.tag = 0 if (<Meters>meters).single else tag
                charge.ticks = units * (<Meters>meters).interval
                self.charge_count += 1
            return True
        self.refuser = index
        self.wait_ms = (<Meters>meters).wait_ms(meter, now, units)
        return False

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        found = SelectingStep.samples(self)
        found.append(("shotover_throttled_requests_count", labels, "counter", self.throttled_total))
        found.append(("shotover_refusals_count", labels | {"reason": "throttled"}, "counter", self.throttled_total))
        for index, name in enumerate(self.shared.names):
            own = labels | {"limit": name.decode()}
            found.append(("shotover_limit_refusals_count", own, "counter", self.refusals[index]))
            found.append(("shotover_limit_evictions_count", own, "counter", self.evictions[index]))
        return found
