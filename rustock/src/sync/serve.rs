//! The serving side: which answer a request deserves. Whatever cannot be answered gets none, as in the reference.
//! Mirrors `processBlockHashRequest`, `processSkeletonRequest` and `processBlockHeadersRequest` of
//! `co/rsk/net/NodeBlockProcessor.java`.

use bytes::Bytes;

use crate::{
    types::{BlockHash, BlockNumber},
    wire::rsk::{BlockId, CHUNK_HEADERS, Message, SKELETON_STEPS},
};

/// What must be known of our chain to answer.
pub trait View {
    /// Height of our best block.
    fn best_number(&self) -> BlockNumber;
    /// Hash of the block at this height of our best chain.
    fn hash_at(&self, number: BlockNumber) -> Option<BlockHash>;
    /// Wire encoding of a header of any branch, and its parent's hash.
    fn header(&self, hash: &BlockHash) -> Option<(Bytes, BlockHash)>;
}

/// The answer to a request; `None` for everything that is no request for headers, and for what we cannot answer.
#[must_use]
pub fn answer(view: &impl View, request: &Message) -> Option<Message> {
    match *request {
        Message::BlockHashRequest { id, height } => block_hash(view, id, height),
        Message::SkeletonRequest { id, start } => skeleton(view, id, start),
        Message::HeadersRequest { id, ref hash, count } => headers(view, id, hash, count),
        _ => None,
    }
}

/// Height 0 is not answered: everybody knows genesis.
fn block_hash(view: &impl View, id: u64, height: u64) -> Option<Message> {
    let hash = (height > 0).then(|| view.hash_at(BlockNumber(height)))??;
    Some(Message::BlockHashResponse { id, hash })
}

/// Every 192nd block from the one at or below `start`, at most 20 steps, closed by our best block when it is nearer.
fn skeleton(view: &impl View, id: u64, start: u64) -> Option<Message> {
    let best = view.best_number().0;
    if start > best {
        return None;
    }
    let first = start - start % CHUNK_HEADERS;
    let last = best.min(first.saturating_add(CHUNK_HEADERS * SKELETON_STEPS));
    let mut entries = Vec::new();
    let mut number = first;
    while number < last {
        entries.push(entry(view, number)?);
        number = number.saturating_add(CHUNK_HEADERS);
    }
    entries.push(entry(view, number.min(best))?);
    Some(Message::SkeletonResponse { id, entries })
}

fn entry(view: &impl View, number: u64) -> Option<BlockId> {
    let number = BlockNumber(number);
    Some(BlockId { hash: view.hash_at(number)?, number })
}

/// The header and its ancestors, descending; fewer when genesis comes first.
fn headers(view: &impl View, id: u64, hash: &BlockHash, count: u64) -> Option<Message> {
    if count > CHUNK_HEADERS {
        return None;
    }
    let (first, mut parent) = view.header(hash)?;
    let mut headers = vec![first];
    for _ in 1..count {
        let Some((header, above)) = view.header(&parent) else { break };
        headers.push(header);
        parent = above;
    }
    Some(Message::HeadersResponse { id, headers })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain whose block n has hash [n, n, ..] and one-byte header n.
    struct Chain(u8);

    fn hash(number: u64) -> BlockHash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        BlockHash(bytes)
    }

    impl View for Chain {
        fn best_number(&self) -> BlockNumber {
            BlockNumber(u64::from(self.0) * 10)
        }

        fn hash_at(&self, number: BlockNumber) -> Option<BlockHash> {
            (number <= self.best_number()).then(|| hash(number.0))
        }

        fn header(&self, of: &BlockHash) -> Option<(Bytes, BlockHash)> {
            let number = (0..=self.best_number().0).find(|number| hash(*number) == *of)?;
            Some((Bytes::from(vec![1]), number.checked_sub(1).map_or(BlockHash([0xff; 32]), hash)))
        }
    }

    fn numbers(best: u8, start: u64) -> Option<Vec<u64>> {
        match answer(&Chain(best), &Message::SkeletonRequest { id: 1, start })? {
            Message::SkeletonResponse { entries, .. } => {
                Some(entries.iter().map(|entry| entry.number.0).collect())
            }
            _ => None,
        }
    }

    #[test]
    fn a_skeleton_starts_below_the_start_and_ends_with_the_best_block() {
        assert_eq!(numbers(50, 200), Some(vec![192, 384, 500]));
        assert_eq!(numbers(50, 500), Some(vec![384, 500]));
        assert_eq!(numbers(0, 0), Some(vec![0]));
        assert_eq!(numbers(50, 501), None);
    }

    #[test]
    fn genesis_hash_and_too_many_headers_are_met_with_silence() {
        let chain = Chain(50);
        assert_eq!(answer(&chain, &Message::BlockHashRequest { id: 1, height: 0 }), None);
        assert_eq!(answer(&chain, &Message::BlockHashRequest { id: 1, height: 501 }), None);
        assert_eq!(answer(&chain, &Message::HeadersRequest { id: 1, hash: hash(400), count: 193 }), None);
        assert_eq!(answer(&chain, &Message::HeadersRequest { id: 1, hash: hash(501), count: 1 }), None);
    }

    #[test]
    fn headers_end_at_genesis() {
        let ask = |number, count| match answer(
            &Chain(50),
            &Message::HeadersRequest { id: 1, hash: hash(number), count },
        ) {
            Some(Message::HeadersResponse { headers, .. }) => headers.len(),
            _ => 0,
        };
        assert_eq!((ask(300, 192), ask(5, 192), ask(300, 1)), (192, 6, 1));
    }
}
