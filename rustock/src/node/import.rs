//! Decoding, verifying and storing a chunk of headers, off the network's tasks.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use shared_vendor::clock::Clock;
use tokio::sync::mpsc;

use crate::{
    chain::{Chain, InsertError, Inserted},
    codec::decode_headers,
    store::StoreError,
    sync::Imported,
    types::{Blame, Header, Timestamp},
    wire::rsk::BlockId,
};

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
    top: BlockId,
    headers: Vec<Bytes>,
) {
    let clock = Arc::clone(clock);
    drop(tokio::task::spawn_blocking(move || {
        let begun = clock.now();
        let (result, inserted, failure) = import(&chain, Timestamp(clock.wall().as_secs()), top, headers);
        let took = clock.now().since(begun);
        let _ = done.blocking_send(Done { job, result, inserted, took, failure });
    }));
}

fn import(
    chain: &Chain,
    now: Timestamp,
    top: BlockId,
    headers: Vec<Bytes>,
) -> (Imported, Option<Inserted>, Option<StoreError>) {
    let decoded: Result<Vec<Header>, _> = decode_headers(chain.params(), headers).into_iter().collect();
    let headers = match decoded {
        Ok(headers) if headers.last().is_some_and(|last| last.hash() == top.hash) => headers,
        Ok(_) => return (Imported::Invalid, None, None),
        Err(err) => {
            tracing::debug!(target: "sync", error = %err, "header cannot be decoded");
            return (Imported::Invalid, None, None);
        }
    };
    match chain.insert_headers(headers, now) {
        Ok(inserted) => {
            let tip = inserted.tip;
            (Imported::Stored(BlockId { hash: tip.hash, number: tip.number }), Some(inserted), None)
        }
        Err(InsertError::UnknownParent { .. }) => (Imported::NoParent, None, None),
        Err(InsertError::Rejected { hash, rule, .. }) => {
            tracing::warn!(target: "sync", %hash, rule = rule.name(), error = %rule, "header refused");
            let blamed = rule.blame() == Blame::Peer;
            (if blamed { Imported::Invalid } else { Imported::Failed }, None, None)
        }
        Err(InsertError::Store(err)) => (Imported::Failed, None, Some(err)),
    }
}
