//! Starting at a block that the operator trusts, and filling in what lies below it.
//!
//! First peers are asked for their hash at the checkpoint's height; one that has it is asked for the headers below,
//! each named by the one above it, so that nothing but the checkpoint has to be believed. With 450 of them the chain can
//! go on from there. The rest down to genesis follows while nothing else is being downloaded. A checkpoint that two peers
//! (or the only one, asked again and again) contradict and nobody confirms is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use super::{Fault, PeerKey};
use crate::{
    types::{BlockHash, BlockNumber},
    wire::rsk::{BlockId, CHUNK_HEADERS, Message},
};

/// A peer that has not answered by then is passed over.
const WAIT: Duration = Duration::from_secs(10);
/// For so long.
const LEFT_ALONE: Duration = Duration::from_secs(60);
/// Requests to one peer are at least so far apart: the download of new headers has the rest of what it allows.
const PACE: Duration = Duration::from_millis(200);
/// Peers that must contradict a checkpoint, where there are so many.
const OBJECTIONS: usize = 2;
/// After which time a single one is enough.
const ALONE: Duration = Duration::from_secs(30);
/// Headers at and below the checkpoint without which the chain cannot go on: fork-detection data commits to 449.
pub const NEEDED: u64 = 450;
/// Ids of requests begin here, far from those of the other machines.
const FIRST_ID: u64 = 1 << 40;

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A deadline has come.
    Tick,
    /// A peer says that it has this block and those below it.
    Announced(PeerKey, BlockNumber),
    /// A peer is gone.
    PeerGone(PeerKey),
    /// A peer sent a message; everything but an answer to a request of ours is ignored.
    Message(PeerKey, Message),
    /// Newer headers are being downloaded, or not; meanwhile older ones wait.
    Busy(bool),
    /// Answer to [`Effect::Store`].
    Stored(Stored),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What became of headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// They fit; the next one is this.
    Next(BlockHash),
    /// They are not what was asked for: the sender's fault.
    Unfit,
    /// Genesis is reached.
    Complete,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send to this peer.
    Send(PeerKey, Message),
    /// Check and keep headers, descending; answered by [`Input::Stored`]. Only one at a time.
    Store(Vec<Bytes>),
    /// A peer sent what it was not asked for.
    Fault(PeerKey, Fault),
    /// Peers have another block at the checkpoint's height.
    Refuse(BlockHash),
}

#[derive(Debug)]
struct Asked {
    peer: PeerKey,
    request: u64,
    until: Time,
}

#[derive(Debug)]
enum Phase {
    /// Is the checkpoint on anybody's chain?
    Voting {
        checkpoint: BlockId,
        asked: Vec<Asked>,
        objections: BTreeSet<PeerKey>,
        /// What one of them has instead.
        other: Option<BlockHash>,
        /// The first objection.
        since: Option<Time>,
    },
    Descending {
        next: BlockHash,
        asked: Option<Asked>,
        storing: Option<PeerKey>,
    },
    Complete,
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct Descent {
    /// Peers below this height have nothing for us.
    from: BlockNumber,
    heights: BTreeMap<PeerKey, BlockNumber>,
    /// When a peer may be asked again.
    free: BTreeMap<PeerKey, Time>,
    phase: Phase,
    busy: bool,
    last_id: u64,
    wake: Option<Time>,
}

impl Descent {
    /// From a checkpoint whose headers are not here yet.
    #[must_use]
    pub fn from_checkpoint(checkpoint: BlockId) -> Self {
        let (asked, objections) = (Vec::new(), BTreeSet::new());
        let phase = Phase::Voting { checkpoint, asked, objections, other: None, since: None };
        Self::new(checkpoint.number, phase)
    }

    /// Goes on below the lowest header that is here, at height `above`; `next` is its parent.
    #[must_use]
    pub fn below(above: BlockNumber, next: BlockHash) -> Self {
        Self::new(above, Phase::Descending { next, asked: None, storing: None })
    }

    fn new(from: BlockNumber, phase: Phase) -> Self {
        let (heights, free) = (BTreeMap::new(), BTreeMap::new());
        Self { from, heights, free, phase, busy: false, last_id: FIRST_ID, wake: None }
    }

    fn free_peers(&self, now: Time) -> impl Iterator<Item = PeerKey> {
        let high = self.heights.iter().filter(|(_, height)| **height >= self.from).map(|(peer, _)| *peer);
        high.filter(move |peer| self.free.get(peer).is_none_or(|free| *free <= now))
    }

    fn ask(&mut self, now: Time, peer: PeerKey) -> Asked {
        self.last_id = self.last_id.wrapping_add(1);
        self.free.insert(peer, now.after(PACE));
        Asked { peer, request: self.last_id, until: now.after(WAIT) }
    }

