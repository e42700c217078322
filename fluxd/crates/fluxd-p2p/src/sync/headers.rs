//! Asks peers for headers: one peer while we are far behind, all of them near the present. A peer that leaves a request
//! unanswered loses its turn, and is parted from if it was the one we depended on.
//!
//! The node builds locators and verifies what comes: this machine only decides whom to ask next. The reference server
//! is silent while it syncs itself, so a missing answer alone is no offence.

use std::{collections::BTreeMap, time::Duration};

use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use super::PeerKey;

/// How long an answer to `getheaders` may take.
const ANSWER: Duration = Duration::from_secs(30);
/// Peers that did not answer are asked again after so long.
const AGAIN: Duration = Duration::from_secs(120);
/// Header messages that may wait for the chain, per peer: more would let one peer fill our memory. A peer that makes blocks
/// on demand announces each of them at once.
const MAX_PENDING: usize = 200;

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A peer that serves blocks is there; it claims this height.
    Ready(PeerKey, u32),
    /// A peer is gone.
    Gone(PeerKey),
    /// Header messages have come and wait for the chain.
    Received(PeerKey),
    /// The chain has taken them: the batch was full, the last of them is of this height, and how many were new.
    Accepted {
        /// From whom.
        peer: PeerKey,
        /// The message held as many as one can: there may be more.
        full: bool,
        /// Height of the last header.
        height: u32,
        /// How many of them were unknown before.
        new: usize,
    },
    /// The chain has refused them; the node scores the peer.
    Refused(PeerKey),
    /// A peer announced a block whose header is unknown.
    Announced(PeerKey),
    /// Our best header is near the present: every peer is asked.
    NearPresent(bool),
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
    /// Send `getheaders`; `Some` height: continue behind the header of that height that this peer sent last.
    Ask(PeerKey, Start),
    /// Part from a peer that does not deliver.
    Drop(PeerKey),
    /// Too many header messages at once, or the same again.
    Flood(PeerKey),
}

/// Where a request begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Behind our best header.
    Best,
    /// Behind the last header that the peer sent.
    Last,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    height: u32,
    asked: Option<Time>,
    /// Asked a second time while an answer was owed: the same batch may come twice, by our own doing.
    twice: bool,
    pending: usize,
    /// How far its full batches reached: one that reaches no farther is a repetition, and must not make us ask again.
    told: u32,
    /// Has told all that it has, for now.
    done: bool,
    /// Not before.
    rest_until: Option<Time>,
}

/// Whom to ask for headers.
#[derive(Debug, Default)]
pub struct HeaderSync {
    peers: BTreeMap<PeerKey, State>,
    /// The one that is asked while we are far behind.
    leader: Option<PeerKey>,
    near: bool,
}

impl HeaderSync {
    /// The peer that headers come from while we are far behind.
    #[must_use]
    pub fn leader(&self) -> Option<PeerKey> {
        self.leader
    }

    fn ask(&mut self, now: Time, key: PeerKey, from: Start, out: &mut Vec<Effect>) {
        if let Some(state) = self.peers.get_mut(&key) {
            state.asked = Some(now);
            state.done = false;
            out.push(Effect::Ask(key, from));
        }
    }

    /// Starts whatever may be started now.
    fn schedule(&mut self, now: Time, out: &mut Vec<Effect>) {
        let free = |state: &State| {
            state.asked.is_none()
                && state.pending == 0
                && !state.done
                && state.rest_until.is_none_or(|at| at <= now)
        };
        if self.near {
            self.leader = None;
            let idle: Vec<PeerKey> =
                self.peers.iter().filter(|(_, state)| free(state)).map(|(key, _)| *key).collect();
            for key in idle {
                self.ask(now, key, Start::Best, out);
            }
            return;
        }
        if self.leader.is_none() {
            let best =
                self.peers.iter().filter(|(_, state)| free(state)).max_by_key(|(_, state)| state.height);
            if let Some(key) = best.map(|(key, _)| *key) {
                self.leader = Some(key);
                self.ask(now, key, Start::Best, out);
            }
        }
    }

