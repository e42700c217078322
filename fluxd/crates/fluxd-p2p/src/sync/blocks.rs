//! Downloads bodies along the best chain of headers: many peers at once, a bounded number each, in a window that begins
//! at the first missing block. Who holds up the window is asked no more for that block, then parted from.
//!
//! What is wanted comes from the node, which knows the chain; who has what is a height per peer, up to which the peer's
//! chain is ours.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use fluxd_primitives::BlockHash;
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use super::PeerKey;

/// Blocks asked of one peer at once (`MAX_BLOCKS_IN_TRANSIT_PER_PEER`).
pub const PER_PEER: usize = 128;
/// Blocks asked in one message, so that fast peers get more than slow ones. Never asked singly as others come: a peer
/// queues few messages, and one that it drops is a block that never comes.
const PER_REQUEST: usize = 16;
/// How far ahead of the first missing block we download.
pub const WINDOW: u32 = 1024;
/// Who holds up the window is given so long (`BLOCK_STALLING_TIMEOUT`).
const STALL: Duration = Duration::from_secs(2);
/// A peer that delivers nothing for so long is parted from.
const SILENCE: Duration = Duration::from_secs(60);

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A peer that serves blocks is there.
    Ready(PeerKey),
    /// A peer is gone.
    Gone(PeerKey),
    /// Up to this height the peer's chain is our best chain of headers.
    Has(PeerKey, u32),
    /// The missing blocks of the best chain of headers, lowest first; replaces what was wanted before.
    Wanted(Vec<(u32, BlockHash)>),
    /// A body has come.
    Received(PeerKey, BlockHash),
    /// A peer does not have a block that it was asked for.
    Missing(PeerKey, BlockHash),
    /// Bodies wait for the chain: ask for no more until it has caught up.
    Busy(bool),
    /// Time has passed.
    Tick,
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send `getdata`.
    Ask(PeerKey, Vec<BlockHash>),
    /// The wanted list runs dry: send another.
    More,
    /// Part from a peer that holds up the others, or delivers nothing.
    Drop(PeerKey),
}

#[derive(Debug, Default)]
struct State {
    height: Option<u32>,
    asked: BTreeSet<BlockHash>,
    /// When it last delivered, or was asked after a pause.
    active: Time,
    stalling: Option<Time>,
}

/// Whom to ask for bodies.
#[derive(Debug, Default)]
pub struct BlockSync {
    peers: BTreeMap<PeerKey, State>,
    /// Wanted and not asked for, lowest first.
    queue: VecDeque<(u32, BlockHash)>,
    /// Asked for: height and of whom.
    flight: BTreeMap<BlockHash, (u32, PeerKey)>,
    busy: bool,
}

