//! Answers questions about what is accepted and hands out blocks, whatever else the chain is doing.
//! Mirrors `snow/engine/snowman/getter/getter.go`.

use avalanche_ids::{Id, NodeId};

use crate::{
    chain::Chain,
    message::{Content, MAX_IDS},
    networking::outbox::Outbox,
};

/// Most blocks in one answer.
pub const MAX_ANCESTORS: usize = 2000;
/// Most bytes in one answer: four fifths of the longest message.
pub const MAX_ANCESTORS_BYTES: usize = (2 << 20) * 4 / 5;
/// Bytes that a block costs beside its content.
const BLOCK_OVERHEAD: usize = 4;

/// Answers a question; false when this is none of those answered here.
pub fn answer(
    node: NodeId,
    request: u32,
    content: &Content,
    chain: &mut impl Chain,
    out: &mut Outbox,
) -> bool {
    match content {
        Content::GetAcceptedFrontier => {
            out.answer(node, request, Content::AcceptedFrontier(chain.last_accepted().0));
        }
        Content::GetAccepted(ids) => {
            let (_, last) = chain.last_accepted();
            let mut accepted = Vec::new();
            for id in ids.iter().take(MAX_IDS) {
                let height = chain.block(*id).map(|block| block.height).filter(|height| *height <= last);
                if height.and_then(|height| chain.accepted_at(height)) == Some(*id) {
                    accepted.push(*id);
                }
            }
            out.answer(node, request, Content::Accepted(accepted));
        }
        Content::GetAncestors(id) => {
            out.answer(node, request, Content::Ancestors(ancestors(*id, chain)));
        }
        Content::Get(id) => {
            if let Some(block) = chain.block(*id) {
                out.answer(node, request, Content::Put(block.bytes.to_vec()));
            }
        }
        _ => return false,
    }
    true
}

/// A block and those below it, as many as one answer takes; none says that somebody else should be asked.
fn ancestors(id: Id, chain: &mut impl Chain) -> Vec<Vec<u8>> {
    let (mut blocks, mut bytes, mut next) = (Vec::new(), 0_usize, id);
    while blocks.len() < MAX_ANCESTORS
        && let Some(block) = chain.block(next)
    {
        bytes = bytes.saturating_add(block.bytes.len()).saturating_add(BLOCK_OVERHEAD);
        if bytes > MAX_ANCESTORS_BYTES && !blocks.is_empty() {
            break;
        }
        blocks.push(block.bytes.to_vec());
        next = block.parent;
    }
    blocks
}
