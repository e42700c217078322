//! Fetches the bodies that clients ask for: one peer after the other until one sends what the header commits to. Which
//! body that is, is checked outside; a peer that sent another one is told on.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use super::PeerKey;
use crate::{
    types::{BlockHash, BlockNumber},
    wire::rsk::{BlockId, Message},
};

/// A peer that has not answered by then is passed over.
const WAIT: Duration = Duration::from_secs(2);
/// Peers that are asked for the same body.
const TRIES: usize = 3;
/// A peer that did not answer is not asked again for so long: many nodes keep no bodies, and clients wait.
const LEFT_ALONE: Duration = Duration::from_secs(5 * 60);
/// Bodies that are looked for at once; one more is given up at once.
const MOST: usize = 256;

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A deadline has come.
    Tick,
    /// A client wants the body of this block.
    Want(BlockId),
    /// A peer says that it has this block and those below it.
    Announced(PeerKey, BlockNumber),
    /// A peer is gone.
    PeerGone(PeerKey),
    /// A peer sent a message; everything but an answer to a request of ours is ignored.
    Message(PeerKey, Message),
    /// Answer to [`Effect::Check`]: whether the body belongs to the block.
    Checked(BlockHash, PeerKey, bool),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send to this peer.
    Send(PeerKey, Message),
    /// Check what a peer sent; answered by [`Input::Checked`].
    Check {
        /// The block.
        hash: BlockHash,
        /// Who sent it.
        peer: PeerKey,
        /// Encoded transactions.
        transactions: Vec<Bytes>,
        /// Encoded headers of uncles.
        uncles: Vec<Bytes>,
        /// Encoded extension.
        extension: Option<Bytes>,
    },
    /// Nobody has the body.
    GiveUp(BlockHash),
    /// The peer sent what is not the block's body.
    Fault(PeerKey),
}

#[derive(Debug)]
struct Search {
    number: BlockNumber,
    tried: BTreeSet<PeerKey>,
    asked: Option<(PeerKey, u64, Time)>,
}

/// The state machine; see the module.
#[derive(Debug, Default)]
pub struct Bodies {
    heights: BTreeMap<PeerKey, BlockNumber>,
    /// Peers that did not answer, and until when they are left alone.
    silent: BTreeMap<PeerKey, Time>,
    searches: BTreeMap<BlockHash, Search>,
    /// Peers in the order of their turn.
    turn: VecDeque<PeerKey>,
    last_id: u64,
}

impl Machine for Bodies {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Tick => self.pass_over(now, out, |(_, _, deadline)| *deadline <= now),
            Input::Want(block) => self.want(now, block, out),
            Input::Announced(peer, number) => {
                if self.heights.insert(peer, number).is_none() {
                    self.turn.push_back(peer);
                }
            }
            Input::PeerGone(gone) => {
                self.heights.remove(&gone);
                self.silent.remove(&gone);
                self.turn.retain(|peer| *peer != gone);
                self.pass_over(now, out, |(peer, ..)| *peer == gone);
            }
            Input::Message(from, Message::BodyResponse { id, transactions, uncles, extension }) => {
                let asked = self.searches.iter_mut().find(
                    |(_, search)| matches!(search.asked, Some((peer, request, _)) if (peer, request) == (from, id)),
                );
                if let Some((hash, search)) = asked {
                    search.asked = None;
                    out.push(Effect::Check { hash: *hash, peer: from, transactions, uncles, extension });
                }
            }
            Input::Message(..) => {}
            Input::Checked(hash, _, true) => drop(self.searches.remove(&hash)),
            Input::Checked(hash, peer, false) => {
                out.push(Effect::Fault(peer));
                self.ask(now, hash, out);
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.searches.values().filter_map(|search| search.asked.map(|(_, _, deadline)| deadline)).min()
    }
}

impl Bodies {
    fn want(&mut self, now: Time, block: BlockId, out: &mut Vec<Effect>) {
        if self.searches.contains_key(&block.hash) {
            return;
        }
        if self.searches.len() >= MOST {
            return out.push(Effect::GiveUp(block.hash));
        }
        let search = Search { number: block.number, tried: BTreeSet::new(), asked: None };
        self.searches.insert(block.hash, search);
        self.ask(now, block.hash, out);
    }

