//! Whom to dial and when: nodes of the configuration always, discovered ones while places are free.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use serde::{Deserialize, Serialize};
use shared_vendor::{clock::Time, limit::Backoff};

use crate::{config::Enode, net::score::Block, rlpx::NodeId};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Discovered nodes that are remembered.
const MAX_CANDIDATES: usize = 512;
/// Dialled nodes of one neighbourhood, loopback and configured ones exempt.
const PER_NEIGHBOURHOOD: usize = 2;
/// Nodes that are dialled first after a restart.
const ANCHORS: usize = 4;
/// How often a node that never answered is tried beside the connections that are there.
const FEELER_EVERY: Duration = Duration::from_secs(120);

/// The nodes that may be dialled.
#[derive(Debug)]
pub(super) struct Dialler {
    candidates: BTreeMap<NodeId, Candidate>,
    /// Since when.
    connected: BTreeMap<NodeId, Time>,
    wanted: usize,
    next_feeler: Time,
    feeling: BTreeSet<NodeId>,
    random: StdRng,
}

#[derive(Debug)]
struct Candidate {
    address: SocketAddr,
    standing: Standing,
    next: Time,
    pause: Backoff,
    /// An attempt is under way.
    trying: bool,
}

/// The higher, the earlier it is dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    /// Somebody named it.
    Heard,
    /// It has answered.
    Known,
    /// It was connected for long when the last run ended.
    Anchor,
    /// The configuration names it.
    Fixed,
}

impl Candidate {
    fn new(address: SocketAddr, standing: Standing) -> Self {
        let pause = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        Self { address, standing, next: Time::ZERO, pause, trying: false }
    }

    fn neighbourhood(&self) -> Option<Block> {
        let ip = self.address.ip().to_canonical();
        (self.standing != Standing::Fixed && !ip.is_loopback()).then(|| Block::neighbourhood(ip))
    }
}

/// A node in the file of known nodes.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    id: String,
    address: SocketAddr,
    standing: Standing,
}

impl Dialler {
    /// `known` is what [`Dialler::save`] wrote in an earlier run.
    pub(super) fn new(fixed: &[Enode], known: &str, wanted: usize, random: StdRng) -> Self {
        let lines: Vec<Line> = serde_json::from_str(known).unwrap_or_default();
        let known = lines.into_iter().filter(|line| line.standing != Standing::Fixed).take(MAX_CANDIDATES);
        let known = known
            .filter_map(|line| Some((line.id.parse().ok()?, Candidate::new(line.address, line.standing))));
        let mut candidates: BTreeMap<NodeId, Candidate> = known.collect();
        candidates.extend(fixed.iter().map(|node| (node.id, Candidate::new(node.address, Standing::Fixed))));
        let next_feeler = Time::ZERO.after(FEELER_EVERY);
        Self { candidates, connected: BTreeMap::new(), wanted, next_feeler, feeling: BTreeSet::new(), random }
    }

