//! How much of a peer is read: bytes per second, the time that its messages cost, and what of it may wait or be worked on
//! at once. A reader waits; nothing is dropped. Mirrors `network/throttling` without its stake-weighted parts: validators
//! share one allotment, all others another.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use avalanche_ids::NodeId;
use parking_lot::Mutex;
use shared_vendor::clock::Time;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A message costs at least this many bytes while it waits, which bounds the number of them.
pub const LEAST_MESSAGE_BYTES: u32 = 2048;

/// How much of peers is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Bytes per second that a peer may send for long.
    pub refill_per_second: u64,
    /// Bytes that a peer may send at once. A longer message counts as one of this length.
    pub burst: u64,
    /// Bytes of one peer that wait or are worked on; a longer message counts as one of this length.
    pub node_bytes: u32,
    /// The same of all validators together.
    pub validator_bytes: u32,
    /// The same of all others together.
    pub other_bytes: u32,
    /// Processors that the messages of one validator may keep busy for long.
    pub validator_cpu: f64,
    /// The same of any other peer.
    pub other_cpu: f64,
}

impl Default for Limits {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let processors = f64::from(u32::try_from(processors).unwrap_or(u32::MAX));
        Self {
            refill_per_second: 512 * 1024,
            burst: 2 * 1024 * 1024,
            node_bytes: 2 * 1024 * 1024,
            validator_bytes: 32 * 1024 * 1024,
            other_bytes: 6 * 1024 * 1024,
            validator_cpu: processors,
            other_cpu: processors / 8.0,
        }
    }
}

const NANOS: u64 = 1_000_000_000;

/// A budget that refills with time, in any unit. What is taken beyond it has to be waited for.
#[derive(Debug, Clone)]
pub struct Budget {
    per_second: u64,
    burst: u64,
    /// When the bucket is, or was, full again.
    full_at: Time,
}

impl Budget {
    /// A full bucket.
    #[must_use]
    pub fn new(per_second: u64, burst: u64, now: Time) -> Self {
        Self { per_second: per_second.max(1), burst, full_at: now }
    }

    /// Takes `count`, at most a burst, and says how long to wait before it is paid for.
    pub fn reserve(&mut self, count: u64, now: Time) -> Duration {
        self.charge(count.min(self.burst), now);
        self.wait(now)
    }

    /// Takes what has been spent, however much.
    pub fn charge(&mut self, count: u64, now: Time) {
        self.full_at = self.full_at.max(now).after(self.time_for(count));
    }

    /// How long to wait until all that was taken is paid for.
    #[must_use]
    pub fn wait(&self, now: Time) -> Duration {
        self.full_at.since(now).saturating_sub(self.time_for(self.burst))
    }

