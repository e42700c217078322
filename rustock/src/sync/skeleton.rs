//! The frame of the chain above the point where a download begins: every 192nd hash, asked of several peers stretch by
//! stretch and taken when two of them agree. A hash that two peers name is still no more than a claim: only verified
//! headers prove it, and then those who named another one are known.

use std::collections::VecDeque;

use shared_vendor::clock::Time;

use super::{Ask, PeerKey, peers::Peers};
use crate::{
    types::BlockNumber,
    wire::rsk::{BlockId, CHUNK_HEADERS, SKELETON_STEPS},
};

/// Headers that one skeleton spans.
const SPAN: u64 = CHUNK_HEADERS * SKELETON_STEPS;
/// Peers that must agree, where there are so many.
const VOTES: usize = 2;
/// Stretches that are asked for at once.
const AHEAD: usize = 6;

/// A part of the frame that peers agree on.
#[derive(Debug)]
pub(super) struct Agreed {
    /// Ascending, the first at or below what came before.
    pub(super) entries: Vec<BlockId>,
    pub(super) voters: Vec<PeerKey>,
    /// Peers that named other hashes.
    pub(super) dissenters: Vec<PeerKey>,
}

/// Nobody is left to ask for the next part of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NobodyKnows;

#[derive(Debug)]
struct Stretch {
    from: u64,
    asked: Vec<Ask>,
    versions: Vec<Version>,
    /// Peers that did not answer.
    silent: Vec<PeerKey>,
}

#[derive(Debug)]
struct Version {
    entries: Vec<BlockId>,
    voters: Vec<PeerKey>,
}

/// The stretches that are not agreed on yet, lowest first.
#[derive(Debug)]
pub(super) struct Skeletons {
    stretches: VecDeque<Stretch>,
    /// Where the next stretch begins; none when the frame has reached the target.
    next: Option<u64>,
    target: u64,
    /// Last entry of what was agreed on.
    joint: Option<BlockId>,
    /// Requests whose answers are not needed any more.
    late: Vec<Ask>,
}

impl Skeletons {
    /// A frame from the last multiple of 192 at or below `point` up to `target`.
    pub(super) fn new(point: BlockNumber, target: BlockNumber) -> Self {
        let first = point.0.saturating_sub(point.0 % CHUNK_HEADERS);
        Self {
            stretches: VecDeque::new(),
            next: Some(first),
            target: target.0,
            joint: None,
            late: Vec::new(),
        }
    }

    /// A frame that is complete before it began.
    pub(super) fn none() -> Self {
        Self { stretches: VecDeque::new(), next: None, target: 0, joint: None, late: Vec::new() }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.stretches.is_empty() && self.next.is_none()
    }

    /// Whom to ask for which start now. The caller sends and calls [`Self::asked`].
    pub(super) fn wanted(&mut self, now: Time, peers: &Peers) -> Option<(PeerKey, u64)> {
        if self.stretches.len() < AHEAD
            && let Some(from) = self.next
        {
            let stretch = Stretch { from, asked: Vec::new(), versions: Vec::new(), silent: Vec::new() };
            self.stretches.push_back(stretch);
            self.next = from.checked_add(SPAN).filter(|next| *next < self.target);
        }
        let overdue = peers.overdue_after();
        self.stretches.iter().find_map(|stretch| {
            let best = stretch.versions.iter().map(|version| version.voters.len()).max().unwrap_or_default();
            let late = stretch.asked.iter().filter(|ask| now.since(ask.at) >= overdue).count();
            let expected = best.saturating_add(stretch.asked.len()).saturating_sub(late);
            if expected >= VOTES {
                return None;
            }
            let peer = peers.pick(now, |key, peer| peer.claims(stretch.from + 1) && !stretch.knows(key))?;
            Some((peer, stretch.from))
        })
    }

    pub(super) fn asked(&mut self, from: u64, ask: Ask) {
        if let Some(stretch) = self.stretches.iter_mut().find(|stretch| stretch.from == from) {
            stretch.asked.push(ask);
        }
    }

