//! The task that adds blocks, one after the other, whoever made or sent them.

use std::{sync::Arc, time::Duration};

use neo_base::{UInt256, ledger::Block};
use neo_rpc::{SubmittedBlock, error};
use neo_runtime::{Admission, Executed, Ledger, PersistError};
use shared_vendor::{
    app::{Context, Daemon},
    exit::{self, Report},
    rpc::Error,
    tasks::{Stage, Stop},
};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::{cli::ledger_failed, config::Config};

/// Blocks between two lines about the index of tokens.
const TOKENS_REPORT: u32 = 10_000;

/// A block to add, and where to tell what became of it.
pub(super) struct Request {
    pub(super) block: Arc<Block>,
    pub(super) reply: Option<oneshot::Sender<Outcome>>,
}

/// What became of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is on the chain now, or was before.
    Added,
    /// Its height is not the next one.
    OutOfOrder,
    /// It breaks a rule; the text says which.
    Refused(String),
}

/// Starts the task. A failure of the store ends the process.
pub(super) fn spawn<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    ledger: Arc<Ledger>,
    admission: Arc<Admission>,
    mut requests: mpsc::Receiver<Request>,
    executed: broadcast::Sender<Arc<Executed>>,
) {
    let (clock, metrics) = (Arc::clone(&ctx.clock), ctx.metrics.clone());
    ctx.tasks.spawn_in(Stage::Store, "chain", |stop| async move {
        index_tokens(&ledger, &stop).await?;
        loop {
            let request = tokio::select! {
                () = stop.wait() => break,
                request = requests.recv() => request,
            };
            let Some(Request { block, reply }) = request else { break };
            let started = clock.now();
            let result = {
                let (ledger, block) = (Arc::clone(&ledger), Arc::clone(&block));
                tokio::task::spawn_blocking(move || persist(&ledger, block)).await
            };
            let result =
                result.unwrap_or_else(|err| Err(Box::new(Report::new(exit::UNEXPECTED, err.to_string()))));
            let outcome = match result {
                Err(report) => return Err(*report),
                Ok(Err(outcome)) => outcome,
                Ok(Ok(done)) => {
                    metrics.block_apply.observe(clock.now().since(started).as_secs_f64());
                    let limit = Duration::from_millis(u64::from(ledger.settings().ms_per_block) / 3);
                    let (pool, clock, added) =
                        (Arc::clone(&admission), Arc::clone(&clock), Arc::clone(&done));
                    let until = clock.now().after(limit);
                    let _ =
                        tokio::task::spawn_blocking(move || pool.on_block(&added, || clock.now() < until))
                            .await;
                    let _ = executed.send(done);
                    Outcome::Added
                }
            };
            if let Outcome::Refused(reason) = &outcome {
                let height = block.header.body().index;
                tracing::warn!(target: "chain", height, reason, "a block was refused");
            }
            if let Some(reply) = reply {
                let _ = reply.send(outcome);
            }
        }
        let flushed = tokio::task::spawn_blocking(move || ledger.flush()).await;
        match flushed {
            Ok(Err(err)) => Err(super::report::ledger_failed(&err, err.is_damage())),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    });
}

/// Indexes tokens of the blocks that came while there was no index. No block is added meanwhile.
async fn index_tokens(ledger: &Arc<Ledger>, stop: &Stop) -> Result<(), Report> {
    let (ledger, stop) = (Arc::clone(ledger), stop.clone());
    let go_on = move |height: u32| {
        if height.is_multiple_of(TOKENS_REPORT) && height > 0 {
            tracing::info!(target: "chain", height, "indexing tokens");
        }
        !stop.is_set()
    };
    let indexed = tokio::task::spawn_blocking(move || ledger.index_tokens(go_on)).await;
    match indexed {
        Ok(Err(err)) => Err(ledger_failed(&err)),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

type Persisted = Result<Result<Arc<Executed>, Outcome>, Box<Report>>;

fn persist(ledger: &Ledger, block: Arc<Block>) -> Persisted {
    match ledger.persist(block) {
        Ok(executed) => Ok(Ok(Arc::new(executed))),
        Err(PersistError::Height { .. }) => Ok(Err(Outcome::OutOfOrder)),
        Err(err) if err.is_fault_of_block() => {
            Ok(Err(Outcome::Refused(shared_vendor::log::Chain(&err).to_string())))
        }
        Err(err) => Err(Box::new(super::report::ledger_failed(&err, err.is_damage()))),
    }
}

/// Adds the blocks that RPC callers submit.
pub(super) fn take_submitted<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    mut submitted: mpsc::Receiver<SubmittedBlock>,
    blocks: mpsc::Sender<Request>,
) {
    ctx.tasks.spawn_in(Stage::Serve, "submitted", |stop| async move {
        loop {
            let (block, answer) = tokio::select! {
                () = stop.wait() => return Ok(()),
                next = submitted.recv() => match next {
                    Some(next) => next,
                    None => return Ok(()),
                },
            };
            let hash = block.header.hash();
            let (reply, outcome) = oneshot::channel();
            let request = Request { block: Arc::new(block), reply: Some(reply) };
            if blocks.send(request).await.is_err() {
                return Ok(());
            }
            let _ = answer.send(shown(hash, outcome.await.ok()));
        }
    });
}

fn shown(hash: UInt256, outcome: Option<Outcome>) -> Result<UInt256, Error> {
    match outcome {
        Some(Outcome::Added) => Ok(hash),
        Some(Outcome::OutOfOrder) => Err(error::already_exists()),
        Some(Outcome::Refused(reason)) => Err(error::because(error::verification_failed(), reason)),
        None => Err(error::internal()),
    }
}
