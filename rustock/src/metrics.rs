//! Metrics beside the common set.

use shared_vendor::metrics::{Counter, Gauge, Registry};

/// What only this daemon counts.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Headers verified and stored.
    pub headers: Counter,
    /// Requests of peers for headers that were answered.
    pub served: Counter,
    /// Nodes that answer over UDP.
    pub discovered: Gauge,
}

impl Metrics {
    /// Registers the set.
    #[must_use]
    pub fn register(registry: &Registry) -> Self {
        Self {
            headers: registry.counter("headers_verified_total", "Headers verified and stored"),
            served: registry
                .counter("requests_served_total", "Requests of peers for headers that were answered"),
            discovered: registry.gauge("discovery_nodes", "Nodes that answer over UDP"),
        }
    }
}
