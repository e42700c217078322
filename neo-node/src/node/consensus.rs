//! The task of a validator: it feeds the state machine of `neo-consensus` and carries out what it wants.

use std::{collections::BTreeMap, sync::Arc};

use neo_base::ledger::{Extensible, Transaction};
use neo_consensus::{ChangeViewForm, Effect, Input, Note, Rejection, Service, Settings, Tip};
use neo_contract::{
    engine::EngineError,
    native::{ledger, neo, policy},
    settings::bft_address,
};
use neo_crypto::secp256r1::{PrivateKey, PublicKey};
use neo_runtime::{
    Admission, Executed, Ledger, LedgerError,
    mempool::{Others, PoolEvent},
    verify::{self, VerifyError},
};
use shared_vendor::{
    app::{Context, Daemon},
    clock::{Clock, Time},
    datadir::DataDir,
    exit::Report,
    machine::Machine,
    tasks::{Stage, Stop},
};
use tokio::sync::{broadcast, mpsc};

use super::{chain::Request, network::Order};
use crate::config::Config;

/// File of the recovery log in the data directory.
const LOG: &str = "consensus.log";
/// Payloads that wait.
const QUEUE: usize = 1_024;

/// Channels of the task.
pub(super) struct Wires {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) blocks: mpsc::Sender<Request>,
    pub(super) executed: broadcast::Receiver<Arc<Executed>>,
    pub(super) pool: broadcast::Receiver<PoolEvent>,
}

/// Starts the task; what is returned takes payloads of consensus.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn spawn<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    ledger: Arc<Ledger>,
    admission: Arc<Admission>,
    keys: Vec<PrivateKey>,
    wires: Wires,
) -> Result<mpsc::Sender<Box<Extensible>>, Report> {
    let (inbox_sender, inbox) = mpsc::channel(QUEUE);
    let form = if ctx.config.old_change_view { ChangeViewForm::Plain } else { ChangeViewForm::WithRejected };
    let settings = Settings {
        network: ledger.settings().network,
        keys,
        max_block_size: ctx.config.max_block_size,
        max_block_system_fee: i64::try_from(ctx.config.max_block_fee).unwrap_or(i64::MAX),
        change_view_form: form,
        seed: super::seed(ctx)?,
    };
    let Wires { orders, blocks, executed, pool } = wires;
    let node = Node {
        service: Service::new(settings),
        data: Arc::clone(&ctx.data),
        clock: Arc::clone(&ctx.clock),
        ledger,
        admission,
        orders,
        blocks,
    };
    ctx.tasks.spawn_in(Stage::Work, "consensus", |stop| node.run(inbox, executed, pool, stop));
    Ok(inbox_sender)
}

struct Node {
    service: Service,
    ledger: Arc<Ledger>,
    admission: Arc<Admission>,
    data: Arc<DataDir>,
    clock: Arc<dyn Clock>,
    orders: mpsc::Sender<Order>,
    blocks: mpsc::Sender<Request>,
}

