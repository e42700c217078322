//! The headers between two entries of a skeleton: which chunk is asked of whom, which have come, which is next to be
//! imported. Chunks come in any order and leave in the order of the chain.

use std::collections::VecDeque;

use bytes::Bytes;
use shared_vendor::clock::Time;

use super::{
    Ask, PeerKey,
    peers::{Peer, Peers},
};
use crate::{types::BlockNumber, wire::rsk::BlockId};

/// Chunks that are asked for or wait for import: bounds memory to some 15 MB.
const IN_PLAY: usize = 64;
/// Peers that are asked for the same chunk.
const ASKED: usize = 3;
/// Chunks that are imported in one go.
const RUN: usize = 8;

/// Consecutive headers below and including `top`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) top: BlockId,
    pub(super) count: u64,
}

/// A chunk on its way.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) chunk: Chunk,
    /// Who says that it is on the chain.
    pub(super) voters: Vec<PeerKey>,
    asked: Vec<Ask>,
    /// Who did not deliver it.
    refused: Vec<PeerKey>,
    here: Option<(PeerKey, Vec<Bytes>)>,
}

impl Slot {
    fn new(chunk: Chunk, voters: Vec<PeerKey>) -> Self {
        Self { chunk, voters, asked: Vec::new(), refused: Vec::new(), here: None }
    }
}

/// Chunks, lowest first.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    queue: VecDeque<Slot>,
    /// Second requests whose chunk has come from somebody else and has left.
    late: Vec<Ask>,
}

impl Chunks {
    /// The one chunk that ends in a block that `peer` has announced.
    pub(super) fn of_announcement(peer: PeerKey, top: BlockId, count: u64) -> Self {
        let slot = Slot::new(Chunk { top, count }, vec![peer]);
        Self { queue: VecDeque::from([slot]), late: Vec::new() }
    }

