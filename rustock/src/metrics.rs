//! Metrics beside the common set.

use shared_vendor::metrics::{Counter, Gauge, Labelled, Registry};

/// What only this daemon counts.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Headers verified and stored.
    pub headers: Counter,
    /// Requests of peers for headers that were answered.
    pub served: Counter,
    /// Nodes that answer over UDP.
    pub discovered: Gauge,
    /// Answers of the upstream node by outcome: `proven`, `refused`, `failed`.
    pub upstream: Labelled<Counter>,
    /// Transactions of clients that were relayed to peers.
    pub relayed: Counter,
    /// Height of the tag `finalized`.
    pub finalized: Gauge,
    /// Height of the tag `safe`.
    pub safe: Gauge,
    /// Proofs of work of blocks that we do not have, which peers pushed.
    pub compared: Counter,
    /// Length of the longest hidden branch of the last hours.
    pub hidden_fork: Gauge,
    /// Mean time that peers take to answer, in seconds.
    pub latency: Gauge,
}

impl Metrics {
    /// Registers the set.
    #[must_use]
    pub fn register(registry: &Registry) -> Self {
        let help = "Answers of the upstream node: proven and passed on, refused, or none";
        let upstream = registry.counters("upstream_answers_total", &["outcome"], help);
        // A counter that has a series from the start shows its first increase.
        for outcome in ["proven", "refused", "failed"] {
            let _ = upstream.with(&[outcome]);
        }
        Self {
            headers: registry.counter("headers_verified_total", "Headers verified and stored"),
            served: registry
                .counter("requests_served_total", "Requests of peers for headers that were answered"),
            discovered: registry.gauge("discovery_nodes", "Nodes that answer over UDP"),
            upstream,
            relayed: registry
                .counter("transactions_relayed_total", "Transactions of clients that were relayed to peers"),
            finalized: registry.gauge("finalized_height", "Highest block with enough Bitcoin work above it"),
            safe: registry.gauge("safe_height", "Highest block that the tag safe names"),
            compared: registry.counter(
                "fork_monitor_compared_total",
                "Proofs of work of blocks that are not on the chain, compared with it",
            ),
            hidden_fork: registry.gauge(
                "hidden_fork_blocks",
                "Length of the longest hidden branch that the fork monitor saw lately",
            ),
            latency: registry.gauge("peer_latency_seconds", "Mean time that connected peers take to answer"),
        }
    }
}
