//! Answers to peers that ask for headers, blocks and inventory. Mirrors the `OnGet..` handlers of
//! `RemoteNode.ProtocolHandler.cs`.

use neo_base::{UInt256, ledger::Header};
use neo_contract::native::ledger;
use neo_p2p::{
    Message,
    payload::{
        BlockRequest, HashRequest, Hashes, HeaderList, InventoryKind, MAX_BLOCKS_SENT, MAX_HASHES,
        MAX_HEADERS,
    },
    peer::Input,
    transport::Orders,
};
use neo_runtime::{Admission, Ledger, LedgerView};

/// What can be answered from ledger and pool.
pub(super) enum Question {
    Headers(BlockRequest),
    Blocks(BlockRequest),
    Hashes(HashRequest),
    Data(Hashes),
    Mempool,
}

/// Sends the answer, message by message; stops when the peer is gone or the store fails.
pub(super) fn answer(ledger: &Ledger, admission: &Admission, question: &Question, to: &Orders) {
    let Ok(view) = ledger.view() else { return };
    match question {
        Question::Headers(request) => headers(&view, request, to),
        Question::Blocks(request) => blocks(&view, request, to),
        Question::Hashes(request) => hashes(&view, request, to),
        Question::Data(wanted) => data(&view, admission, wanted, to),
        Question::Mempool => {
            let (verified, _) = admission.hashes();
            for part in verified.chunks(MAX_HASHES) {
                let hashes = Hashes { kind: InventoryKind::Transaction, hashes: part.to_vec() };
                if !give(to, Message::Inventory(Box::new(hashes))) {
                    return;
                }
            }
        }
    }
}

fn give(to: &Orders, message: Message) -> bool {
    to.give_blocking(Input::Send(message))
}

fn count(asked: Option<u16>, most: usize) -> u32 {
    let count = asked.map_or(most, |count| usize::from(count).min(most));
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn headers(view: &LedgerView<'_>, request: &BlockRequest, to: &Orders) {
    let end = request.start.saturating_add(count(request.count, MAX_HEADERS));
    let found: Vec<Header> = (request.start..end).map_while(|height| header(view, height)).collect();
    if !found.is_empty() {
        let _ = give(to, Message::Headers(Box::new(HeaderList(found))));
    }
}

fn header(view: &LedgerView<'_>, height: u32) -> Option<Header> {
    let hash = ledger::block_hash(view, height).ok()??;
    Some(ledger::trimmed_block(view, &hash).ok()??.header)
}

fn blocks(view: &LedgerView<'_>, request: &BlockRequest, to: &Orders) {
    let end = request.start.saturating_add(count(request.count, MAX_BLOCKS_SENT));
    for height in request.start..end {
        let Ok(Some(hash)) = ledger::block_hash(view, height) else { return };
        let Ok(Some(block)) = ledger::block(view, &hash) else { return };
        if !give(to, Message::Block(Box::new(block))) {
            return;
        }
    }
}

fn hashes(view: &LedgerView<'_>, request: &HashRequest, to: &Orders) {
    let Ok(Some(start)) = ledger::trimmed_block(view, &request.start) else { return };
    let first = start.header.body().index.saturating_add(1);
    let end = first.saturating_add(count(request.count, MAX_HASHES));
    let found = (first..end).map_while(|height| ledger::block_hash(view, height).ok().flatten());
    let hashes = Hashes { kind: InventoryKind::Block, hashes: found.collect() };
    if !hashes.hashes.is_empty() {
        let _ = give(to, Message::Inventory(Box::new(hashes)));
    }
}

fn data(view: &LedgerView<'_>, admission: &Admission, wanted: &Hashes, to: &Orders) {
    let mut missing = Vec::new();
    for hash in &wanted.hashes {
        match found(view, admission, wanted.kind, hash) {
            Some(message) => {
                if !give(to, message) {
                    return;
                }
            }
            None => missing.push(*hash),
        }
    }
    if !missing.is_empty() {
        let hashes = Hashes { kind: wanted.kind, hashes: missing };
        let _ = give(to, Message::NotFound(Box::new(hashes)));
    }
}

fn found(
    view: &LedgerView<'_>,
    admission: &Admission,
    kind: InventoryKind,
    hash: &UInt256,
) -> Option<Message> {
    match kind {
        InventoryKind::Transaction => {
            let tx = admission.get(hash)?;
            Some(Message::Transaction(Box::new((*tx).clone())))
        }
        InventoryKind::Block => Some(Message::Block(Box::new(ledger::block(view, hash).ok()??))),
        InventoryKind::Extensible => None,
    }
}