    fn on_hash(&mut self, now: Time, from: PeerKey, id: u64, hash: BlockHash) {
        let Phase::Voting { checkpoint, asked, objections, other, since } = &mut self.phase else { return };
        let Some(at) = asked.iter().position(|asked| (asked.peer, asked.request) == (from, id)) else {
            return;
        };
        asked.swap_remove(at);
        if hash == checkpoint.hash {
            // The others may be behind or on a branch, and will be asked for nothing that they do not have.
            self.heights.retain(|peer, _| *peer == from || !objections.contains(peer));
            self.phase = Phase::Descending { next: hash, asked: None, storing: None };
        } else {
            objections.insert(from);
            *other = Some(hash);
            since.get_or_insert(now);
        }
    }

    fn on_headers(&mut self, from: PeerKey, id: u64, headers: Vec<Bytes>, out: &mut Vec<Effect>) {
        let Phase::Descending { asked, storing, .. } = &mut self.phase else { return };
        if asked.take_if(|asked| (asked.peer, asked.request) == (from, id)).is_some() {
            *storing = Some(from);
            out.push(Effect::Store(headers));
        }
    }

    fn on_stored(&mut self, now: Time, stored: Stored, out: &mut Vec<Effect>) {
        let Phase::Descending { next, storing, .. } = &mut self.phase else { return };
        let Some(sender) = storing.take() else { return };
        match stored {
            Stored::Next(hash) => *next = hash,
            Stored::Complete => self.phase = Phase::Complete,
            Stored::Unfit => {
                self.free.insert(sender, now.after(LEFT_ALONE));
                out.push(Effect::Fault(sender, Fault::InvalidMessage));
            }
        }
    }

    /// Requests that are in vain: their peers are left alone for a while, since silence is how they refuse.
    fn give_up(&mut self, now: Time, in_vain: impl Fn(&Asked) -> bool) {
        let given_up: Vec<PeerKey> = match &mut self.phase {
            Phase::Voting { asked, .. } => {
                asked.extract_if(.., |asked| in_vain(asked)).map(|asked| asked.peer).collect()
            }
            Phase::Descending { asked, .. } => {
                asked.take_if(|asked| in_vain(asked)).map(|asked| asked.peer).into_iter().collect()
            }
            Phase::Complete => Vec::new(),
        };
        for peer in given_up {
            self.free.insert(peer, now.after(LEFT_ALONE));
        }
    }

    fn vote(&mut self, now: Time, out: &mut Vec<Effect>) {
        let free: Vec<PeerKey> = self.free_peers(now).collect();
        for peer in free {
            let Phase::Voting { checkpoint, asked, objections, .. } = &self.phase else { return };
            if objections.contains(&peer) || asked.iter().any(|asked| asked.peer == peer) {
                continue;
            }
            let height = checkpoint.number.0;
            let new = self.ask(now, peer);
            out.push(Effect::Send(peer, Message::BlockHashRequest { id: new.request, height }));
            if let Phase::Voting { asked, .. } = &mut self.phase {
                asked.push(new);
            }
        }
    }

    fn descend(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Phase::Descending { next, asked: None, storing: None } = self.phase else { return };
        if self.busy {
            return;
        }
        // The one that has rested for longest.
        let peer = self.free_peers(now).min_by_key(|peer| self.free.get(peer).copied());
        if let Some(peer) = peer {
            let new = self.ask(now, peer);
            let id = new.request;
            out.push(Effect::Send(peer, Message::HeadersRequest { id, hash: next, count: CHUNK_HEADERS }));
            if let Phase::Descending { asked, .. } = &mut self.phase {
                *asked = Some(new);
            }
        }
    }

