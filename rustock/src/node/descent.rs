//! A start at a checkpoint and the headers below it: carries values between the machine that asks for them, the blocking
//! pool that checks them, and the chain.

use std::sync::Arc;

use bytes::Bytes;
use rayon::prelude::*;
use shared_vendor::{
    clock::Time,
    exit::{Code, Exit, Report},
    machine::Machine,
};
use tokio::sync::mpsc;

use super::{best_status, header_sync};
use crate::{
    chain::{Below, Chain, DescentError, WrongCheckpoint},
    codec::decode_headers,
    params::Checkpoint,
    store::StoreError,
    sync::{
        self, Fault,
        checkpoint::{Descent, Effect, Input, NEEDED, Stored},
    },
    types::{BlockHash, Header},
    wire::rsk::BlockId,
};

/// A checkpoint is not on the chain.
pub const CHECKPOINT_REFUSED: Code = Code {
    id: "E0604",
    exit: Exit::Config,
    title: "the checkpoint is wrong",
    text: "The message says what contradicts it. Compare `sync.checkpoint` with a block explorer, or leave it out to verify everything from genesis. If the database began at it, remove the folder `db` in the data directory of the network.",
};

/// Says to the operator what is wrong with a checkpoint.
pub(super) fn refusal(checkpoint: &Checkpoint, err: &WrongCheckpoint) -> Report {
    Report::new(
        CHECKPOINT_REFUSED,
        format!("the checkpoint {} {} is wrong", checkpoint.number, checkpoint.hash),
    )
    .because(err)
    .advice("correct `sync.checkpoint`, or leave it out")
}

/// A checkpoint against a chain that is stored already.
///
/// # Errors
/// The chain has another block at its height.
pub(super) fn compare(
    chain: &Chain,
    checkpoint: &Checkpoint,
) -> Result<Result<(), WrongCheckpoint>, StoreError> {
    let stored = chain.hash_by_number(checkpoint.number)?;
    Ok(match stored.filter(|stored| *stored != checkpoint.hash) {
        Some(stored) => Err(WrongCheckpoint::Stored { stored }),
        None => Ok(()),
    })
}

/// What the node is to do.
pub(super) enum Out {
    Send(u64, crate::wire::rsk::Message),
    Fault(u64),
    Refuse(BlockHash),
}

/// Headers down from a checkpoint, until there are enough of them.
#[derive(Debug)]
struct Anchor {
    checkpoint: Checkpoint,
    headers: Vec<Header>,
}

/// How a job ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) result: Result<Stored, DescentError>,
    /// The chain begins at the checkpoint now.
    pub(super) adopted: bool,
    anchor: Option<Anchor>,
}

pub(super) struct Desk {
    machine: Descent,
    chain: Arc<Chain>,
    done: mpsc::Sender<Finished>,
    checkpoint: Option<Checkpoint>,
    anchor: Option<Anchor>,
    anchored: bool,
}

impl Desk {
    /// For a chain at genesis and a checkpoint, or one that began at a checkpoint and lacks what lies below; `None` when
    /// nothing is to be done.
    pub(super) fn new(
        chain: &Arc<Chain>,
        checkpoint: Option<Checkpoint>,
        done: mpsc::Sender<Finished>,
    ) -> Result<Option<Self>, StoreError> {
        let (machine, anchor) = match (chain.lowest()?, checkpoint) {
            (Some((number, parent)), _) => (Descent::below(number, parent), None),
            (None, Some(checkpoint)) if chain.tip().number.0 == 0 => {
                let block = BlockId { hash: checkpoint.hash, number: checkpoint.number };
                (Descent::from_checkpoint(block), Some(Anchor { checkpoint, headers: Vec::new() }))
            }
            _ => return Ok(None),
        };
        let began = chain.checkpoint().map(|tip| Checkpoint {
            number: tip.number,
            hash: tip.hash,
            total_difficulty: tip.total_difficulty,
        });
        let anchored = anchor.is_none();
        Ok(Some(Self {
            machine,
            chain: Arc::clone(chain),
            done,
            checkpoint: began.or(checkpoint),
            anchor,
            anchored,
        }))
    }

    /// The chain cannot go on yet.
    pub(super) fn is_holding(&self) -> bool {
        !self.anchored
    }

    /// The checkpoint that the chain begins at, or is to begin at.
    pub(super) fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.machine.deadline()
    }

    pub(super) fn step(&mut self, now: Time, input: Input) -> Vec<Out> {
        let mut effects = Vec::new();
        self.machine.step(now, input, &mut effects);
        let mut outs = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send(peer, message) => outs.push(Out::Send(peer, message)),
                Effect::Fault(peer, _) => outs.push(Out::Fault(peer)),
                Effect::Refuse(theirs) => outs.push(Out::Refuse(theirs)),
                Effect::Store(wires) => {
                    let (chain, done, anchor) =
                        (Arc::clone(&self.chain), self.done.clone(), self.anchor.take());
                    drop(tokio::task::spawn_blocking(move || {
                        let _ = done.blocking_send(store(&chain, anchor, wires));
                    }));
                }
            }
        }
        outs
    }

    /// Takes a job back; what the machine is to be told.
    pub(super) fn finished(&mut self, finished: Finished) -> Result<Stored, DescentError> {
        self.anchor = finished.anchor;
        self.anchored |= finished.adopted;
        match finished.result {
            Err(DescentError::Unfit { .. }) => Ok(Stored::Unfit),
            other => other,
        }
    }
}

