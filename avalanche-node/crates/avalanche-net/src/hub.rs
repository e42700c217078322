//! Which connections there are and which are to be opened: at most one per node and none to ourselves, dials with
//! growing delays, a question for addresses to a random peer every two seconds. Pure; `transport` holds it under one
//! lock, which makes the check for a second connection and its entry one step. Mirrors `network/network.go`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use avalanche_ids::{Id, NodeId};
use rand::{Rng, SeedableRng, rngs::StdRng};
use shared_vendor::clock::Time;

use crate::gossip::{ClaimError, ClaimedIp, Tracker};

/// Time between questions for addresses.
pub const GOSSIP_PERIOD: Duration = Duration::from_secs(2);
/// Time between fresh filters.
pub const FILTER_PERIOD: Duration = Duration::from_secs(60);
/// Delay before the second attempt at an address, at least.
pub const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Longest delay between attempts.
pub const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Why a connection is closed before its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It leads to ourselves.
    #[error("connection to ourselves")]
    Ourselves,
    /// There is one to this node already.
    #[error("already connected")]
    Duplicate,
    /// As many as allowed are open.
    #[error("too many connections")]
    Full,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a connection.
    Dial(NodeId, SocketAddr),
    /// Ask this peer for addresses.
    AskPeers(NodeId),
}

#[derive(Debug)]
struct Target {
    address: SocketAddr,
    /// None while a dial is under way.
    next: Option<Time>,
    delay: Duration,
}

/// Connections, addresses and timers.
#[derive(Debug)]
pub struct Hub {
    me: NodeId,
    max_connections: usize,
    /// Open connections, true when their handshake is over.
    open: BTreeMap<NodeId, bool>,
    targets: BTreeMap<NodeId, Target>,
    tracker: Tracker,
    next_gossip: Time,
    next_filter: Time,
    random: StdRng,
}

impl Hub {
    /// No connections yet.
    #[must_use]
    pub fn new(me: NodeId, max_connections: usize, tracker: Tracker, seed: [u8; 32], now: Time) -> Self {
        Self {
            me,
            max_connections,
            open: BTreeMap::new(),
            targets: BTreeMap::new(),
            tracker,
            next_gossip: now.after(GOSSIP_PERIOD),
            next_filter: now.after(FILTER_PERIOD),
            random: StdRng::from_seed(seed),
        }
    }

    /// What is known of addresses.
    pub const fn tracker(&mut self) -> &mut Tracker {
        &mut self.tracker
    }

    /// A node is wanted at this address, whether or not it validates.
    pub fn track_by_hand(&mut self, node: NodeId, address: SocketAddr, now: Time) {
        self.tracker.track_by_hand(node);
        self.target(node, address, now);
    }

    /// Enters a connection, unless it must be closed. Each success is followed by one [`Self::gone`].
    ///
    /// # Errors
    /// As [`Refused`] says.
    pub fn admit(&mut self, node: NodeId) -> Result<(), Refused> {
        if node == self.me {
            return Err(Refused::Ourselves);
        }
        if self.open.contains_key(&node) {
            return Err(Refused::Duplicate);
        }
        if self.open.len() >= self.max_connections {
            return Err(Refused::Full);
        }
        self.open.insert(node, false);
        Ok(())
    }

    /// The handshake of an admitted connection is over.
    pub fn connected(&mut self, claim: ClaimedIp, subnets: BTreeSet<Id>) {
        if let Some(is_connected) = self.open.get_mut(&claim.node) {
            *is_connected = true;
            self.targets.remove(&claim.node);
            self.tracker.connected(claim, subnets);
        }
    }

    /// An admitted connection ended. A wanted node is dialled again.
    pub fn gone(&mut self, node: NodeId, now: Time) {
        self.tracker.disconnected(node);
        if self.open.remove(&node) == Some(true)
            && self.tracker.wants(node)
            && let Some(address) = self.tracker.address(node)
        {
            self.target(node, address, now);
        }
    }

    /// Takes what a peer told. `max_timestamp` in Unix seconds.
    ///
    /// # Errors
    /// A signature that does not hold.
    pub fn discovered(
        &mut self,
        claims: Vec<ClaimedIp>,
        max_timestamp: u64,
        now: Time,
    ) -> Result<(), ClaimError> {
        for (node, address) in self.tracker.receive(claims, max_timestamp)? {
            self.target(node, address, now);
        }
        Ok(())
    }

    /// A dial is over, with or without a connection.
    pub fn dialled(&mut self, node: NodeId, now: Time) {
        let random = self.random.next_u32();
        if let Some(target) = self.targets.get_mut(&node) {
            target.delay = next_delay(target.delay, random);
            target.next = Some(now.after(target.delay));
        }
    }

