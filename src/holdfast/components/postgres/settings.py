"""The dynamic configuration: what all members share, kept by Patroni in the dcs."""

from collections.abc import Mapping
from typing import Any

from holdfast.components.postgres.spec import PostgresOptions, Scalar
from holdfast.model.spec import Durability

# Seconds. Patroni does not let ttl go under 20. loop_wait 1: a killed postgres is noticed within a second, and
# commits flow again a second after a promotion. retry_timeout 5: the dcs may hold an election (1 to 2 s, twice
# when votes split) without the leader giving up, and a leader that is cut off still stops writing
# loop_wait + retry_timeout = 6 s after the cut, long before its key ends at 19 s and another one may lead.
TTL_S, LOOP_WAIT_S, RETRY_TIMEOUT_S = 20, 1, 5

_PARAMETERS: Mapping[str, str] = {
    # Connections: TLS only (see pg_hba), SCRAM only.
    "ssl": "on",
    "ssl_cert_file": "/etc/patroni/tls/host.crt",
    "ssl_key_file": "/etc/patroni/tls/host.key",
    "ssl_min_protocol_version": "TLSv1.2",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    # Dead peers: a client's host that vanished frees its session and locks within about 15 s.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
    "client_connection_check_interval": "5s",
    # Replication: a dead link is noticed in 5 s instead of 60. A replica asks a leader that is away again after 1 s
    # instead of 5. Not sooner: each time starts a process, 27 ms of processor time, just when others hold an election
    # (at 0.1 s a quarter of a core on every replica). A new leader is asked at once, whatever this says.
    "wal_level": "replica",
    "hot_standby": "on",
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "1s",
    "max_wal_senders": "16",
    "max_replication_slots": "16",
    "wal_keep_size": "512MB",
    # A replica that is away may hold this much WAL on the leader's disk, not all of it.
    "max_slot_wal_keep_size": "8GB",
    "wal_log_hints": "on",
    # Reads on replicas are not cancelled by the vacuum of the leader.
    "hot_standby_feedback": "on",
    # Short crash recovery.
    "checkpoint_timeout": "5min",
    "checkpoint_completion_target": "0.9",
    "max_wal_size": "2GB",
    # Modest: the smallest cluster shares its hosts with everything else.
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    # To the journal of patroni.service, which adds the time. Statements are not logged: they hold user data.
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "[%p] %q%u@%d %h ",
    "log_lock_waits": "on",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "unix_socket_directories": "/var/run/postgresql",
}


def dynamic(durability: Durability, options: PostgresOptions) -> dict[str, Any]:
    """Return the whole dynamic configuration."""
    return {
        "ttl": TTL_S,
        "loop_wait": LOOP_WAIT_S,
        "retry_timeout": RETRY_TIMEOUT_S,
        # A dead postgres on a living host: fail over at once instead of restarting it in place.
        "primary_start_timeout": 0,
        # A fast stop that hangs (a stuck archive, a client that does not read) must not hold up a demotion.
        "primary_stop_timeout": 10,
        # The dcs lost, all members alive: the leader goes on when every other member confirms it.
        "failsafe_mode": True,
        "maximum_lag_on_failover": 1048576,
        **_synchronous(durability, options),
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            # An old leader that can neither follow nor be rewound is copied anew: nobody has to be called.
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
            "parameters": dict(_PARAMETERS) | {name: _text(each) for name, each in options.parameters.items()},
        },
    }


def _synchronous(durability: Durability, options: PostgresOptions) -> dict[str, Any]:
    """``quorum``: a commit waits for any so many of the replicas, and only one that has it may take over.

    ``strict``: it waits also when no replica is left (protection); otherwise writes go on alone (availability).
    """
    if durability is Durability.PERFORMANCE:
        return {"synchronous_mode": False}
    return {
        "synchronous_mode": "quorum",
        "synchronous_node_count": options.sync_replicas,
        "synchronous_mode_strict": durability is Durability.PROTECTION,
    }


def _text(each: Scalar) -> str:
    return str(each) if not isinstance(each, bool) else ("on" if each else "off")