    /// Takes an answer; the request when it was one of ours, and whether the answer is one that an honest node sends.
    pub(super) fn receive(&mut self, peer: PeerKey, id: u64, entries: Vec<BlockId>) -> Option<(Ask, bool)> {
        if let Some(at) = self.late.iter().position(|ask| (ask.peer, ask.request) == (peer, id)) {
            return Some((self.late.swap_remove(at), true));
        }
        let stretch = self.stretches.iter_mut().find(|stretch| stretch.asks(peer, id))?;
        let ask = stretch.remove(peer, id)?;
        if !is_plausible(stretch.from, &entries) {
            stretch.silent.push(peer);
            return Some((ask, false));
        }
        match stretch.versions.iter_mut().find(|version| agree(&version.entries, &entries)) {
            Some(version) => {
                version.voters.push(peer);
                if entries.last().map(|last| last.number) > version.entries.last().map(|last| last.number) {
                    version.entries = entries;
                }
            }
            None => stretch.versions.push(Version { entries, voters: vec![peer] }),
        }
        Some((ask, true))
    }

    /// Requests that have had their time, and those of a peer that is gone, are given up.
    pub(super) fn give_up(&mut self, gone: impl Fn(&Ask) -> bool) -> Vec<Ask> {
        let (mut given_up, late): (Vec<_>, Vec<_>) = self.late.drain(..).partition(|ask| gone(ask));
        self.late = late;
        for stretch in &mut self.stretches {
            let (lost, kept): (Vec<_>, Vec<_>) = stretch.asked.drain(..).partition(|ask| gone(ask));
            stretch.asked = kept;
            stretch.silent.extend(lost.iter().map(|ask| ask.peer));
            given_up.extend(lost);
        }
        given_up
    }

    /// The next part of the frame, once enough peers agree on it.
    pub(super) fn next_agreed(&mut self, now: Time, peers: &Peers) -> Result<Option<Agreed>, NobodyKnows> {
        let Some(stretch) = self.stretches.front() else { return Ok(None) };
        let may_answer =
            peers.active(now).any(|(key, peer)| peer.claims(stretch.from + 1) && !stretch.knows(key));
        let exhausted = stretch.asked.is_empty() && !may_answer;
        let most = stretch.versions.iter().map(|version| version.voters.len()).max();
        if most.is_none() && exhausted {
            return Err(NobodyKnows);
        }
        if !exhausted && most.unwrap_or_default() < VOTES {
            return Ok(None);
        }
        let Some(stretch) = self.stretches.pop_front() else { return Ok(None) };
        self.late.extend(stretch.asked);
        let mut versions = stretch.versions;
        versions.sort_by_key(|version| std::cmp::Reverse(version.voters.len()));
        let mut versions = versions.into_iter();
        let Some(Version { entries, voters }) = versions.next() else { return Err(NobodyKnows) };
        if let Some(joint) = self.joint.filter(|joint| entries.first() != Some(joint)) {
            // Who is wrong shows when the lower part is verified, or is not.
            self.end();
            return Ok(Some(Agreed { entries: vec![joint], voters: Vec::new(), dissenters: voters }));
        }
        let end = entries.last().copied();
        if end.is_none_or(|end| end.number.0 != stretch.from.saturating_add(SPAN)) {
            self.end();
        }
        self.joint = end;
        let dissenters = versions.flat_map(|version| version.voters).collect();
        Ok(Some(Agreed { entries, voters, dissenters }))
    }

    fn end(&mut self) {
        self.late.extend(self.stretches.drain(..).flat_map(|stretch| stretch.asked));
        self.next = None;
    }

    /// When a request has had its time, or another peer is to be asked, later than `now`.
    pub(super) fn deadline(&self, now: Time, peers: &Peers) -> Option<Time> {
        let overdue = peers.overdue_after();
        let asks = self.stretches.iter().flat_map(|stretch| &stretch.asked);
        let late = self.late.iter().map(|ask| ask.deadline);
        let due = asks.flat_map(|ask| [ask.deadline, ask.at.after(overdue)]).chain(late);
        due.filter(|at| *at > now).min()
    }
}

impl Stretch {
    fn asks(&self, peer: PeerKey, id: u64) -> bool {
        self.asked.iter().any(|ask| (ask.peer, ask.request) == (peer, id))
    }

    fn remove(&mut self, peer: PeerKey, id: u64) -> Option<Ask> {
        let at = self.asked.iter().position(|ask| (ask.peer, ask.request) == (peer, id))?;
        Some(self.asked.remove(at))
    }

    /// The peer has been asked, whatever came of it.
    fn knows(&self, key: PeerKey) -> bool {
        self.silent.contains(&key)
            || self.asked.iter().any(|ask| ask.peer == key)
            || self.versions.iter().any(|version| version.voters.contains(&key))
    }
}