    /// Adds what lies between the entries of a skeleton. Nothing at or below `point`, which we have, is asked for.
    pub(super) fn extend(&mut self, entries: &[BlockId], point: BlockNumber, voters: &[PeerKey]) {
        for (below, top) in entries.iter().zip(entries.iter().skip(1)) {
            let count = top.number.0.saturating_sub(below.number.max(point).0);
            if count > 0 {
                self.queue.push_back(Slot::new(Chunk { top: *top, count }, voters.to_vec()));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Room for more of the skeleton.
    pub(super) fn is_short(&self) -> bool {
        self.queue.len() < IN_PLAY.saturating_mul(2)
    }

    /// Whom to ask for which chunk now: the lowest that nobody has been asked for, or whose answer is overdue.
    pub(super) fn wanted(&self, now: Time, peers: &Peers) -> Option<(PeerKey, Chunk)> {
        let overdue = peers.overdue_after();
        self.queue.iter().take(IN_PLAY).find_map(|slot| {
            let due = match slot.asked.last() {
                _ if slot.here.is_some() => false,
                None => true,
                Some(last) => slot.asked.len() < ASKED && now.since(last.at) >= overdue,
            };
            let fits = |key| !slot.refused.contains(&key) && !slot.asked.iter().any(|ask| ask.peer == key);
            if !due {
                return None;
            }
            let has = |key, peer: &Peer| peer.claims(slot.chunk.top.number.0) && fits(key);
            // An answer is overdue: whoever said that the chunk is on the chain should be able to show it.
            let voter = slot
                .asked
                .first()
                .and_then(|_| peers.pick(now, |key, peer| slot.voters.contains(&key) && has(key, peer)));
            let peer = voter.or_else(|| peers.pick(now, has))?;
            Some((peer, slot.chunk))
        })
    }

    pub(super) fn asked(&mut self, top: &BlockId, ask: Ask) {
        if let Some(slot) = self.queue.iter_mut().find(|slot| slot.chunk.top == *top) {
            slot.asked.push(ask);
        }
    }

    /// Takes an answer; the request when it was one of ours, and whether it has the right length.
    pub(super) fn receive(
        &mut self,
        peer: PeerKey,
        request: u64,
        mut headers: Vec<Bytes>,
    ) -> Option<(Ask, bool)> {
        let of = |ask: &Ask| (ask.peer, ask.request) == (peer, request);
        if let Some(at) = self.late.iter().position(of) {
            return Some((self.late.swap_remove(at), true));
        }
        let slot = self.queue.iter_mut().find(|slot| slot.asked.iter().any(of))?;
        let ask = slot.asked.remove(slot.asked.iter().position(of)?);
        if u64::try_from(headers.len()) != Ok(slot.chunk.count) {
            slot.refused.push(peer);
            return Some((ask, false));
        }
        if slot.here.is_none() {
            headers.reverse();
            slot.here = Some((peer, headers));
        }
        Some((ask, true))
    }

    /// Requests that have had their time, and those of a peer that is gone, are given up.
    pub(super) fn give_up(&mut self, gone: impl Fn(&Ask) -> bool) -> Vec<Ask> {
        let (mut given_up, late): (Vec<_>, Vec<_>) = self.late.drain(..).partition(|ask| gone(ask));
        self.late = late;
        for slot in &mut self.queue {
            let (lost, kept): (Vec<_>, Vec<_>) = slot.asked.drain(..).partition(|ask| gone(ask));
            slot.asked = kept;
            slot.refused.extend(lost.iter().map(|ask| ask.peer));
            given_up.extend(lost);
        }
        given_up
    }

    /// The lowest chunk for which everybody who could have it has been asked in vain.
    pub(super) fn hopeless(&self, now: Time, peers: &Peers) -> Option<&Slot> {
        self.queue.iter().take(IN_PLAY).find(|slot| {
            let askable = |(key, peer): (PeerKey, &Peer)| {
                peer.claims(slot.chunk.top.number.0) && !slot.refused.contains(&key)
            };
            slot.here.is_none() && slot.asked.is_empty() && !peers.active(now).any(askable)
        })
    }

    /// Takes the lowest chunks out that are here, at most a run of them.
    pub(super) fn next_run(&mut self) -> Vec<(Slot, PeerKey, Vec<Bytes>)> {
        let mut run = Vec::new();
        while run.len() < RUN {
            let Some(mut slot) = self.queue.pop_front() else { break };
            match slot.here.take() {
                Some((peer, headers)) => {
                    self.late.append(&mut slot.asked);
                    run.push((slot, peer, headers));
                }
                None => {
                    self.queue.push_front(slot);
                    break;
                }
            }
        }
        run
    }

    /// Puts chunks back whose headers are to be asked for again, the first of them not of `culprit`.
    pub(super) fn put_back(&mut self, slots: Vec<Slot>, culprit: PeerKey) {
        for slot in slots.into_iter().rev() {
            self.queue.push_front(slot);
        }
        if let Some(first) = self.queue.front_mut() {
            first.refused.push(culprit);
        }
    }

    /// When a request has had its time, or another peer is to be asked, later than `now`.
    pub(super) fn deadline(&self, now: Time, peers: &Peers) -> Option<Time> {
        let overdue = peers.overdue_after();
        let late = self.late.iter().map(|ask| ask.deadline);
        let slots = self.queue.iter().take(IN_PLAY);
        slots
            .flat_map(|slot| {
                let again = slot.asked.last().filter(|_| slot.here.is_none() && slot.asked.len() < ASKED);
                slot.asked.iter().map(|ask| ask.deadline).chain(again.map(|ask| ask.at.after(overdue)))
            })
            .chain(late)
            .filter(|at| *at > now)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::BlockHash;

    fn id(number: u64) -> BlockId {
        BlockId { hash: BlockHash([1; 32]), number: BlockNumber(number) }
    }

    fn ask(peer: PeerKey, request: u64, at: u64) -> Ask {
        let at = Time::from_millis(at);
        Ask { peer, request, at, deadline: at.after(std::time::Duration::from_secs(30)) }
    }

    fn peers(keys: &[PeerKey]) -> Peers {
        let mut peers = Peers::default();
        for key in keys {
            peers.add(Time::ZERO, *key);
            peers.get_mut(*key).unwrap().best = Some(id(10_000));
        }
        peers
    }

    fn headers(count: usize) -> Vec<Bytes> {
        vec![Bytes::new(); count]
    }

    #[test]
    fn only_what_lies_above_the_connection_point_is_asked_for() {
        let mut chunks = Chunks::default();
        chunks.extend(&[id(0), id(192), id(384), id(500)], BlockNumber(200), &[1]);
        let counts: Vec<_> = chunks.queue.iter().map(|slot| slot.chunk.count).collect();
        assert_eq!(counts, [184, 116]);
    }

    #[test]
    fn chunks_leave_in_the_order_of_the_chain_and_in_runs() {
        let mut chunks = Chunks::default();
        chunks.extend(&[id(0), id(192), id(300)], BlockNumber(0), &[1]);
        chunks.asked(&id(192), ask(1, 10, 1));
        chunks.asked(&id(300), ask(2, 20, 1));
        assert!(chunks.receive(2, 20, headers(108)).unwrap().1);
        assert!(chunks.next_run().is_empty());
        assert!(chunks.receive(2, 10, headers(192)).is_none(), "the request was another peer's");
        assert!(chunks.receive(1, 10, headers(192)).unwrap().1);
        let run = chunks.next_run();
        assert_eq!(run.iter().map(|(_, peer, _)| *peer).collect::<Vec<_>>(), [1, 2]);
        assert!(chunks.is_empty());
    }

    #[test]
    fn an_overdue_chunk_is_asked_of_a_second_peer_and_the_late_answer_still_counts_as_one() {
        let mut chunks = Chunks::default();
        chunks.extend(&[id(0), id(192)], BlockNumber(0), &[1]);
        let mut peers = peers(&[1, 2]);
        peers.answered(Time::from_millis(100), &ask(1, 0, 0));
        let (first, _) = chunks.wanted(Time::from_millis(1), &peers).unwrap();
        chunks.asked(&id(192), ask(first, 1, 1));
        assert!(chunks.wanted(Time::from_millis(299), &peers).is_none());
        let (second, _) = chunks.wanted(Time::from_millis(301), &peers).unwrap();
        assert_ne!(first, second);
        chunks.asked(&id(192), ask(second, 2, 301));
        assert!(chunks.receive(second, 2, headers(192)).unwrap().1);
        assert_eq!(chunks.next_run().len(), 1);
        assert!(chunks.receive(first, 1, headers(192)).unwrap().1);
    }

    #[test]
    fn a_chunk_that_nobody_delivers_is_hopeless() {
        let mut chunks = Chunks::default();
        chunks.extend(&[id(0), id(192)], BlockNumber(0), &[1]);
        let (peers, now) = (peers(&[1]), Time::from_millis(1));
        assert!(chunks.hopeless(now, &peers).is_none());
        chunks.asked(&id(192), ask(1, 1, 1));
        assert!(!chunks.receive(1, 1, headers(191)).unwrap().1);
        assert!(chunks.hopeless(now, &peers).is_some());
    }
}
