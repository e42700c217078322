//! What a validator must not forget over a restart: once it has committed to a block of a height, it may not commit to
//! another. Written before a commit is sent. Mirrors `ConsensusContext.Serialize`.

use std::sync::Arc;

use neo_base::{
    UInt160, UInt256,
    codec::{DecodeError, Result, Wire, read_bool, read_list, read_var_int, write_count, write_list},
    ledger::{Extensible, Transaction},
};
use shared_vendor::bytes::{Reader, Writer};

use crate::round::{Judgement, Round, Signed};

/// Most items of a list.
const MAX_ITEMS: usize = 65535;

/// A height as it was when this node committed.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) index: u32,
    timestamp: u64,
    nonce: u64,
    primary: u8,
    view: u8,
    hashes: Vec<UInt256>,
    transactions: Vec<Transaction>,
    /// Preparations, commits, requests for change, those that led to the view.
    payloads: [Vec<Option<Extensible>>; 4],
}

/// The bytes for the log.
pub(crate) fn save(round: &Round) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32_le(0).u32_le(round.index).u64_le(round.timestamp).u64_le(round.nonce).u8(round.primary);
    round.tip.next_consensus.write(&mut out);
    out.u8(round.view);
    write_list(&mut out, round.hashes.as_deref().unwrap_or_default());
    write_count(&mut out, round.transactions.len());
    round.transactions.values().for_each(|tx| tx.write(&mut out));
    for list in [&round.preparations, &round.commits, &round.change_views, &round.last_change_views] {
        write_count(&mut out, list.len());
        for item in list {
            out.u8(u8::from(item.is_some()));
            if let Some(signed) = item {
                signed.payload.write(&mut out);
            }
        }
    }
    out.into_vec()
}

/// Reads the height of a log, so that an operator can be told what it holds.
///
/// # Errors
/// The bytes are no log.
pub fn height(bytes: &[u8]) -> Result<u32> {
    Saved::read(bytes).map(|saved| saved.index)
}

fn read_payloads(reader: &mut Reader<'_>) -> Result<Vec<Option<Extensible>>> {
    let count = read_var_int(reader)?;
    let count = reader.count(count, 255, 1)?;
    (0..count)
        .map(|_| if read_bool(reader)? { Extensible::read(reader).map(Some) } else { Ok(None) })
        .collect()
}

impl Saved {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let reader = &mut Reader::new(bytes);
        if reader.u32_le()? != 0 {
            return Err(DecodeError::Invalid("unknown version of a block"));
        }
        let (index, timestamp, nonce) = (reader.u32_le()?, reader.u64_le()?, reader.u64_le()?);
        let primary = reader.u8()?;
        UInt160::read(reader)?;
        let view = reader.u8()?;
        let hashes = read_list(reader, MAX_ITEMS, 32)?;
        let transactions = read_list(reader, MAX_ITEMS, 1)?;
        let payloads =
            [read_payloads(reader)?, read_payloads(reader)?, read_payloads(reader)?, read_payloads(reader)?];
        Ok(Self { index, timestamp, nonce, primary, view, hashes, transactions, payloads })
    }

    /// Puts everything back; false when the log is of another height or of other validators, and nothing is changed.
    pub(crate) fn restore(self, round: &mut Round) -> bool {
        let n = round.n();
        if self.index != round.index || self.payloads.iter().any(|list| list.len() != n) {
            return false;
        }
        round.enter(self.view);
        (round.timestamp, round.nonce, round.primary) = (self.timestamp, self.nonce, self.primary);
        let mut lists = self
            .payloads
            .map(|list| list.into_iter().map(|payload| payload.and_then(Signed::read)).collect::<Vec<_>>());
        for (kept, list) in [
            &mut round.preparations,
            &mut round.commits,
            &mut round.change_views,
            &mut round.last_change_views,
        ]
        .into_iter()
        .zip(&mut lists)
        {
            std::mem::swap(kept, list);
        }
        if round.has_request() {
            round.hashes = Some(self.hashes);
            round.transactions = self.transactions.into_iter().map(|tx| (tx.hash(), Arc::new(tx))).collect();
            round.judgement = Judgement::Good;
        }
        true
    }
}