impl BlockSync {
    /// Blocks that are on their way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flight.len()
    }

    /// Heights of the blocks on their way from one peer.
    #[must_use]
    pub fn in_flight_from(&self, key: PeerKey) -> Vec<u32> {
        self.flight.values().filter(|(_, peer)| *peer == key).map(|(height, _)| *height).collect()
    }

    /// Whether this block was asked of this peer.
    #[must_use]
    pub fn is_asked(&self, key: PeerKey, hash: &BlockHash) -> bool {
        self.flight.get(hash).is_some_and(|(_, peer)| *peer == key)
    }

    fn give_back(&mut self, key: PeerKey) {
        let lost: Vec<(u32, BlockHash)> = self
            .flight
            .iter()
            .filter(|(_, (_, peer))| *peer == key)
            .map(|(hash, (height, _))| (*height, *hash))
            .collect();
        for (height, hash) in lost {
            self.flight.remove(&hash);
            self.put_back(height, hash);
        }
    }

    fn put_back(&mut self, height: u32, hash: BlockHash) {
        let at = self.queue.partition_point(|(other, _)| *other < height);
        self.queue.insert(at, (height, hash));
    }

    fn received(&mut self, now: Time, key: PeerKey, hash: &BlockHash) {
        if let Some((_, asked)) = self.flight.remove(hash)
            && let Some(state) = self.peers.get_mut(&asked)
        {
            state.asked.remove(hash);
            if asked == key {
                state.active = now;
                state.stalling = None;
            }
        }
        self.queue.retain(|(_, queued)| queued != hash);
    }

    fn wanted(&mut self, list: Vec<(u32, BlockHash)>) {
        let hashes: BTreeSet<BlockHash> = list.iter().map(|(_, hash)| *hash).collect();
        let stale: Vec<BlockHash> =
            self.flight.keys().filter(|hash| !hashes.contains(*hash)).copied().collect();
        for hash in stale {
            if let Some((_, key)) = self.flight.remove(&hash)
                && let Some(state) = self.peers.get_mut(&key)
            {
                state.asked.remove(&hash);
            }
        }
        self.queue = list.into_iter().filter(|(_, hash)| !self.flight.contains_key(hash)).collect();
    }

    /// The lowest height that is still missing.
    fn front(&self) -> Option<u32> {
        let queued = self.queue.front().map(|(height, _)| *height);
        let flying = self.flight.values().map(|(height, _)| *height).min();
        queued.into_iter().chain(flying).min()
    }

    fn assign(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(front) = self.front().filter(|_| !self.busy) else { return };
        let end = front.saturating_add(WINDOW);
        loop {
            // Whoever has the fewest on the way is next, so that the work spreads.
            let mut keys: Vec<(usize, PeerKey)> =
                self.peers.iter().map(|(key, state)| (state.asked.len(), *key)).collect();
            keys.sort_unstable();
            let given = keys
                .into_iter()
                .any(|(load, key)| load + PER_REQUEST <= PER_PEER && self.assign_to(now, key, end, out));
            if !given {
                break;
            }
        }
        self.look_for_staller(now, end);
    }

    fn assign_to(&mut self, now: Time, key: PeerKey, end: u32, out: &mut Vec<Effect>) -> bool {
        let Some(state) = self.peers.get_mut(&key) else { return false };
        let Some(has) = state.height else { return false };
        let mut taken = Vec::new();
        while let Some((height, hash)) = self
            .queue
            .pop_front_if(|(height, _)| taken.len() < PER_REQUEST && *height <= has && *height < end)
        {
            self.flight.insert(hash, (height, key));
            taken.push(hash);
        }
        if taken.is_empty() {
            return false;
        }
        if state.asked.is_empty() {
            state.active = now;
        }
        state.asked.extend(&taken);
        out.push(Effect::Ask(key, taken));
        true
    }

    /// The window is full and somebody is idle: who owes the first block of it has little time left.
    fn look_for_staller(&mut self, now: Time, end: u32) {
        let blocked = self.queue.front().is_some_and(|(height, _)| *height >= end);
        let idle = self.peers.values().any(|state| state.asked.is_empty() && state.height.is_some());
        let first = self.flight.values().min().map(|(_, key)| *key);
        if let (true, Some(key)) = (blocked && idle, first)
            && let Some(state) = self.peers.get_mut(&key)
        {
            state.stalling.get_or_insert(now);
        }
    }

    fn expire(&mut self, now: Time, out: &mut Vec<Effect>) {
        let late: Vec<PeerKey> = self
            .peers
            .iter()
            .filter(|(_, state)| {
                let stalled = state.stalling.is_some_and(|since| now.since(since) >= STALL);
                let silent = !state.asked.is_empty() && now.since(state.active) >= SILENCE;
                !self.busy && (stalled || silent)
            })
            .map(|(key, _)| *key)
            .collect();
        for key in late {
            self.give_back(key);
            self.peers.remove(&key);
            out.push(Effect::Drop(key));
        }
    }
}

impl Machine for BlockSync {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Ready(key) => {
                self.peers.insert(key, State { active: now, ..State::default() });
            }
            Input::Gone(key) => {
                self.give_back(key);
                self.peers.remove(&key);
            }
            Input::Has(key, height) => {
                if let Some(state) = self.peers.get_mut(&key) {
                    state.height = Some(height);
                }
            }
            Input::Wanted(list) => self.wanted(list),
            Input::Received(key, hash) => {
                self.received(now, key, &hash);
                if self.queue.is_empty() && self.flight.len() < PER_REQUEST {
                    out.push(Effect::More);
                }
            }
            Input::Missing(key, hash) => {
                if let Some(state) = self.peers.get_mut(&key)
                    && state.asked.remove(&hash)
                    && let Some((height, _)) = self.flight.remove(&hash)
                {
                    // It has none of the following either, until it tells of them again.
                    state.height = state.height.map(|has| has.min(height.saturating_sub(1)));
                    self.put_back(height, hash);
                }
            }
            Input::Busy(busy) => {
                if self.busy && !busy {
                    // The pause was ours: nobody was slow meanwhile.
                    for state in self.peers.values_mut() {
                        state.active = now;
                        state.stalling = None;
                    }
                }
                self.busy = busy;
            }
            Input::Tick => {}
        }
        self.expire(now, out);
        self.assign(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        if self.busy {
            return None;
        }
        let stalls = self.peers.values().filter_map(|state| state.stalling.map(|at| at.after(STALL)));
        let silences = self
            .peers
            .values()
            .filter(|state| !state.asked.is_empty())
            .map(|state| state.active.after(SILENCE));
        stalls.chain(silences).min()
    }
}
