//! A skeleton cut into chunks of headers: which are to be asked for, which have come, which is next to be imported.
//! Chunks may be asked of any peer and come in any order; they leave in the order of the chain.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    sync::PeerKey,
    types::BlockNumber,
    wire::rsk::{BlockId, CHUNK_HEADERS},
};

/// Consecutive headers below and including `top`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) top: BlockId,
    pub(super) count: u64,
}

#[derive(Debug)]
enum State {
    Waiting,
    Asked { peer: PeerKey, request: u64 },
    Here { peer: PeerKey, headers: Vec<Bytes> },
}

/// Chunks of one skeleton, lowest first.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    queue: VecDeque<(Chunk, State)>,
}

/// A skeleton that no honest node sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadSkeleton;

impl Chunks {
    /// Cuts a skeleton at its entries. Nothing at or below `point`, which we have, is asked for.
    pub(super) fn of_skeleton(skeleton: &[BlockId], point: BlockNumber) -> Result<Self, BadSkeleton> {
        let [first, ..] = skeleton else { return Err(BadSkeleton) };
        if first.number > point {
            return Err(BadSkeleton);
        }
        let mut queue = VecDeque::new();
        for (below, top) in skeleton.iter().zip(skeleton.iter().skip(1)) {
            let step = top.number.0.checked_sub(below.number.0).ok_or(BadSkeleton)?;
            if step > CHUNK_HEADERS {
                return Err(BadSkeleton);
            }
            let count = top.number.0.saturating_sub(below.number.max(point).0);
            if count > 0 {
                queue.push_back((Chunk { top: *top, count }, State::Waiting));
            }
        }
        Ok(Self { queue })
    }

    /// The one chunk that ends in an announced block.
    pub(super) fn of_announcement(top: BlockId, count: u64) -> Self {
        Self { queue: VecDeque::from([(Chunk { top, count }, State::Waiting)]) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many have come and wait for those below them.
    pub(super) fn waiting_for_import(&self) -> usize {
        self.queue.iter().filter(|(_, state)| matches!(state, State::Here { .. })).count()
    }

    /// Marks the lowest chunk that nobody has been asked for as asked of `peer`.
    pub(super) fn ask(&mut self, peer: PeerKey, request: u64) -> Option<Chunk> {
        let (chunk, state) = self.queue.iter_mut().find(|(_, state)| matches!(state, State::Waiting))?;
        *state = State::Asked { peer, request };
        Some(*chunk)
    }

    /// The chunk that `peer` was asked for under this request id.
    pub(super) fn asked(&self, peer: PeerKey, request: u64) -> Option<Chunk> {
        self.queue.iter().find_map(|(chunk, state)| match state {
            State::Asked { peer: of, request: id } if (*of, *id) == (peer, request) => Some(*chunk),
            _ => None,
        })
    }

    /// Keeps the answer to a request. The caller has checked it with [`Chunks::asked`].
    pub(super) fn receive(&mut self, peer: PeerKey, request: u64, received: Vec<Bytes>) {
        for (_, state) in &mut self.queue {
            if matches!(state, State::Asked { peer: of, request: id } if (*of, *id) == (peer, request)) {
                *state = State::Here { peer, headers: received };
                return;
            }
        }
    }

    /// Takes the lowest chunk out when it is here.
    pub(super) fn next_import(&mut self) -> Option<(Chunk, PeerKey, Vec<Bytes>)> {
        match self.queue.pop_front()? {
            (chunk, State::Here { peer, headers }) => Some((chunk, peer, headers)),
            other => {
                self.queue.push_front(other);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::BlockHash;

    fn id(number: u64) -> BlockId {
        BlockId { hash: BlockHash([1; 32]), number: BlockNumber(number) }
    }

    #[test]
    fn only_what_lies_above_the_connection_point_is_asked_for() {
        let mut chunks = Chunks::of_skeleton(&[id(192), id(384), id(500)], BlockNumber(200)).unwrap();
        let counts: Vec<_> = (0..3).map(|request| chunks.ask(1, request).map(|chunk| chunk.count)).collect();
        assert_eq!(counts, [Some(184), Some(116), None]);
    }

    #[test]
    fn chunks_leave_in_the_order_of_the_chain() {
        let mut chunks = Chunks::of_skeleton(&[id(0), id(192), id(300)], BlockNumber(0)).unwrap();
        chunks.ask(1, 10);
        chunks.ask(2, 20);
        chunks.receive(2, 20, vec![]);
        assert!(chunks.next_import().is_none());
        assert_eq!(chunks.asked(2, 10), None);
        chunks.receive(1, 10, vec![]);
        assert_eq!(chunks.next_import().map(|(chunk, peer, _)| (chunk.top.number.0, peer)), Some((192, 1)));
        assert_eq!(chunks.next_import().map(|(chunk, peer, _)| (chunk.top.number.0, peer)), Some((300, 2)));
        assert!(chunks.is_empty());
    }

    #[test]
    fn impossible_skeletons_are_refused() {
        for skeleton in [&[][..], &[id(192), id(384)], &[id(0), id(193)], &[id(0), id(192), id(100)]] {
            assert!(Chunks::of_skeleton(skeleton, BlockNumber(5)).is_err(), "{skeleton:?}");
        }
    }
}
