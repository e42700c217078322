//! The task of state roots: it keeps the signed ones that come from the network, and, with the key of a state validator, feeds the
//! state machine that signs them.

use std::{sync::Arc, time::Duration};

use neo_base::{codec::Wire, ledger::Extensible};
use neo_contract::native::policy;
use neo_crypto::secp256r1::PrivateKey;
use neo_runtime::{
    Executed, Ledger, LedgerError, SignedRoot, StateRoot,
    state_root::{
        message::{Message, VOTE_LIFE},
        voting::{Effect, Input, Note, Settings, Voting},
    },
};
use shared_vendor::{
    app::{Context, Daemon},
    clock::Clock,
    exit::Report,
    machine::Machine,
    tasks::{Stage, Stop},
};
use tokio::sync::{broadcast, mpsc};

use super::{consensus::until, network::Order};
use crate::config::Config;

/// Payloads that wait.
const QUEUE: usize = 256;

/// Starts the task; what is returned takes payloads of the state service whose witness is good.
pub(super) fn spawn<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    ledger: Arc<Ledger>,
    keys: Vec<PrivateKey>,
    orders: mpsc::Sender<Order>,
    executed: broadcast::Receiver<Arc<Executed>>,
) -> mpsc::Sender<Box<Extensible>> {
    let (inbox_sender, inbox) = mpsc::channel(QUEUE);
    let signs = !keys.is_empty();
    let voting = Voting::new(Settings { network: ledger.settings().network, keys });
    let node = Node { voting, signs, ledger, orders, clock: Arc::clone(&ctx.clock) };
    ctx.tasks.spawn_in(Stage::Work, "state roots", |stop| node.run(inbox, executed, stop));
    inbox_sender
}

struct Node {
    voting: Voting,
    signs: bool,
    ledger: Arc<Ledger>,
    orders: mpsc::Sender<Order>,
    clock: Arc<dyn Clock>,
}

impl Node {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Box<Extensible>>,
        mut executed: broadcast::Receiver<Arc<Executed>>,
        stop: Stop,
    ) -> Result<(), Report> {
        loop {
            let input = tokio::select! {
                biased;
                () = stop.wait() => return Ok(()),
                done = executed.recv() => match done {
                    Ok(done) => self.persisted(done.block.header.body().index)?,
                    // Votes on roots that long ago mean nothing any more.
                    Err(broadcast::error::RecvError::Lagged(_)) => None,
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                () = until(&*self.clock, self.voting.deadline()) => Some(Input::Tick),
                Some(payload) = inbox.recv() => self.heard(&payload)?,
            };
            if let Some(input) = input {
                self.feed(input).await?;
            }
        }
    }

    /// Feeds the machine and carries out what it wants, until it wants nothing more.
    async fn feed(&mut self, input: Input) -> Result<(), Report> {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects = Vec::new();
            self.voting.step(self.clock.now(), input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Keep(root) => inputs.extend(self.keep(&root)?),
                    Effect::Broadcast(payload) => {
                        let _ = self.orders.send(Order::Send(payload)).await;
                    }
                    Effect::Note(note) => tell(note),
                }
            }
        }
        Ok(())
    }

    /// A block that is recent enough to vote on.
    fn persisted(&self, height: u32) -> Result<Option<Input>, Report> {
        if !self.signs || height.saturating_add(VOTE_LIFE) <= self.ledger.height() {
            return Ok(None);
        }
        let read = || -> Result<Option<Input>, LedgerError> {
            let validators = self.ledger.state_validators(height)?;
            let Some(root) = self.ledger.state_root(height)?.filter(|_| !validators.is_empty()) else {
                return Ok(None);
            };
            let millis = policy::ms_per_block(&self.ledger.view()?, self.ledger.settings())?;
            Ok(Some(Input::Persisted {
                root: StateRoot { witness: None, ..root },
                validators,
                block_time: Duration::from_millis(millis.into()),
            }))
        };
        read().map_err(|err| failed(&err))
    }

    fn heard(&self, payload: &Extensible) -> Result<Option<Input>, Report> {
        match Message::from_bytes(&payload.data) {
            Ok(Message::Vote(vote)) => Ok(Some(Input::Vote(vote))),
            Ok(Message::Root(root)) => self.keep(&root),
            Err(err) => {
                tracing::debug!(target: "state", sender = %payload.sender, error = %err, "a message was refused");
                Ok(None)
            }
        }
    }

    /// Keeps a signed root if it is good, ours or another's.
    fn keep(&self, root: &StateRoot) -> Result<Option<Input>, Report> {
        let height = root.index;
        match self.ledger.put_signed_root(root).map_err(|err| failed(&err))? {
            SignedRoot::Kept => {
                tracing::debug!(target: "state", height, root = %root.root, "a state root is signed");
                Ok(Some(Input::Validated(height)))
            }
            SignedRoot::Known => Ok(Some(Input::Validated(height))),
            SignedRoot::Different => {
                tracing::error!(target: "state", height, root = %root.root, "state validators have signed another root than ours");
                Ok(None)
            }
            SignedRoot::Ahead | SignedRoot::Unsigned => {
                tracing::debug!(target: "state", height, root = %root.root, "a signed root was refused");
                Ok(None)
            }
        }
    }
}

fn failed(err: &LedgerError) -> Report {
    super::report::ledger_failed(err, err.is_damage())
}

fn tell(note: Note) {
    match note {
        Note::Voted { height, retries } => {
            tracing::debug!(target: "state", height, retries, "voted on a state root")
        }
        Note::Signed { height } => {
            tracing::debug!(target: "state", height, "put the signatures of a state root together")
        }
        Note::Refused { height, validator } => {
            tracing::warn!(target: "state", height, validator, "a vote on a state root was refused");
        }
    }
}