    fn time_for(&self, count: u64) -> Duration {
        let nanos = u128::from(count) * u128::from(NANOS) / u128::from(self.per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The budget of processor time of one peer, in nanoseconds: a second at once, and for long what [`Limits`] says.
#[must_use]
pub fn cpu_budget(limits: &Limits, validates: bool, now: Time) -> Budget {
    let processors = if validates { limits.validator_cpu } else { limits.other_cpu };
    let share = Duration::try_from_secs_f64(processors).unwrap_or(Duration::MAX);
    Budget::new(u64::try_from(share.as_nanos()).unwrap_or(u64::MAX), NANOS, now)
}

/// The room for messages that wait or are worked on.
#[derive(Debug)]
pub struct Room {
    limits: Limits,
    validators: Arc<Semaphore>,
    others: Arc<Semaphore>,
    nodes: Mutex<BTreeMap<NodeId, Arc<Semaphore>>>,
}

/// The room that one message takes, until it is dropped.
#[derive(Debug, Default)]
pub struct Held {
    _room: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Room {
    /// Empty room.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let pool = |bytes: u32| Arc::new(Semaphore::new(usize::try_from(bytes).unwrap_or(usize::MAX)));
        Self {
            limits,
            validators: pool(limits.validator_bytes),
            others: pool(limits.other_bytes),
            nodes: Mutex::default(),
        }
    }

    /// Waits until a message of this length has room. Who waits longest is served first.
    pub async fn take(&self, node: NodeId, validates: bool, len: usize) -> Held {
        let (pool, size) = if validates {
            (&self.validators, self.limits.validator_bytes)
        } else {
            (&self.others, self.limits.other_bytes)
        };
        let len = u32::try_from(len).unwrap_or(u32::MAX).max(LEAST_MESSAGE_BYTES);
        let len = len.min(self.limits.node_bytes).min(size);
        let own = self.of(node).acquire_many_owned(len).await;
        let shared = Arc::clone(pool).acquire_many_owned(len).await;
        Held { _room: own.ok().zip(shared.ok()) }
    }

    /// Forgets a node whose connection ended; what it holds comes back as it is dropped.
    pub fn forget(&self, node: NodeId) {
        self.nodes.lock().remove(&node);
    }

    fn of(&self, node: NodeId) -> Arc<Semaphore> {
        let bytes = usize::try_from(self.limits.node_bytes).unwrap_or(usize::MAX);
        Arc::clone(self.nodes.lock().entry(node).or_insert_with(|| Arc::new(Semaphore::new(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const NODE: NodeId = NodeId([1; 20]);

    fn bandwidth() -> Budget {
        let limits = Limits::default();
        Budget::new(limits.refill_per_second, limits.burst, Time::ZERO)
    }

    #[test]
    fn a_burst_passes_at_once_and_more_waits_for_the_refill() {
        let mut bandwidth = bandwidth();
        assert_eq!(bandwidth.reserve(MIB, Time::ZERO), Duration::ZERO);
        assert_eq!(bandwidth.reserve(MIB, Time::ZERO), Duration::ZERO);
        assert_eq!(bandwidth.reserve(MIB, Time::ZERO), Duration::from_secs(2));
        assert_eq!(bandwidth.reserve(0, Time::from_millis(2000)), Duration::ZERO);
    }

    #[test]
    fn a_peer_that_rests_saves_one_burst_and_no_more() {
        let mut bandwidth = bandwidth();
        let later = Time::from_millis(3_600_000);
        assert_eq!(bandwidth.reserve(2 * MIB, later), Duration::ZERO);
        assert_eq!(bandwidth.reserve(MIB / 2, later), Duration::from_secs(1));
    }

    #[test]
    fn a_peer_whose_messages_cost_too_much_time_is_read_later() {
        let limits = Limits { other_cpu: 0.25, ..Limits::default() };
        let mut cpu = cpu_budget(&limits, false, Time::ZERO);
        cpu.charge(NANOS, Time::ZERO);
        assert_eq!(cpu.wait(Time::ZERO), Duration::ZERO);
        cpu.charge(NANOS, Time::ZERO);
        assert_eq!(cpu.wait(Time::ZERO), Duration::from_secs(4));
    }

    #[tokio::test]
    async fn one_peer_waits_for_its_own_messages_and_leaves_room_for_others() {
        let limits = Limits { node_bytes: 4096, other_bytes: 8192, ..Limits::default() };
        let room = Room::new(limits);
        let soon = |work| tokio::time::timeout(Duration::from_millis(20), work);
        let first = room.take(NODE, false, 1).await;
        let _second = room.take(NODE, false, 2048).await;
        assert!(soon(room.take(NODE, false, 1)).await.is_err(), "the node has its share");
        let _other = soon(room.take(NodeId([2; 20]), false, 4096)).await.expect("there is room");
        assert!(soon(room.take(NodeId([3; 20]), false, 1)).await.is_err(), "all room is taken");
        let _validator = soon(room.take(NodeId([3; 20]), true, 1)).await.expect("validators have their own");
        drop(first);
        assert!(soon(room.take(NODE, false, 1)).await.is_ok());
    }
}