fn store(chain: &Chain, mut anchor: Option<Anchor>, wires: Vec<Bytes>) -> Finished {
    let decoded: Result<Vec<Header>, _> = wires
        .into_par_iter()
        .chunks(super::import::DECODED_AT_ONCE)
        .flat_map_iter(|wires| decode_headers(chain.params(), wires))
        .collect();
    let mut adopted = false;
    let result = match (decoded, &mut anchor) {
        (Err(err), _) => {
            tracing::debug!(target: "sync", error = %err, "header below the checkpoint cannot be decoded");
            Err(DescentError::Unfit { from: BlockHash::ZERO })
        }
        (Ok(headers), None) => chain.extend_down(headers).map(below),
        (Ok(headers), Some(collected)) => match collected.add(headers) {
            Ok(None) => collected.adopt(chain).inspect(|_| adopted = true),
            Ok(Some(next)) => Ok(Stored::Next(next)),
            Err(err) => Err(err),
        },
    };
    if adopted {
        anchor = None;
    }
    Finished { result, adopted, anchor }
}

impl Anchor {
    /// Adds headers that continue downwards; returns what comes next, or nothing when there are enough.
    fn add(&mut self, headers: Vec<Header>) -> Result<Option<BlockHash>, DescentError> {
        let mut next = self.headers.last().map_or(self.checkpoint.hash, Header::parent_hash);
        let fits = headers.iter().all(|header| {
            let fits = header.hash() == next;
            next = header.parent_hash();
            fits
        });
        let Some(lowest) = headers.last().map(Header::number).filter(|_| fits) else {
            return Err(DescentError::Unfit { from: next });
        };
        if let Some(first) = headers.first().filter(|_| self.headers.is_empty())
            && first.number() != self.checkpoint.number
        {
            return Err(WrongCheckpoint::Number { actual: first.number() }.into());
        }
        self.headers.extend(headers);
        let enough = u64::try_from(self.headers.len()).is_ok_and(|count| count >= NEEDED) || lowest.0 <= 1;
        Ok((!enough).then_some(next))
    }

    fn adopt(&mut self, chain: &Chain) -> Result<Stored, DescentError> {
        chain.adopt(&self.checkpoint, std::mem::take(&mut self.headers)).map(below)
    }
}

fn below(below: Below) -> Stored {
    match below {
        Below::Next(hash) => Stored::Next(hash),
        Below::Nothing => Stored::Complete,
    }
}

impl super::Node {
    pub(super) fn on_descent(&mut self, input: Input) {
        let Some(descent) = &mut self.descent else { return };
        for out in descent.step(self.clock.now(), input) {
            match out {
                Out::Send(key, message) => self.send(key, message),
                Out::Fault(key) => self.on_fault(key, Fault::InvalidMessage),
                Out::Refuse(theirs) => self.refuse(&WrongCheckpoint::Contradicted { theirs }),
            }
        }
    }

    pub(super) fn refuse(&mut self, err: &WrongCheckpoint) {
        let checkpoint = self.descent.as_ref().and_then(Desk::checkpoint).or(self.pin.as_ref());
        self.refused = checkpoint.map(|checkpoint| refusal(checkpoint, err));
    }

    /// Headers at or below a checkpoint have been checked and stored, or not.
    pub(super) fn on_descended(&mut self, finished: Finished) -> Result<(), Report> {
        let Some(descent) = &mut self.descent else { return Ok(()) };
        let adopted = finished.adopted;
        match descent.finished(finished) {
            Ok(stored) => {
                if adopted {
                    self.begin_at_checkpoint();
                }
                self.on_descent(Input::Stored(stored));
                if stored == Stored::Complete {
                    tracing::info!(target: "sync", "all headers below the checkpoint are here");
                    self.descent = None;
                }
                Ok(())
            }
            Err(DescentError::Wrong(err)) => {
                self.refuse(&err);
                Ok(())
            }
            Err(DescentError::Store(err)) => Err((self.store_failure)(&err)),
            Err(DescentError::Unfit { .. }) => Ok(()),
        }
    }

    /// The chain has jumped to its checkpoint: the download of what lies above begins.
    fn begin_at_checkpoint(&mut self) {
        let (best, time) = best_status(&self.chain);
        tracing::info!(target: "sync", height = %best.best.number, hash = %best.best.hash, "the chain begins at its checkpoint");
        self.best.send_replace(best);
        self.reporter.tip_changed(self.chain.tip(), time);
        self.sync = header_sync(&self.chain);
        for key in self.peers.keys().copied().collect::<Vec<_>>() {
            self.step(sync::Input::PeerReady(key));
            if let Some(block) = self.heard.get(&key).copied() {
                self.step(sync::Input::Announced(key, block));
            }
        }
    }
}
