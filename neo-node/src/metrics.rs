//! The metrics of this daemon, beside those that every daemon has.

use shared_vendor::metrics::{Gauge, Registry};

/// Handles of the metrics.
#[derive(Clone)]
pub struct Metrics {
    /// Transactions in the pool.
    pub mempool_transactions: Gauge,
    /// Their bytes.
    pub mempool_bytes: Gauge,
    /// Height of the last verified header.
    pub headers: Gauge,
}

impl Metrics {
    /// Registers them.
    #[must_use]
    pub fn register(registry: &Registry) -> Self {
        Self {
            mempool_transactions: registry
                .gauge("mempool_transactions", "Transactions that wait for a block"),
            mempool_bytes: registry.gauge("mempool_bytes", "Bytes of the transactions that wait for a block"),
            headers: registry.gauge("header_height", "Height of the last verified header"),
        }
    }
}
