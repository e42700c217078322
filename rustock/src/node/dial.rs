//! Whom to dial and when: nodes of the configuration always, discovered ones while places are free.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use rand::{Rng, rngs::StdRng};
use shared_vendor::{clock::Time, limit::Backoff};

use crate::{config::Enode, rlpx::NodeId};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Discovered nodes that are remembered.
const MAX_CANDIDATES: usize = 512;

/// The nodes that may be dialled.
#[derive(Debug)]
pub(super) struct Dialler {
    candidates: BTreeMap<NodeId, Candidate>,
    connected: BTreeSet<NodeId>,
    wanted: usize,
    random: StdRng,
}

#[derive(Debug)]
struct Candidate {
    address: SocketAddr,
    /// Named in the configuration.
    fixed: bool,
    next: Time,
    pause: Backoff,
}

impl Candidate {
    fn new(address: SocketAddr, fixed: bool) -> Self {
        Self { address, fixed, next: Time::ZERO, pause: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE) }
    }
}

impl Dialler {
    pub(super) fn new(fixed: &[Enode], wanted: usize, random: StdRng) -> Self {
        let candidates = fixed.iter().map(|node| (node.id, Candidate::new(node.address, true))).collect();
        Self { candidates, connected: BTreeSet::new(), wanted, random }
    }

    pub(super) fn found(&mut self, id: NodeId, address: SocketAddr) {
        let room = self.candidates.len() < MAX_CANDIDATES;
        match self.candidates.get_mut(&id) {
            Some(known) if !known.fixed => known.address = address,
            None if room => drop(self.candidates.insert(id, Candidate::new(address, false))),
            _ => {}
        }
    }

    pub(super) fn lost(&mut self, id: &NodeId) {
        if self.candidates.get(id).is_some_and(|known| !known.fixed) {
            self.candidates.remove(id);
        }
    }

    pub(super) fn discovered(&self) -> f64 {
        let count = self.candidates.values().filter(|candidate| !candidate.fixed).count();
        u32::try_from(count).map_or(f64::MAX, f64::from)
    }

    pub(super) fn connected(&mut self, id: &NodeId) {
        self.connected.insert(*id);
        if let Some(candidate) = self.candidates.get_mut(id) {
            candidate.pause.reset();
        }
    }

    /// A connection, or an attempt at one, is gone.
    pub(super) fn closed(&mut self, now: Time, id: &NodeId) {
        self.connected.remove(id);
        if let Some(candidate) = self.candidates.get_mut(id) {
            candidate.next = now.after(candidate.pause.delay(self.random.next_u32()));
        }
    }

    /// Whom to dial now. Each is left alone until its attempt has ended.
    pub(super) fn due(&mut self, now: Time, outbound: usize) -> Vec<(NodeId, SocketAddr)> {
        let mut places = self.wanted.saturating_sub(outbound);
        let mut due = Vec::new();
        for (id, candidate) in &mut self.candidates {
            if candidate.next > now || self.connected.contains(id) || (places == 0 && !candidate.fixed) {
                continue;
            }
            places = places.saturating_sub(1);
            candidate.next = now.after(LONGEST_PAUSE);
            due.push((*id, candidate.address));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn fixed_nodes_are_always_dialled_and_failures_wait_longer_each_time() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let fixed = Enode { id: NodeId([1; 64]), address };
        let mut dialler = Dialler::new(&[fixed], 0, StdRng::seed_from_u64(1));
        dialler.found(NodeId([2; 64]), address);
        let mut now = Time::from_millis(1);
        let mut waits = Vec::new();
        for _ in 0..5 {
            assert_eq!(dialler.due(now, 0), [(fixed.id, address)]);
            assert_eq!(dialler.due(now, 0), []);
            dialler.closed(now, &fixed.id);
            let begun = now;
            while dialler.candidates.values().filter(|known| known.fixed).any(|known| known.next > now) {
                now = now.after(Duration::from_millis(10));
            }
            waits.push(now.since(begun));
        }
        assert!(waits.is_sorted() && waits[4] >= Duration::from_secs(8), "{waits:?}");
        dialler.connected(&fixed.id);
        assert_eq!(dialler.due(now, 0), []);
    }
}