/// Begins at `from`, goes up in steps of 192, and only the last step may be shorter.
fn is_plausible(from: u64, entries: &[BlockId]) -> bool {
    let steps = entries.iter().zip(entries.iter().skip(1));
    let last = entries.len().saturating_sub(2);
    entries.first().is_some_and(|first| first.number.0 == from)
        && u64::try_from(entries.len()).is_ok_and(|length| length <= SKELETON_STEPS.saturating_add(1))
        && steps.enumerate().all(|(index, (below, above))| {
            let step = above.number.0.saturating_sub(below.number.0);
            step == CHUNK_HEADERS || (index == last && (1..CHUNK_HEADERS).contains(&step))
        })
}

/// Equal wherever both name a block; a node's own best block ends its skeleton and may stand between two steps.
fn agree(left: &[BlockId], right: &[BlockId]) -> bool {
    left.iter().zip(right).all(|(left, right)| left.number != right.number || left.hash == right.hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::BlockHash;

    fn id(number: u64, hash: u8) -> BlockId {
        BlockId { hash: BlockHash([hash; 32]), number: BlockNumber(number) }
    }

    /// Answers of peers 1, 2, ... to the first stretch, whose requests they were asked in order.
    fn votes(answers: &[Vec<BlockId>]) -> (Skeletons, Peers) {
        let now = Time::from_millis(1);
        let mut peers = Peers::default();
        let mut skeletons = Skeletons::new(BlockNumber(0), BlockNumber(10_000));
        for (key, entries) in (1..).zip(answers) {
            peers.add(now, key);
            peers.get_mut(key).unwrap().best = Some(id(10_000, 9));
            let _ = skeletons.wanted(now, &peers);
            skeletons.asked(0, Ask { peer: key, request: key, at: now, deadline: now });
            assert!(skeletons.receive(key, key, entries.clone()).unwrap().1);
        }
        (skeletons, peers)
    }

    fn full(hash: u8) -> Vec<BlockId> {
        (0..=20).map(|step| id(step * 192, if step == 0 { 0 } else { hash })).collect()
    }

    #[test]
    fn two_peers_that_agree_win_and_the_third_is_remembered() {
        let (mut skeletons, peers) = votes(&[full(1), full(2), full(1)]);
        let agreed = skeletons.next_agreed(Time::from_millis(2), &peers).unwrap().unwrap();
        assert_eq!((agreed.voters, agreed.dissenters), (vec![1, 3], vec![2]));
        assert_eq!(agreed.entries.len(), 21);
    }

    #[test]
    fn one_vote_waits_for_a_second_peer_and_counts_when_there_is_none() {
        let (mut skeletons, mut peers) = votes(&[full(1)]);
        peers.add(Time::ZERO, 7);
        peers.get_mut(7).unwrap().best = Some(id(10_000, 9));
        assert!(skeletons.next_agreed(Time::from_millis(2), &peers).unwrap().is_none());
        peers.remove(7);
        let agreed = skeletons.next_agreed(Time::from_millis(2), &peers).unwrap().unwrap();
        assert_eq!(agreed.voters, [1]);
    }

    #[test]
    fn best_blocks_between_two_steps_do_not_divide_peers() {
        let short = vec![id(0, 0), id(192, 1), id(300, 5)];
        let longer = vec![id(0, 0), id(192, 1), id(302, 6)];
        let (mut skeletons, peers) = votes(&[short, longer.clone()]);
        let agreed = skeletons.next_agreed(Time::from_millis(2), &peers).unwrap().unwrap();
        assert_eq!((agreed.entries, agreed.voters), (longer, vec![1, 2]));
        assert!(skeletons.is_complete());
    }

    #[test]
    fn impossible_skeletons_are_told_from_possible_ones() {
        assert!(is_plausible(192, &[id(192, 1), id(384, 1), id(400, 1)]));
        assert!(is_plausible(0, &[id(0, 1)]));
        for wrong in [
            vec![],
            vec![id(192, 1)],
            vec![id(0, 1), id(193, 1)],
            vec![id(0, 1), id(100, 1), id(292, 1)],
            vec![id(0, 1), id(0, 1)],
        ] {
            assert!(!is_plausible(0, &wrong), "{wrong:?}");
        }
    }
}
