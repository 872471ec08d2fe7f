from shotover._codec.cql.messages cimport cql_params_t


cdef list values_of(const cql_params_t *params, list marks)