impl Node {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Box<Extensible>>,
        mut executed: broadcast::Receiver<Arc<Executed>>,
        mut pool: broadcast::Receiver<PoolEvent>,
        stop: Stop,
    ) -> Result<(), Report> {
        let saved = std::fs::read(self.data.join(LOG)).ok();
        let tip = self.tip()?;
        self.feed(Input::Start(Box::new(tip), saved)).await?;
        loop {
            let input = tokio::select! {
                biased;
                () = stop.wait() => return Ok(()),
                done = executed.recv() => match done {
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => Input::Persisted(Box::new(self.tip()?)),
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                () = until(&*self.clock, self.service.deadline()) => Input::Tick,
                Some(payload) = inbox.recv() => Input::Payload(payload),
                event = pool.recv() => match event {
                    Ok(PoolEvent::Added(tx)) => Input::Transactions(vec![tx]),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
            };
            self.feed(input).await?;
        }
    }

    /// Feeds the machine and carries out what it wants, until it wants nothing more.
    async fn feed(&mut self, input: Input) -> Result<(), Report> {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects = Vec::new();
            self.service.step(self.clock.now(), input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Save(log) => self.data.write(LOG, &log)?,
                    Effect::Broadcast(payload) => self.order(Order::Send(payload)).await,
                    Effect::Announce(hashes) => self.order(Order::Propose(hashes)).await,
                    Effect::Select { height, view, limit } => {
                        let transactions = self.admission.best(limit);
                        inputs.push(Input::Selected { height, view, transactions });
                    }
                    Effect::Fetch(hashes) => {
                        let found: Vec<_> =
                            hashes.iter().filter_map(|hash| self.admission.get(hash)).collect();
                        let missing =
                            hashes.into_iter().filter(|hash| !found.iter().any(|tx| tx.hash() == *hash));
                        let missing: Vec<_> = missing.collect();
                        if !missing.is_empty() {
                            self.order(Order::Need(missing)).await;
                        }
                        inputs.push(Input::Transactions(found));
                    }
                    Effect::Judge { height, view, transactions } => {
                        let ledger = Arc::clone(&self.ledger);
                        let verdict =
                            tokio::task::spawn_blocking(move || judge(&ledger, &transactions)).await;
                        let verdict = verdict.unwrap_or(Err(Rejection::OnChain));
                        inputs.push(Input::Judged { height, view, verdict });
                    }
                    Effect::Block(block) => {
                        let request = Request { block: Arc::new(*block), reply: None };
                        let _ = self.blocks.send(request).await;
                    }
                    Effect::Note(note) => tell(note),
                }
            }
        }
        Ok(())
    }

    async fn order(&self, order: Order) {
        let _ = self.orders.send(order).await;
    }

    /// What consensus must know of the chain.
    fn tip(&self) -> Result<Tip, Report> {
        self.read_tip().map_err(|err| {
            let err = LedgerError::State(err);
            super::report::ledger_failed(&err, err.is_damage())
        })
    }

    fn read_tip(&self) -> Result<Tip, EngineError> {
        let settings = self.ledger.settings();
        let view = self.ledger.view().map_err(|err| EngineError::Store(err.into()))?;
        let (hash, height) = ledger::current(&view)?.ok_or(EngineError::State("no current block"))?;
        let header =
            ledger::trimmed_block(&view, &hash)?.ok_or(EngineError::State("no block of the tip"))?.header;
        let before = ledger::trimmed_block(&view, &header.body().previous)?;
        let next = height.saturating_add(1);
        let validators = neo::next_validators(&view, settings)?;
        let after = if neo::refreshes_committee(next, settings.standby_committee.len()) {
            neo::compute_next_validators(&view, settings)?
        } else {
            validators.clone()
        };
        let changed =
            |block: ledger::TrimmedBlock| block.header.body().next_consensus != header.body().next_consensus;
        Ok(Tip {
            height,
            hash,
            timestamp: header.body().timestamp,
            validators: points(&validators),
            next_consensus: bft_address(&points(&after)),
            validators_changed: before.is_some_and(changed),
            block_time: std::time::Duration::from_millis(policy::ms_per_block(&view, settings)?.into()),
            max_transactions: usize::try_from(settings.max_transactions_per_block).unwrap_or(usize::MAX),
            wall: self.clock.wall().as_millis(),
        })
    }
}

/// Verifies the transactions of a proposal together.
fn judge(ledger: &Ledger, transactions: &[Arc<Transaction>]) -> Result<(), Rejection> {
    let Ok(view) = ledger.view() else { return Err(Rejection::OnChain) };
    let (mut fees, mut answers): (BTreeMap<_, i64>, Vec<u64>) = (BTreeMap::new(), Vec::new());
    for tx in transactions {
        let (body, hash) = (tx.body(), tx.hash());
        let spent = fees.entry(body.sender()).or_default();
        let mut others = Others { sender_fees: *spent, oracle_answered: false };
        *spent = spent.saturating_add(body.system_fee).saturating_add(body.network_fee);
        for attribute in &body.attributes {
            if let neo_base::ledger::Attribute::OracleResponse { id, .. } = attribute {
                others.oracle_answered = answers.contains(id);
                answers.push(*id);
            }
        }
        verify::verify_in_block(ledger.settings(), &view, tx, others).map_err(|err| match err {
            VerifyError::AlreadyExists | VerifyError::Excluded => Rejection::OnChain,
            VerifyError::Blocked(_) => Rejection::Policy(hash),
            _ => Rejection::Invalid(hash),
        })?;
    }
    Ok(())
}

fn tell(note: Note) {
    match note {
        Note::View { height, view, role } => {
            tracing::debug!(target: "consensus", height, view, role = ?role, "view");
            if view > 0 {
                tracing::warn!(target: "consensus", height, view, "the view has changed");
            }
        }
        Note::ChangeAsked { height, view, reason } => {
            tracing::info!(target: "consensus", height, view, reason = ?reason, "asking for another view");
        }
        Note::RecoveryAsked { height } => {
            tracing::info!(target: "consensus", height, "asking what was missed")
        }
        Note::Refused { height, validator, reason } => {
            tracing::warn!(target: "consensus", height, validator, reason, "a message was refused");
        }
        Note::Behind { height } => tracing::debug!(target: "consensus", height, "others are ahead"),
    }
}

fn points(keys: &[[u8; 33]]) -> Vec<PublicKey> {
    keys.iter().filter_map(|key| PublicKey::from_bytes(key)).collect()
}

pub(super) async fn until(clock: &dyn Clock, deadline: Option<Time>) {
    let Some(deadline) = deadline else { return std::future::pending().await };
    loop {
        let left = deadline.since(clock.now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}