    /// What is due.
    pub fn due(&mut self, now: Time) -> Vec<Action> {
        let mut actions = Vec::new();
        let (tracker, open) = (&self.tracker, &self.open);
        self.targets.retain(|node, _| *node != self.me && tracker.wants(*node));
        for (node, target) in &mut self.targets {
            if target.next.is_some_and(|next| next <= now) && !open.contains_key(node) {
                target.next = None;
                actions.push(Action::Dial(*node, target.address));
            }
        }
        if self.next_gossip <= now {
            self.next_gossip = now.after(GOSSIP_PERIOD);
            let connected: Vec<_> =
                self.open.iter().filter(|(_, done)| **done).map(|(node, _)| *node).collect();
            let len = u64::try_from(connected.len()).unwrap_or(u64::MAX).max(1);
            let drawn = usize::try_from(self.random.next_u64() % len).unwrap_or_default();
            actions.extend(connected.get(drawn).map(|node| Action::AskPeers(*node)));
        }
        if self.next_filter <= now {
            self.next_filter = now.after(FILTER_PERIOD);
            self.tracker.reset_filter();
        }
        actions
    }

    fn target(&mut self, node: NodeId, address: SocketAddr, now: Time) {
        match self.targets.get_mut(&node) {
            Some(target) => target.address = address,
            None => {
                self.targets.insert(node, Target { address, next: Some(now), delay: Duration::ZERO });
            }
        }
    }
}

/// Doubles at most, by a random part; near the longest it stays between three quarters of it and the whole.
fn next_delay(delay: Duration, random: u32) -> Duration {
    let delay = delay.max(FIRST_DELAY);
    let part = |whole: Duration| whole.saturating_mul(random >> 16) / (1 << 16);
    let next = delay.saturating_add(part(delay));
    if next <= LONGEST_DELAY { next } else { LONGEST_DELAY.saturating_mul(3) / 4 + part(LONGEST_DELAY / 4) }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NODE: NodeId = NodeId([1; 20]);
    const ME: NodeId = NodeId([9; 20]);

    fn hub() -> Hub {
        let tracker = Tracker::new(BTreeSet::new(), false, [1; 32]);
        Hub::new(ME, 2, tracker, [2; 32], Time::ZERO)
    }

    fn address() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 9651))
    }

    #[test]
    fn a_second_connection_one_to_ourselves_and_one_too_many_are_refused() {
        let mut hub = hub();
        assert_eq!(hub.admit(ME), Err(Refused::Ourselves));
        assert_eq!(hub.admit(NODE), Ok(()));
        assert_eq!(hub.admit(NODE), Err(Refused::Duplicate));
        assert_eq!(hub.admit(NodeId([2; 20])), Ok(()));
        assert_eq!(hub.admit(NodeId([3; 20])), Err(Refused::Full));
        hub.gone(NODE, Time::ZERO);
        assert_eq!(hub.admit(NODE), Ok(()));
    }

    #[test]
    fn a_wanted_node_is_dialled_with_growing_delays_and_not_while_connected() {
        let mut hub = hub();
        hub.track_by_hand(NODE, address(), Time::ZERO);
        assert_eq!(hub.due(Time::ZERO), [Action::Dial(NODE, address())]);
        assert_eq!(hub.due(Time::from_millis(1)), [], "a dial is under way");
        hub.dialled(NODE, Time::ZERO);
        assert_eq!(hub.due(Time::from_millis(999)), []);
        assert_eq!(hub.due(Time::from_millis(1999)), [Action::Dial(NODE, address())]);
        hub.dialled(NODE, Time::from_millis(1999));
        hub.admit(NODE).unwrap();
        assert!(!hub.due(Time::from_millis(60_000)).contains(&Action::Dial(NODE, address())));
    }

    #[test]
    fn delays_grow_to_at_most_a_minute() {
        assert_eq!(next_delay(Duration::ZERO, 0), FIRST_DELAY);
        assert!(next_delay(FIRST_DELAY, u32::MAX) < FIRST_DELAY * 2);
        assert_eq!(next_delay(LONGEST_DELAY, u32::MAX >> 1).as_secs(), 52);
        assert!(next_delay(Duration::from_secs(59), u32::MAX) <= LONGEST_DELAY);
    }

    #[test]
    fn nobody_is_asked_for_addresses_before_a_handshake_is_over() {
        let mut hub = hub();
        hub.admit(NODE).unwrap();
        assert_eq!(hub.due(Time::ZERO.after(GOSSIP_PERIOD)), []);
    }
}
