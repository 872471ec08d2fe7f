"""See keys_probe.pxd. Text, values and key columns come from Python; so do the bodies of values."""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from shotover._codec.cql.keys cimport (
    KEY_COLUMNS_MAX,
    cql_key_plan,
    cql_key_plan_t,
    cql_keys_at,
    cql_keys_read,
    cql_keys_t,
)
from shotover._codec.cql.messages cimport PARAM_NAMES, PARAM_VALUES, cql_params_t
from shotover._codec.cql.statement cimport cql_item_t, cql_parse, cql_statement_t
from shotover._codec.cql.types cimport cql_type_of_text, cql_type_t, cql_types_t
from shotover._core.slice cimport slice_t


def keys(bytes text, list columns, values=None, uint32_t which=0, uint32_t room=256):
    """Keys of a statement, each a list of bytes; None: they cannot be told.

    columns: (name, type) as bytes. values: bodies, as on the wire, in a list of bytes, or of (name, bytes).
    """
    cdef:
        cql_statement_t   statement
        cql_item_t       *items = <cql_item_t *>malloc(room * sizeof(cql_item_t))
        cql_key_plan_t    plan
        cql_keys_t       *found = <cql_keys_t *>malloc(sizeof(cql_keys_t))
        cql_params_t      params
        cql_type_t        nodes[KEY_COLUMNS_MAX][16]
        const cql_type_t *types[KEY_COLUMNS_MAX]
        cql_types_t       tree
        slice_t           names[KEY_COLUMNS_MAX]
        slice_t           parts[KEY_COLUMNS_MAX]
        uint32_t          index, column
        bytes             body = b""
    try:
        memset(&params, 0, sizeof(params))
        for index, (name, kind) in enumerate(columns):
            names[index].data = <uint8_t *><const char *>name
            names[index].size = len(name)
            tree.nodes = nodes[index]
            tree.room = 16
            tree.count = 0
            assert cql_type_of_text(&tree, <const uint8_t *><const char *>kind, len(kind))
            types[index] = nodes[index]
        if values is not None:
            params.flags = PARAM_VALUES
            params.value_count = len(values)
            for value in values:
                if isinstance(value, tuple):
                    params.flags |= PARAM_NAMES
                    body += len(value[0]).to_bytes(2, "big") + value[0]
                    value = value[1]
                body += b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value
            params.values.data = <uint8_t *><const char *>body
            params.values.size = len(body)
        statement.item = items
        statement.item_room = room
        assert cql_parse(<const uint8_t *><const char *>text, len(text), &statement), text
        if not cql_key_plan(&statement, <const uint8_t *><const char *>text, which, names, len(columns), &plan):
            return None
        if not cql_keys_read(&plan, &statement, <const uint8_t *><const char *>text, &params, types, found):
            return None
        told = []
        for index in range(found.count):
            cql_keys_at(found, index, parts)
            told.append([(<const char *>parts[column].data)[:parts[column].size] for column in range(found.columns)])
        return told
    finally:
        free(items)
        free(found)