    /// Refuses the checkpoint when enough peers have another block, and none of those that were asked has it.
    fn judge(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Phase::Voting { objections, other: Some(other), since, asked, .. } = &self.phase else { return };
        let long = since.is_some_and(|since| now.since(since) >= ALONE);
        if asked.is_empty() && (objections.len() >= OBJECTIONS || long) {
            out.push(Effect::Refuse(*other));
            self.phase = Phase::Complete;
        }
    }
}

impl Machine for Descent {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Tick => {}
            Input::Busy(busy) => self.busy = busy,
            Input::Announced(peer, number) => drop(self.heights.insert(peer, number)),
            Input::PeerGone(gone) => {
                self.heights.remove(&gone);
                self.give_up(now, |asked| asked.peer == gone);
                self.free.remove(&gone);
            }
            Input::Message(from, Message::BlockHashResponse { id, hash }) => {
                self.on_hash(now, from, id, hash)
            }
            Input::Message(from, Message::HeadersResponse { id, headers }) => {
                self.on_headers(from, id, headers, out)
            }
            Input::Message(..) => {}
            Input::Stored(stored) => self.on_stored(now, stored, out),
        }
        self.give_up(now, |asked| asked.until <= now);
        self.judge(now, out);
        self.vote(now, out);
        self.descend(now, out);
        self.wake = (!matches!(self.phase, Phase::Complete)).then(|| now.after(PACE));
    }

    fn deadline(&self) -> Option<Time> {
        self.wake
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKPOINT: BlockId = BlockId { hash: BlockHash([7; 32]), number: BlockNumber(1_000) };

    fn step(machine: &mut Descent, millis: u64, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        machine.step(Time::from_millis(millis), input, &mut out);
        out
    }

    fn request(effects: &[Effect]) -> (PeerKey, u64) {
        match effects {
            [Effect::Send(peer, Message::BlockHashRequest { id, height: 1_000 })]
            | [Effect::Send(peer, Message::HeadersRequest { id, count: CHUNK_HEADERS, .. })] => (*peer, *id),
            other => panic!("{other:?}"),
        }
    }

    fn voted(peers: &[(PeerKey, u8)]) -> (Descent, Vec<Effect>) {
        let mut machine = Descent::from_checkpoint(CHECKPOINT);
        let asked = peers.iter().map(|(peer, hash)| {
            let (to, id) = request(&step(&mut machine, 1, Input::Announced(*peer, BlockNumber(2_000))));
            assert_eq!(to, *peer);
            (to, Message::BlockHashResponse { id, hash: BlockHash([*hash; 32]) })
        });
        let answers: Vec<_> = asked.collect();
        let mut out = Vec::new();
        for (peer, answer) in answers {
            out = step(&mut machine, 300, Input::Message(peer, answer));
        }
        (machine, out)
    }

    #[test]
    fn a_peer_that_has_the_checkpoint_is_asked_for_what_lies_below() {
        let (mut machine, out) = voted(&[(1, 9), (2, 7)]);
        let (peer, id) = request(&out);
        assert_eq!(peer, 2);
        assert!(
            matches!(&out[..], [Effect::Send(_, Message::HeadersRequest { hash, .. })] if *hash == CHECKPOINT.hash)
        );
        let headers = vec![Bytes::from_static(b"h")];
        let answer = Message::HeadersResponse { id, headers: headers.clone() };
        assert_eq!(step(&mut machine, 400, Input::Message(1, answer.clone())), []);
        assert_eq!(step(&mut machine, 400, Input::Message(2, answer)), [Effect::Store(headers)]);
        assert_eq!(step(&mut machine, 401, Input::Busy(true)), []);
        assert_eq!(step(&mut machine, 410, Input::Stored(Stored::Next(BlockHash([3; 32])))), []);
        let out = step(&mut machine, 900, Input::Busy(false));
        assert!(
            matches!(&out[..], [Effect::Send(2, Message::HeadersRequest { hash, .. })] if hash.0 == [3; 32])
        );
    }

    #[test]
    fn two_peers_that_contradict_a_checkpoint_are_enough_and_one_when_it_stays_alone() {
        let (_, out) = voted(&[(1, 9), (2, 9)]);
        assert_eq!(out, [Effect::Refuse(BlockHash([9; 32]))]);
        let (mut machine, out) = voted(&[(1, 9)]);
        assert_eq!(out, []);
        assert_eq!(step(&mut machine, 20_000, Input::Tick), []);
        assert_eq!(step(&mut machine, 31_000, Input::Tick), [Effect::Refuse(BlockHash([9; 32]))]);
        assert_eq!(machine.deadline(), None);
    }

    #[test]
    fn silence_is_no_contradiction_and_peers_below_the_checkpoint_are_not_asked() {
        let mut machine = Descent::from_checkpoint(CHECKPOINT);
        assert_eq!(step(&mut machine, 1, Input::Announced(1, BlockNumber(999))), []);
        let (_, first) = request(&step(&mut machine, 1, Input::Announced(2, BlockNumber(1_000))));
        assert_eq!(step(&mut machine, 30_000, Input::Tick), []);
        let (_, second) = request(&step(&mut machine, 95_000, Input::Tick));
        assert_ne!(first, second);
    }

    #[test]
    fn who_sends_other_headers_is_told_on_and_the_next_peer_is_asked() {
        let mut machine = Descent::below(BlockNumber(500), BlockHash([3; 32]));
        let (first, id) = request(&step(&mut machine, 1, Input::Announced(1, BlockNumber(2_000))));
        assert_eq!(step(&mut machine, 2, Input::Announced(2, BlockNumber(2_000))), []);
        let _ =
            step(&mut machine, 3, Input::Message(first, Message::HeadersResponse { id, headers: vec![] }));
        let out = step(&mut machine, 4, Input::Stored(Stored::Unfit));
        assert_eq!(out[0], Effect::Fault(1, Fault::InvalidMessage));
        assert_eq!(request(&out[1..]).0, 2);
        let (_, id) = request(&out[1..]);
        let _ = step(&mut machine, 5, Input::Message(2, Message::HeadersResponse { id, headers: vec![] }));
        assert_eq!(step(&mut machine, 6, Input::Stored(Stored::Complete)), []);
        assert_eq!(machine.deadline(), None);
    }
}
