"""Every metric that Shotover itself exports: its kind, its unit, what it means.

Dashboards made for the Rust program find its newer names here exactly, as true histograms where
it had summaries, and without `client_details`, which grew by a series a client. OLD_NAMES has those
of before its renaming, exported beside the new ones when config asks. A transform may export names
that are not listed: they are rendered with the kind they come with.
"""

from __future__ import annotations

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

# name -> (kind, what it means, unit); the unit chooses a histogram's bounds: "seconds" or a count
FAMILIES: dict[str, tuple[str, str, str]] = {
    # what the Rust program has
    "shotover_transform_total_count": (COUNTER, "Batches a transform was given.", "batches"),
    "shotover_transform_failures_count": (COUNTER, "Batches a transform failed.", "batches"),
    "shotover_transform_latency_seconds": (
        HISTOGRAM,
        "Time a transform itself spent on a batch of requests; one batch in 32 is timed.",
        "seconds",
    ),
    "shotover_transform_pushed_total": (COUNTER, "Messages pushed up by servers.", "messages"),
    "shotover_transform_pushed_failures": (COUNTER, "Pushed batches that failed.", "batches"),
    "shotover_transform_pushed_latency": (HISTOGRAM, "Time a pushed batch took.", "seconds"),
    "shotover_chain_total_count": (COUNTER, "Batches a chain was given.", "batches"),
    "shotover_chain_failures_count": (COUNTER, "Batches a chain failed.", "batches"),
    "shotover_chain_latency_seconds": (
        HISTOGRAM,
        "From a request entering a chain to its reply leaving it.",
        "seconds",
    ),
    "shotover_chain_requests_batch_size": (HISTOGRAM, "Requests in a batch.", "requests"),
    "shotover_chain_responses_batch_size": (HISTOGRAM, "Replies in a batch.", "replies"),
    "shotover_available_connections_count": (
        GAUGE,
        "Connections a source may still accept before its limit.",
        "connections",
    ),
    "connections_opened": (COUNTER, "Client connections accepted.", "connections"),
    "shotover_connections_accept_failures_count": (COUNTER, "Failed accepts.", "connections"),
    "shotover_listener_create_failures_count": (COUNTER, "Listeners not opened.", "listeners"),
    "shotover_source_to_sink_latency_seconds": (
        HISTOGRAM,
        "From reading a request to handing it to a connection.",
        "seconds",
    ),
    "shotover_sink_to_source_latency_seconds": (
        HISTOGRAM,
        "From the end of a reply to its turn at the client.",
        "seconds",
    ),
    "shotover_client_protocol_version_count": (COUNTER, "Clients by version.", "connections"),
    "shotover_failed_requests_count": (COUNTER, "Requests a sink failed.", "requests"),
    "shotover_out_of_rack_requests_count": (COUNTER, "Sent to another rack.", "requests"),
    "shotover_query_count": (COUNTER, "Requests seen by a QueryCounter.", "requests"),
    "shotover_hot_key_samples_count": (
        COUNTER,
        "Requests that hot_keys of a source has looked at.",
        "requests",
    ),
    "shotover_slow_requests_count": (
        COUNTER,
        "Requests that took as long as slow_requests of a source says; one a run.",
        "requests",
    ),
    "shotover_audit_records_count": (
        COUNTER,
        "Records of an Audit, by what became of them.",
        "records",
    ),
    "shotover_audit_waiting_bytes": (
        GAUGE,
        "Records of an Audit that wait to be written.",
        "bytes",
    ),
    "shotover_table_query_count": (
        COUNTER,
        "Statements of CQL seen by a QueryCounter, by table.",
        "requests",
    ),
    "shotover_cache_miss_count": (COUNTER, "Reads the cache had no answer for.", "requests"),
    "shotover_tee_dropped_messages_count": (COUNTER, "Batches a Tee dropped.", "batches"),
    "shotover_converted_requests_count": (
        COUNTER,
        "Requests in RESP3 that a RedisProtocolConverter sent to servers in RESP2.",
        "requests",
    ),
    "shotover_routed_requests_count": (
        COUNTER,
        "Requests, and parts of split ones, that a KeyRouter sent down a chain.",
        "requests",
    ),
    "shotover_split_requests_count": (
        COUNTER,
        "Requests that a KeyRouter sent down several chains.",
        "requests",
    ),
    "shotover_route_refusals_count": (COUNTER, "Requests a KeyRouter refused.", "requests"),
    "shotover_route_state_count": (
        COUNTER,
        "Commands by which a KeyRouter told a chain a client's state.",
        "requests",
    ),
    "shotover_route_rules": (GAUGE, "Rules of a KeyRouter in force.", "rules"),
    "shotover_peers_inaccessible_count": (GAUGE, "Peers of Shotover out of reach.", "peers"),
    "shotover_kafka_delegation_token_creation_seconds": (
        HISTOGRAM,
        "Time to create a delegation token.",
        "seconds",
    ),
    # what is ours alone
    "shotover_requests_count": (COUNTER, "Requests read from clients.", "requests"),
    "shotover_replies_count": (COUNTER, "Replies written to clients.", "replies"),
    "shotover_client_bytes_received_count": (COUNTER, "Bytes read from clients.", "bytes"),
    "shotover_client_bytes_sent_count": (COUNTER, "Bytes written to clients.", "bytes"),
    "shotover_upstream_bytes_received_count": (COUNTER, "Bytes read from servers.", "bytes"),
    "shotover_upstream_bytes_sent_count": (COUNTER, "Bytes written to servers.", "bytes"),
    "shotover_upstream_connections": (GAUGE, "Connections to servers by state.", "connections"),
    "shotover_upstream_connect_failures_count": (
        COUNTER,
        "Connections to servers that could not be made.",
        "connections",
    ),
    "shotover_upstream_connects_count": (COUNTER, "Connections to servers made.", "connections"),
    "shotover_upstream_lost_count": (
        COUNTER,
        "Connections to servers lost with requests under way.",
        "connections",
    ),
    "shotover_upstream_garbage_count": (
        COUNTER,
        "Connections to servers closed for breaking the protocol.",
        "connections",
    ),
    "shotover_upstream_timeouts_count": (COUNTER, "Replies that came too late.", "replies"),
    "shotover_upstream_up": (GAUGE, "Workers that reach this sink's servers.", "workers"),
    "shotover_upstream_silent": (
        GAUGE,
        "Workers that wait for a silent server no longer (breaker_timeouts).",
        "workers",
    ),
    "shotover_upstream_silences_count": (
        COUNTER,
        "Times a server was taken to be silent (breaker_timeouts).",
        "silences",
    ),
    "shotover_upstream_wait_seconds": (
        HISTOGRAM,
        "From writing a request to a server to reading its reply.",
        "seconds",
    ),
    "shotover_leases_count": (
        COUNTER,
        "Server connections lent to one client, by the reason why.",
        "leases",
    ),
    "shotover_leases": (GAUGE, "Server connections lent to one client now.", "connections"),
    "shotover_pinned_sessions_count": (
        COUNTER,
        "Clients that kept a server connection to themselves until their end.",
        "clients",
    ),
    "shotover_shards_ejected": (GAUGE, "Servers whose keys others have now.", "servers"),
    "shotover_shards_ejected_count": (
        COUNTER,
        "Times the keys of a server were given to others.",
        "times",
    ),
    "shotover_shards_rejoined_count": (
        COUNTER,
        "Times a server that was back got its keys again.",
        "times",
    ),
    "shotover_cluster_moved_count": (
        COUNTER,
        "Requests that a node sent on to the new one of their slot (MOVED).",
        "requests",
    ),
    "shotover_cluster_ask_count": (
        COUNTER,
        "Requests that a node sent on while their slot moved (ASK).",
        "requests",
    ),
    "shotover_cluster_redirects_failed_count": (
        COUNTER,
        "Requests sent on too often, or to nowhere.",
        "requests",
    ),
    "shotover_cluster_refreshes_count": (
        COUNTER,
        "Times a cluster was asked who has what.",
        "maps",
    ),
    "shotover_cluster_requests_by_key_count": (
        COUNTER,
        "Requests sent to a server that has their row.",
        "requests",
    ),
    "shotover_cluster_speculative_requests_count": (
        COUNTER,
        "Requests sent to a second server because the first took its time.",
        "requests",
    ),
    "shotover_cluster_speculative_replies_count": (
        COUNTER,
        "Those of them that the second server answered first.",
        "requests",
    ),
    "shotover_cluster_repairs_count": (
        COUNTER,
        "Statements prepared at servers that did not know them.",
        "statements",
    ),
    "shotover_cluster_prepared_statements": (
        GAUGE,
        "Prepared statements that are known.",
        "statements",
    ),
    "shotover_cluster_nodes": (GAUGE, "Servers in the cluster.", "nodes"),
    "shotover_cluster_nodes_down": (GAUGE, "Those of them that do not answer.", "nodes"),
    "shotover_upstream_requests": (GAUGE, "Requests that a server has now.", "requests"),
    "shotover_cluster_masters": (GAUGE, "Masters that have slots.", "nodes"),
    "shotover_subscriptions_renewed_count": (
        COUNTER,
        "Subscriptions of clients that were had again elsewhere.",
        "subscriptions",
    ),
    "shotover_held_requests": (GAUGE, "Requests that wait for a server.", "requests"),
    "shotover_held_requests_count": (
        COUNTER,
        "Requests that had to wait for a server.",
        "requests",
    ),
    "shotover_held_requests_given_up_count": (
        COUNTER,
        "Requests that waited for a server in vain.",
        "requests",
    ),
    "shotover_failovers_count": (COUNTER, "Times that sentinels named another master.", "times"),
    "shotover_sentinel_up": (GAUGE, "Workers that a sentinel answers.", "workers"),
    "shotover_coalesce_held_requests": (
        GAUGE,
        "Requests that a Coalesce holds until its next flush.",
        "requests",
    ),
    "shotover_protect_sealed_count": (COUNTER, "Values that a Protect has sealed.", "values"),
    "shotover_protect_opened_count": (COUNTER, "Values that a Protect has opened.", "values"),
    "shotover_protect_unsealed_count": (
        COUNTER,
        "Values of protected columns that came from the server unsealed, and passed.",
        "values",
    ),
    "shotover_protect_failures_count": (
        COUNTER,
        "Replies with values that a Protect could not open.",
        "replies",
    ),
    "shotover_protect_waits_count": (
        COUNTER,
        "Replies that waited for a data key of a Protect.",
        "replies",
    ),
    "shotover_cache_hits_count": (
        COUNTER,
        "Reads that a RedisCache answered from Redis.",
        "requests",
    ),
    "shotover_cache_misses_count": (
        COUNTER,
        "Reads that a RedisCache looked for in Redis, and the server answered.",
        "requests",
    ),
    "shotover_cache_bypassed_count": (
        COUNTER,
        "Reads of one partition of a cached table that a RedisCache did not look for.",
        "requests",
    ),
    "shotover_cache_fills_count": (COUNTER, "Replies that a RedisCache has kept.", "replies"),
    "shotover_cache_writes_count": (
        COUNTER,
        "Requests for which a RedisCache marked what they may change.",
        "requests",
    ),
    "shotover_cache_failures_count": (
        COUNTER,
        "Commands of a RedisCache that Redis refused or did not answer in time.",
        "commands",
    ),
    "shotover_debug_forced_count": (
        COUNTER,
        "Requests and replies that a DebugForceParse or DebugForceEncode has read (`done`), or let pass.",
        "messages",
    ),
    "shotover_handshakes_late_count": (
        COUNTER,
        "Handshakes, `USE`s and `PREPARE`s of Cassandra's clients that went on without a chain "
        "(of a Tee or KeyRouter) that was late.",
        "requests",
    ),
    "shotover_coalesce_flushes_count": (
        COUNTER,
        "Times a Coalesce sent what it held.",
        "times",
    ),
    "shotover_concurrency_limit": (
        GAUGE,
        "Requests that AdaptiveConcurrency lets be under way, summed over workers.",
        "requests",
    ),
    "shotover_concurrency_under_way": (GAUGE, "Requests under way below it.", "requests"),
    "shotover_concurrency_waiting": (GAUGE, "Requests that wait for their turn.", "requests"),
    "shotover_concurrency_slowness": (
        GAUGE,
        "How many times as long as usual replies took, summed over workers.",
        "",
    ),
    "shotover_concurrency_shadow_count": (
        COUNTER,
        "Requests that would have waited, with shadow: true.",
        "requests",
    ),
    "shotover_memory_used_bytes": (GAUGE, "Memory that a worker has for traffic.", "bytes"),
    "shotover_memory_limit_bytes": (GAUGE, "memory_limit of the process; 0: none.", "bytes"),
    "shotover_source_memory_bytes": (
        GAUGE,
        "What requests and replies of a source's clients took when that was last looked at.",
        "bytes",
    ),
    "shotover_refusals_count": (COUNTER, "What was refused, by reason.", "refusals"),
    "shotover_faults_injected_count": (
        COUNTER,
        "Requests with which FaultInjection did something.",
        "requests",
    ),
    "shotover_faults_held_requests": (GAUGE, "Requests that FaultInjection delays.", "requests"),
    "shotover_throttled_requests_count": (
        COUNTER,
        "Requests refused by RequestThrottling.",
        "requests",
    ),
    "shotover_limit_refusals_count": (COUNTER, "Requests that a limit has refused.", "requests"),
    "shotover_limit_evictions_count": (
        COUNTER,
        "Buckets of a limit that were given to others before they were full.",
        "buckets",
    ),
    "shotover_tee_mismatches_count": (
        COUNTER,
        "Replies of a Tee's two chains that differed.",
        "replies",
    ),
    "shotover_tee_held_bytes": (
        GAUGE,
        "Bytes of requests and replies that a Tee holds.",
        "bytes",
    ),
    "shotover_scatter_route_up": (GAUGE, "1 while a route of a scatter has every write.", "routes"),
    "shotover_scatter_route_stale": (
        GAUGE,
        "1 once a route has missed more than was kept for it.",
        "routes",
    ),
    "shotover_scatter_journal_requests": (
        GAUGE,
        "Writes kept for a route that has missed them.",
        "requests",
    ),
    "shotover_scatter_journal_bytes": (GAUGE, "Bytes that they take.", "bytes"),
    "shotover_scatter_missed_count": (COUNTER, "Writes that a route has missed.", "requests"),
    "shotover_scatter_replayed_count": (COUNTER, "Writes that it got later.", "requests"),
    "shotover_scatter_refused_count": (COUNTER, "Requests that it then refused.", "requests"),
    "shotover_scatter_away_count": (COUNTER, "Times a route went away.", "times"),
    "shotover_scatter_overflows_count": (COUNTER, "Times a route became stale.", "times"),
    "shotover_scatter_not_enough_count": (
        COUNTER,
        "Requests that had not enough good replies.",
        "requests",
    ),
    "shotover_scatter_timeouts_count": (
        COUNTER,
        "Requests that a route had not answered within timeout_ms.",
        "requests",
    ),
    "shotover_tagged_reads_count": (
        COUNTER,
        "Reads whose reply was stamped with its age.",
        "requests",
    ),
    "shotover_untagged_reads_count": (
        COUNTER,
        "Reads of whose keys the server would tell no age.",
        "requests",
    ),
    "shotover_python_held": (
        GAUGE,
        "Requests that Python transforms hold.",
        "requests",
    ),
    "shotover_python_held_refused_count": (
        COUNTER,
        "Requests refused since too many were held.",
        "requests",
    ),
    "shotover_python_held_timeouts_count": (
        COUNTER,
        "Held requests that were answered by their time limit.",
        "requests",
    ),
    "shotover_python_exceptions_count": (
        COUNTER,
        "Exceptions that left a hook of a Python transform.",
        "exceptions",
    ),
    "shotover_upstream_retries_count": (COUNTER, "Requests sent to a server again.", "requests"),
    "shotover_upstream_handshakes_count": (
        COUNTER,
        "Handshakes of clients that a Cassandra server was asked to judge.",
        "requests",
    ),
    "shotover_upstream_events_count": (
        COUNTER,
        "Events that Cassandra servers have sent.",
        "events",
    ),
    "shotover_upstream_keyspace_switches_count": (
        COUNTER,
        "USE of clients that a Cassandra server was asked for.",
        "requests",
    ),
    "shotover_learned_commands_count": (
        COUNTER,
        "Commands that a server was asked about since no table had them.",
        "commands",
    ),
    "shotover_limits_hit_count": (COUNTER, "Times a configured limit was hit.", "times"),
    "shotover_streamed_requests_count": (
        COUNTER,
        "Big requests that were sent on while they still came in.",
        "requests",
    ),
    "shotover_proxy_protocol_headers_count": (
        COUNTER,
        "Headers of proxies in front, by version; unknown: those that name no address.",
        "connections",
    ),
    "shotover_tls_handshakes_count": (
        COUNTER,
        "TLS handshakes by how they ended: full, resumed, failed or timeout.",
        "connections",
    ),
    "shotover_tls_handshakes_under_way": (
        GAUGE,
        "TLS handshakes that have begun and are not over.",
        "connections",
    ),
    "shotover_tls_certificate_expires_in_seconds": (
        GAUGE,
        "How long the proxy's certificate is still good; the first of several to expire.",
        "seconds",
    ),
    "shotover_protocol_errors_count": (
        COUNTER,
        "Client connections closed for breaking the protocol.",
        "connections",
    ),
    "shotover_connections": (GAUGE, "Open client connections.", "connections"),
    "shotover_draining": (GAUGE, "1 while finishing what is in flight.", ""),
    "shotover_config_generation": (GAUGE, "Number of the configuration in force.", ""),
    "shotover_config_earlier_connections": (
        GAUGE,
        "Client connections that are served as an earlier configuration said.",
        "connections",
    ),
    "shotover_loop_turns_count": (COUNTER, "Turns of a worker's loop.", "turns"),
    "shotover_loop_bytes_received_count": (COUNTER, "Bytes read by a worker.", "bytes"),
    "shotover_loop_bytes_sent_count": (COUNTER, "Bytes written by a worker.", "bytes"),
    "shotover_memory_bytes": (GAUGE, "Memory that holds traffic now.", "bytes"),
    "shotover_memory_refused_count": (
        COUNTER,
        "Times traffic was refused memory because the limit was reached.",
        "times",
    ),
    "shotover_build_info": (GAUGE, "Always 1; the labels tell version and poller.", ""),
    "shotover_log_lines_lost_count": (COUNTER, "Log lines nobody read in time.", "lines"),
    "shotover_metrics_bad_samples_count": (
        COUNTER,
        "Samples left out of the last scrape because they made no sense.",
        "samples",
    ),
    # what every exporter of a process has
    "process_cpu_seconds_total": (COUNTER, "Processor time used.", "seconds"),
    "process_resident_memory_bytes": (GAUGE, "Resident memory.", "bytes"),
    "process_virtual_memory_bytes": (GAUGE, "Virtual memory.", "bytes"),
    "process_open_fds": (GAUGE, "Open file descriptors.", "descriptors"),
    "process_max_fds": (GAUGE, "The most file descriptors it may open.", "descriptors"),
    "process_start_time_seconds": (GAUGE, "Start, in seconds since 1970.", "seconds"),
    "process_threads": (GAUGE, "Threads.", "threads"),
}

OLD_NAMES = {
    "shotover_transform_total_count": "shotover_transform_total",
    "shotover_transform_failures_count": "shotover_transform_failures",
    "shotover_transform_latency_seconds": "shotover_transform_latency",
    "shotover_chain_total_count": "shotover_chain_total",
    "shotover_chain_failures_count": "shotover_chain_failures",
    "shotover_chain_latency_seconds": "shotover_chain_latency",
    "shotover_available_connections_count": "shotover_available_connections",
    "shotover_failed_requests_count": "failed_requests",
    "shotover_out_of_rack_requests_count": "out_of_rack_requests",
    "shotover_query_count": "query_count",
    "shotover_cache_miss_count": "cache_miss",
    "shotover_tee_dropped_messages_count": "tee_dropped_messages",
}