    /// The nodes to remember: those that have answered, the longest connected of them as anchors, then others.
    pub(super) fn save(&self) -> String {
        let mut connected: Vec<_> = self.connected.iter().collect();
        connected.sort_by_key(|(_, since)| **since);
        let mut anchors: Vec<NodeId> = Vec::new();
        for (id, _) in connected {
            let known =
                |id: &NodeId| self.candidates.get(id).filter(|known| known.standing != Standing::Fixed);
            let Some(candidate) = known(id) else { continue };
            let elsewhere = |other: &NodeId| {
                let place = candidate.neighbourhood();
                place.is_none() || known(other).and_then(Candidate::neighbourhood) != place
            };
            if anchors.len() < ANCHORS && anchors.iter().all(elsewhere) {
                anchors.push(*id);
            }
        }
        let mut lines: Vec<Line> = self
            .candidates
            .iter()
            .filter(|(_, candidate)| candidate.standing != Standing::Fixed)
            .map(|(id, candidate)| Line {
                id: id.to_string(),
                address: candidate.address,
                standing: match candidate.standing {
                    _ if anchors.contains(id) => Standing::Anchor,
                    Standing::Heard => Standing::Heard,
                    _ => Standing::Known,
                },
            })
            .collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.standing));
        serde_json::to_string_pretty(&lines).unwrap_or_default()
    }

    pub(super) fn found(&mut self, id: NodeId, address: SocketAddr) {
        if self.candidates.len() >= MAX_CANDIDATES && !self.candidates.contains_key(&id) {
            // Room is made at the expense of somebody who never answered, so that a flood of names replaces only names.
            let names: Vec<NodeId> = self
                .candidates
                .iter()
                .filter(|(id, other)| other.standing == Standing::Heard && !self.connected.contains_key(id))
                .map(|(id, _)| *id)
                .collect();
            let Some(forgotten) = names.choose(&mut self.random) else { return };
            self.candidates.remove(forgotten);
        }
        match self.candidates.get_mut(&id) {
            Some(known) if known.standing != Standing::Fixed => known.address = address,
            Some(_) => {}
            None => drop(self.candidates.insert(id, Candidate::new(address, Standing::Heard))),
        }
    }

    pub(super) fn lost(&mut self, id: &NodeId) {
        if self.candidates.get(id).is_some_and(|known| known.standing == Standing::Heard) {
            self.candidates.remove(id);
        }
    }

    pub(super) fn discovered(&self) -> f64 {
        let count = self.candidates.values().filter(|known| known.standing != Standing::Fixed).count();
        u32::try_from(count).map_or(f64::MAX, f64::from)
    }

    /// A connection is ready. True when it was only to see whether the node answers, and there is no place for it.
    pub(super) fn connected(&mut self, now: Time, id: &NodeId, outbound: usize) -> bool {
        self.connected.insert(*id, now);
        if let Some(candidate) = self.candidates.get_mut(id) {
            candidate.pause.reset();
            candidate.trying = false;
            candidate.standing = candidate.standing.max(Standing::Known);
        }
        self.feeling.remove(id) && outbound > self.wanted
    }

    /// A connection, or an attempt at one, is gone.
    pub(super) fn closed(&mut self, now: Time, id: &NodeId) {
        self.connected.remove(id);
        self.feeling.remove(id);
        if let Some(candidate) = self.candidates.get_mut(id) {
            candidate.trying = false;
            candidate.next = now.after(candidate.pause.delay(self.random.next_u32()));
        }
    }

    /// Whom to dial now: those that the configuration names, and while there are places the anchors of the last run,
    /// nodes that have answered before, others; among equals by lot, and at most two of a neighbourhood. Now and then,
    /// with all places taken, one that never answered is tried, so that there are others to turn to.
    pub(super) fn due(&mut self, now: Time, outbound: usize) -> Vec<(NodeId, SocketAddr)> {
        let mut places = self.wanted.saturating_sub(outbound);
        let mut due = Vec::new();
        let is_due = |id: &NodeId, known: &Candidate| {
            known.next <= now && !known.trying && !self.connected.contains_key(id)
        };
        let mut waiting: Vec<_> = self
            .candidates
            .iter()
            .filter(|(id, known)| is_due(id, known))
            .map(|(id, known)| (known.standing, *id))
            .collect();
        let mut lots: BTreeMap<NodeId, u32> = BTreeMap::new();
        for (_, id) in &waiting {
            lots.insert(*id, self.random.next_u32());
        }
        waiting.sort_by_key(|(standing, id)| (std::cmp::Reverse(*standing), lots.get(id).copied()));
        for (standing, id) in &waiting {
            if (places == 0 && *standing != Standing::Fixed) || self.is_crowded(id) {
                continue;
            }
            places = places.saturating_sub(1);
            due.extend(self.attempt(now, id));
        }
        if outbound >= self.wanted && self.wanted > 0 && now >= self.next_feeler {
            self.next_feeler = now.after(FEELER_EVERY);
            let heard =
                waiting.iter().find(|(standing, id)| *standing == Standing::Heard && !self.is_crowded(id));
            if let Some((_, id)) = heard.copied() {
                self.feeling.insert(id);
                due.extend(self.attempt(now, &id));
            }
        }
        due
    }

    fn attempt(&mut self, now: Time, id: &NodeId) -> Option<(NodeId, SocketAddr)> {
        let candidate = self.candidates.get_mut(id)?;
        candidate.trying = true;
        candidate.next = now.after(LONGEST_PAUSE);
        Some((*id, candidate.address))
    }

    /// Enough nodes of its neighbourhood are connected or being dialled.
    fn is_crowded(&self, id: &NodeId) -> bool {
        let Some(place) = self.candidates.get(id).and_then(Candidate::neighbourhood) else { return false };
        let near = |(id, other): &(&NodeId, &Candidate)| {
            (other.trying || self.connected.contains_key(id)) && other.neighbourhood() == Some(place)
        };
        self.candidates.iter().filter(near).count() >= PER_NEIGHBOURHOOD
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::rlpx::NodeKey;

    fn dialler(fixed: &[Enode], known: &str, wanted: usize) -> Dialler {
        Dialler::new(fixed, known, wanted, StdRng::seed_from_u64(1))
    }

    fn node(number: u8) -> NodeId {
        NodeKey::from_bytes([number; 32]).unwrap().id()
    }

    fn at(first: u8, last: u8) -> SocketAddr {
        SocketAddr::from(([first, 7, 3, last], 5050))
    }

    #[test]
    fn fixed_nodes_are_always_dialled_and_failures_wait_longer_each_time() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let fixed = Enode { id: NodeId([1; 64]), address };
        let mut dialler = dialler(&[fixed], "", 0);
        dialler.found(NodeId([2; 64]), address);
        let mut now = Time::from_millis(1);
        let mut waits = Vec::new();
        for _ in 0..5 {
            assert_eq!(dialler.due(now, 0), [(fixed.id, address)]);
            assert_eq!(dialler.due(now, 0), []);
            dialler.closed(now, &fixed.id);
            let begun = now;
            let waiting = |dialler: &Dialler, now| {
                dialler.candidates.values().any(|known| known.standing == Standing::Fixed && known.next > now)
            };
            while waiting(&dialler, now) {
                now = now.after(Duration::from_millis(10));
            }
            waits.push(now.since(begun));
        }
        assert!(waits.is_sorted() && waits[4] >= Duration::from_secs(8), "{waits:?}");
        assert!(!dialler.connected(now, &fixed.id, 1));
        assert_eq!(dialler.due(now, 0), []);
    }

    #[test]
    fn at_most_two_nodes_of_a_neighbourhood_are_dialled() {
        let mut dialler = dialler(&[], "", 8);
        for number in 1..=200 {
            dialler.found(node(number), at(20, number));
        }
        dialler.found(node(201), at(30, 1));
        let due = dialler.due(Time::from_millis(1), 0);
        let of = |first: u8| {
            let place = Block::neighbourhood(at(first, 1).ip());
            due.iter().filter(|(_, address)| Block::neighbourhood(address.ip()) == place).count()
        };
        assert_eq!((of(20), of(30), due.len()), (2, 1, 3));
    }

    #[test]
    fn the_longest_connected_nodes_are_dialled_first_after_a_restart() {
        let mut first = dialler(&[], "", 3);
        for number in 1..=40 {
            first.found(node(number), at(number, 1));
        }
        let now = Time::from_millis(1);
        for (id, _) in first.due(now, 0) {
            first.connected(now, &id, 1);
        }
        let longest: BTreeSet<NodeId> = first.connected.keys().copied().collect();
        for number in 1..=40 {
            if !longest.contains(&node(number)) {
                first.connected(now.after(Duration::from_secs(60)), &node(number), 3);
            }
        }
        let mut second = dialler(&[], &first.save(), 3);
        let anchors = second.candidates.iter().filter(|(_, known)| known.standing == Standing::Anchor);
        let anchors: BTreeSet<NodeId> = anchors.map(|(id, _)| *id).collect();
        assert!(longest.len() == 3 && longest.is_subset(&anchors) && anchors.len() == ANCHORS);
        assert!(second.due(Time::from_millis(1), 0).iter().all(|(id, _)| anchors.contains(id)));
        assert_eq!(second.candidates.len(), 40);
    }

    #[test]
    fn with_all_places_taken_a_node_that_never_answered_is_felt_for_now_and_then() {
        let mut dialler = dialler(&[], "", 2);
        for number in 1..=5 {
            dialler.found(node(number), at(number, 1));
        }
        let mut now = Time::from_millis(1);
        for (id, _) in dialler.due(now, 0) {
            assert!(!dialler.connected(now, &id, 2));
        }
        assert_eq!(dialler.due(now, 2), []);
        now = now.after(FEELER_EVERY);
        let felt = dialler.due(now, 2);
        assert_eq!(felt.len(), 1);
        assert!(dialler.connected(now, &felt[0].0, 3), "there is no place for it");
        dialler.closed(now, &felt[0].0);
        assert_eq!(dialler.candidates[&felt[0].0].standing, Standing::Known);
        assert_eq!(dialler.due(now, 2), []);
    }

    #[test]
    fn a_flood_of_names_replaces_only_names() {
        let mut dialler = dialler(&[], "", 2);
        dialler.found(node(1), at(1, 1));
        dialler.connected(Time::ZERO, &node(1), 1);
        dialler.closed(Time::ZERO, &node(1));
        for number in 0..2_000_u32 {
            let mut id = [9; 64];
            id[..4].copy_from_slice(&number.to_be_bytes());
            dialler.found(NodeId(id), at(66, 1));
        }
        assert_eq!(dialler.candidates.len(), MAX_CANDIDATES);
        assert!(dialler.candidates.contains_key(&node(1)));
    }
}
