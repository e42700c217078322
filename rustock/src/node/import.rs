//! Decoding, verifying and storing a run of headers, off the network's tasks.

use std::{sync::Arc, time::Duration};

use rayon::prelude::*;
use shared_vendor::clock::Clock;
use tokio::sync::mpsc;

use crate::{
    chain::{Chain, InsertError, Inserted},
    codec::decode_headers,
    store::StoreError,
    sync::{Imported, Part},
    types::{Blame, Header, Timestamp},
    wire::rsk::BlockId,
};

/// Headers that one core decodes at a time.
pub(super) const DECODED_AT_ONCE: usize = 64;

/// How an import ended.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) job: u64,
    pub(super) result: Imported,
    pub(super) inserted: Option<Inserted>,
    pub(super) took: Duration,
    /// The store failed: the process cannot go on.
    pub(super) failure: Option<StoreError>,
}

/// Imports on the blocking pool. The sync machine asks for one job at a time.
pub(super) fn spawn(
    chain: Arc<Chain>,
    clock: &Arc<dyn Clock>,
    done: mpsc::Sender<Done>,
    job: u64,
    parts: Vec<Part>,
) {
    let clock = Arc::clone(clock);
    drop(tokio::task::spawn_blocking(move || {
        let begun = clock.now();
        let (result, inserted, failure) = import(&chain, Timestamp(clock.wall().as_secs()), parts);
        let took = clock.now().since(begun);
        let _ = done.blocking_send(Done { job, result, inserted, took, failure });
    }));
}

fn import(
    chain: &Chain,
    now: Timestamp,
    parts: Vec<Part>,
) -> (Imported, Option<Inserted>, Option<StoreError>) {
    let ends = parts.iter().scan(0_usize, |end, part| {
        *end = end.saturating_add(part.headers.len());
        Some((*end, part.top))
    });
    let ends: Vec<(usize, BlockId)> = ends.collect();
    let part_of = |index: usize| ends.iter().take_while(|(end, _)| *end <= index).count();
    // On all cores, many at once: hashing several headers takes hardly longer than one.
    let wires: Vec<_> = parts.into_iter().flat_map(|part| part.headers).collect();
    let decoded: Vec<_> = wires
        .into_par_iter()
        .chunks(DECODED_AT_ONCE)
        .flat_map_iter(|wires| decode_headers(chain.params(), wires))
        .collect();
    let mut headers: Vec<Header> = Vec::with_capacity(decoded.len());
    let mut refused = None;
    for (index, header) in decoded.into_iter().enumerate() {
        let part = part_of(index);
        let header = match header {
            Ok(header) => header,
            Err(err) => {
                tracing::debug!(target: "sync", error = %err, "header cannot be decoded");
                refused = Some(Imported::Unfit { part });
                break;
            }
        };
        let begins = index.checked_sub(1).is_none_or(|below| part_of(below) != part);
        let follows = headers.last().is_none_or(|last| last.hash() == header.parent_hash());
        let top = ends.get(part).filter(|(end, _)| *end == index.saturating_add(1)).map(|(_, top)| *top);
        refused = match top {
            Some(top) if header.hash() != top.hash => Some(Imported::Unfit { part }),
            Some(top) if header.number() != top.number => Some(Imported::Misplaced { part }),
            _ if follows => None,
            _ if begins => Some(Imported::Misplaced { part }),
            _ => Some(Imported::Unfit { part }),
        };
        if refused.is_some() {
            break;
        }
        headers.push(header);
    }
    if let Some(Imported::Unfit { part } | Imported::Misplaced { part }) = refused {
        // What lies below the part is as good as it was.
        let below = part.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |(end, _)| *end);
        headers.truncate(below);
    }
    let added = match chain.insert_headers(headers, now) {
        Ok(inserted) => inserted,
        Err(InsertError::UnknownParent { .. }) => return (Imported::Misplaced { part: 0 }, None, None),
        Err(InsertError::Rejected { index, hash, rule }) => {
            tracing::warn!(target: "sync", %hash, rule = rule.name(), error = %rule, "header refused");
            let blamed = rule.blame() == Blame::Peer;
            let part = part_of(index);
            return (if blamed { Imported::Invalid { part } } else { Imported::Failed }, None, None);
        }
        Err(InsertError::Store(err)) => return (Imported::Failed, None, Some(err)),
    };
    let tip = BlockId { hash: added.tip.hash, number: added.tip.number };
    let result = refused.unwrap_or(Imported::Stored { tip, added: added.added });
    (result, Some(added), None)
}