    fn pass_over(&mut self, now: Time, out: &mut Vec<Effect>, over: impl Fn(&(PeerKey, u64, Time)) -> bool) {
        let late = self.searches.iter().filter(|(_, search)| search.asked.as_ref().is_some_and(&over));
        let late: Vec<_> = late.map(|(hash, search)| (*hash, search.asked.map(|(peer, ..)| peer))).collect();
        for (hash, peer) in late {
            self.silent.extend(
                peer.filter(|peer| self.heights.contains_key(peer)).map(|peer| (peer, now.after(LEFT_ALONE))),
            );
            self.ask(now, hash, out);
        }
    }

    /// Asks the next peer in turn that may have the block.
    fn ask(&mut self, now: Time, hash: BlockHash, out: &mut Vec<Effect>) {
        let Some(search) = self.searches.get_mut(&hash) else { return };
        let may_have = |peer: &PeerKey| {
            !search.tried.contains(peer)
                && self.silent.get(peer).is_none_or(|until| *until <= now)
                && self.heights.get(peer).is_some_and(|height| *height >= search.number)
        };
        let next = self.turn.iter().position(may_have).filter(|_| search.tried.len() < TRIES);
        let Some(peer) = next.and_then(|at| self.turn.remove(at)) else {
            self.searches.remove(&hash);
            return out.push(Effect::GiveUp(hash));
        };
        self.turn.push_back(peer);
        self.last_id = self.last_id.wrapping_add(1);
        search.tried.insert(peer);
        search.asked = Some((peer, self.last_id, now.after(WAIT)));
        out.push(Effect::Send(peer, Message::BodyRequest { id: self.last_id, hash }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: BlockId = BlockId { hash: BlockHash([7; 32]), number: BlockNumber(5) };

    fn with_peers(heights: &[u64]) -> Bodies {
        let mut bodies = Bodies::default();
        for (peer, height) in (1..).zip(heights) {
            bodies.step(Time::ZERO, Input::Announced(peer, BlockNumber(*height)), &mut Vec::new());
        }
        bodies
    }

    fn step(bodies: &mut Bodies, seconds: u64, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        bodies.step(Time::from_millis(seconds * 1000), input, &mut out);
        out
    }

    fn asked(out: &[Effect]) -> (PeerKey, u64) {
        match out {
            [Effect::Send(peer, Message::BodyRequest { id, .. })] => (*peer, *id),
            other => panic!("{other:?}"),
        }
    }

    fn response(id: u64) -> Message {
        Message::BodyResponse { id, transactions: vec![], uncles: vec![], extension: None }
    }

    #[test]
    fn silent_false_and_departed_peers_are_passed_over_until_none_is_left() {
        let mut bodies = with_peers(&[9, 4, 9, 9]);
        let (first, _) = asked(&step(&mut bodies, 0, Input::Want(BLOCK)));
        assert_eq!(step(&mut bodies, 1, Input::Want(BLOCK)), [], "one search for all who want it");
        let (second, id) = asked(&step(&mut bodies, 2, Input::Tick));
        assert_eq!(step(&mut bodies, 4, Input::Message(first, response(id))), []);
        let check = step(&mut bodies, 4, Input::Message(second, response(id)));
        assert!(matches!(check[..], [Effect::Check { peer, .. }] if peer == second));
        let out = step(&mut bodies, 4, Input::Checked(BLOCK.hash, second, false));
        assert_eq!(out[0], Effect::Fault(second));
        let (third, _) = asked(&out[1..]);
        assert_eq!([first, second, third], [1, 3, 4], "peer 2 does not have the block");
        assert_eq!(step(&mut bodies, 5, Input::PeerGone(third)), [Effect::GiveUp(BLOCK.hash)]);
        assert_eq!(bodies.deadline(), None);
        let (next, _) = asked(&step(&mut bodies, 6, Input::Want(BLOCK)));
        assert_eq!(next, second, "the one that kept silent is left alone");
        let (later, _) = asked(&step(&mut bodies, 400, Input::Tick));
        assert_eq!(later, first);
    }

    #[test]
    fn without_peers_a_body_is_given_up_at_once() {
        assert_eq!(step(&mut with_peers(&[]), 0, Input::Want(BLOCK)), [Effect::GiveUp(BLOCK.hash)]);
    }
}