    fn expire(&mut self, now: Time, out: &mut Vec<Effect>) {
        let several = self.peers.len() > 1;
        for (key, state) in &mut self.peers {
            if state.asked.is_some_and(|at| now.since(at) >= ANSWER) {
                (state.asked, state.twice) = (None, false);
                state.rest_until = Some(now.after(AGAIN));
                if self.leader == Some(*key) {
                    self.leader = None;
                    if several {
                        out.push(Effect::Drop(*key));
                    }
                }
            }
            if state.rest_until.is_some_and(|at| at <= now) {
                state.rest_until = None;
            }
        }
    }
}

impl Machine for HeaderSync {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Ready(key, height) => {
                self.peers.insert(key, State { height, ..State::default() });
            }
            Input::Gone(key) => {
                self.peers.remove(&key);
                self.leader = self.leader.filter(|leader| *leader != key);
            }
            Input::Received(key) => {
                if let Some(state) = self.peers.get_mut(&key) {
                    state.asked = None;
                    state.pending = state.pending.saturating_add(1);
                    if state.pending > MAX_PENDING {
                        out.push(Effect::Flood(key));
                    }
                }
            }
            Input::Accepted { peer, full, height, new } => {
                if let Some(state) = self.peers.get_mut(&peer) {
                    state.pending = state.pending.saturating_sub(1);
                    state.height = state.height.max(height);
                    let farther = height > state.told;
                    state.told = state.told.max(height);
                    state.done = !full;
                    if full && !farther && state.twice {
                        state.twice = false;
                        state.asked = Some(now); // what follows the first copy is still owed
                        return;
                    }
                    state.twice &= full;
                    if full && farther {
                        // Known headers only: the peer is behind our best one, so go on from there.
                        self.ask(now, peer, if new > 0 { Start::Last } else { Start::Best }, out);
                    } else {
                        self.leader = self.leader.filter(|leader| *leader != peer);
                        if full {
                            out.push(Effect::Flood(peer));
                        }
                    }
                }
            }
            Input::Refused(key) => {
                if let Some(state) = self.peers.get_mut(&key) {
                    state.pending = state.pending.saturating_sub(1);
                    state.twice = false;
                    state.rest_until = Some(now.after(AGAIN));
                }
                self.leader = self.leader.filter(|leader| *leader != key);
            }
            Input::Announced(key) => {
                // Also while an answer is owed: who had nothing to tell before does not answer, and has something now.
                // Somebody else than the leader is asked too: the leader may be behind itself, and then never answers.
                let turn = self.near || self.leader.is_none_or(|leader| leader == key);
                let may = |state: &&mut State| !state.twice && (turn || state.asked.is_none());
                if let Some(state) = self.peers.get_mut(&key).filter(may) {
                    state.twice = state.asked.is_some();
                    self.ask(now, key, Start::Best, out);
                }
            }
            Input::NearPresent(near) => self.near = near,
            Input::Tick => {}
        }
        self.expire(now, out);
        self.schedule(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        let answers = self.peers.values().filter_map(|state| state.asked.map(|at| at.after(ANSWER)));
        let rests = self.peers.values().filter_map(|state| state.rest_until);
        answers.chain(rests).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(machine: &mut HeaderSync, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        machine.step(Time::ZERO, input, &mut out);
        out
    }

    #[test]
    fn a_batch_that_we_asked_for_twice_is_no_flood_and_the_next_copy_is() {
        let mut machine = HeaderSync::default();
        let key: PeerKey = 1;
        let accepted = Input::Accepted { peer: key, full: true, height: 160, new: 160 };
        assert_eq!(step(&mut machine, Input::Ready(key, 500)), [Effect::Ask(key, Start::Best)]);
        assert_eq!(step(&mut machine, Input::Announced(key)), [Effect::Ask(key, Start::Best)]);
        assert_eq!(step(&mut machine, Input::Announced(key)), [], "one more question is enough");
        for _ in 0..2 {
            step(&mut machine, Input::Received(key));
        }
        assert_eq!(step(&mut machine, accepted.clone()), [Effect::Ask(key, Start::Last)]);
        assert_eq!(step(&mut machine, accepted.clone()), []);
        assert!(machine.deadline().is_some(), "what follows is still owed");
        step(&mut machine, Input::Received(key));
        assert!(step(&mut machine, accepted).contains(&Effect::Flood(key)));
    }
}
