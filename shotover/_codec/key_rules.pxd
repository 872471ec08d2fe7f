"""Which of many rules comes first for a request: by its key, user, certificate, database and command.

A rule has conditions, all of which must hold, and a target. Rules are numbered in the order they are given; the answer to
a question is the lowest number of those that hold. Each rule stands in one index, that of its rarest condition:

  command     by the command's id, or by name for those that no table has
  key         a hash table of whole keys
  prefix      a trie of prefixes, in which globs stand under what they begin with; what has no place there can win is not entered
  hash        by slot of the key, for rules with no other condition; the few others in a list
  user        a hash table of users, asked once for each change of a session's user or database (rules_base)

A table does not change once it is made: it may be read by any number of threads.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t

from shotover._codec.commands cimport command_t
from shotover._core.slice cimport slice_t


cdef enum:
    RULE_NONE = 0xffffffff          # no rule holds
    DATABASE_ANY = -1
    GLOB_KEY_MAX = 4096             # bytes of a key that is compared with globs; longer ones match none

cdef enum:                          # rule_t.kind: the condition on the key
    RULE_ANY = 0                    # none: it holds for requests without a key, too
    RULE_KEY = 1
    RULE_PREFIX = 2
    RULE_GLOB = 3
    RULE_HASH = 4

cdef struct rule_t:
    uint32_t target
    uint32_t text                   # offset of the key, prefix or glob among the texts
    uint32_t text_size
    uint32_t first                  # slots, both included
    uint32_t last
    uint32_t user                   # offset of the user's name
    uint32_t user_size              # RULE_NONE: any user
    uint32_t identity               # offset of whom a certificate names
    uint32_t identity_size          # RULE_NONE: it does not matter
    int32_t  database               # DATABASE_ANY
    uint8_t  kind                   # RULE_*

cdef struct rule_entry_t:           # of a list of rules, lowest number first
    uint32_t rule
    uint32_t following              # index + 1; 0: none

cdef struct rule_word_t:            # of a hash table: a text and its rules
    uint32_t hash
    uint32_t text
    uint32_t size
    uint32_t entries                # index + 1; 0: an empty place

cdef struct rule_node_t:            # of the trie
    uint32_t label                  # offset of the bytes that lead here from its parent
    uint32_t label_size
    uint32_t entries                # index + 1 of the rules whose text ends here; 0: none
    uint32_t children               # index of the first; they stand side by side
    uint32_t child_count
    uint32_t best                   # the lowest number of a rule here or below

cdef struct rule_words_t:
    rule_word_t *places
    uint32_t     mask
    uint32_t     count

cdef struct rules_t:
    rule_t       *rules
    rule_entry_t *entries
    uint8_t      *texts
    rule_node_t  *nodes             # nodes[0] is the root
    uint8_t      *firsts            # of each node the first byte of its label
    uint32_t     *by_command        # of each static command: entries, index + 1
    uint32_t     *by_slot           # of each slot the lowest rule of plain hash rules; NULL: there is none
    rule_words_t  keys
    rule_words_t  users
    rule_words_t  names             # of commands that no table has
    uint32_t      any_user          # entries of rules for any user without condition on key or command
    uint32_t      hashes            # entries of hash rules with other conditions
    uint32_t      count
    uint32_t      slot_best         # the lowest rule of by_slot
    bint          has_commands
    bint          has_trie
    bint          of_identities     # some rule asks for whom a certificate names

cdef struct asker_t:                # what is asked about
    slice_t  user
    slice_t  identity               # whom its certificate names; empty: nobody
    int32_t  database
    uint32_t base                   # what rules_base said
    const command_t *command        # NULL: unknown
    slice_t  word                   # the request's first word, where command is NULL

cdef class KeyRules:
    cdef:
        rules_t table
        list    memory              # bytearrays that `table` points into
        readonly tuple rules        # as they were given

    cdef void *_keep(self, bytearray data)
    cdef int _index_words(self, rule_words_t *words, dict by, lists, texts) except -1
    cdef int _index_commands(self, dict by, lists) except -1
    cdef int _index_slots(self, list plain) except -1
    cdef int _index_trie(self, dict by, lists, texts) except -1
    cdef asker_t _asker(self, bytes user, int32_t database, bytes command, bytes certificate)


cdef uint32_t rules_base(const rules_t *table, const asker_t *asker) noexcept nogil
cdef uint32_t rules_find(const rules_t *table, const asker_t *asker, const uint8_t *key, size_t size) noexcept nogil
cdef uint32_t rules_of_command(const rules_t *table, const asker_t *asker) noexcept nogil
cdef bint rule_key_fits(const rules_t *table, const rule_t *rule, const uint8_t *key, size_t size) noexcept nogil
cdef bint rule_reaches(const rules_t *table, uint32_t rule, const asker_t *asker) noexcept nogil
cdef bint glob_match(const uint8_t *glob, size_t glob_size, const uint8_t *text, size_t size) noexcept nogil
