//! The state machine of one validator, or of a node that only watches. Mirrors `ConsensusService.cs`; what it does with
//! messages is in `receive.rs`, what it concludes and sends in `decide.rs`.
//!
//! Transactions are looked up and judged outside: a proposal with transactions makes the effects [`Effect::Fetch`] and,
//! when all have come, [`Effect::Judge`]; acceptance waits for the answer.

mod decide;
mod receive;
#[cfg(test)]
mod sim;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use neo_base::{
    UInt256,
    ledger::{Block, Extensible, Transaction},
};
use neo_crypto::{
    hash::sha256,
    secp256r1::{PrivateKey, PublicKey},
};
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use crate::{
    message::{ChangeReason, ChangeViewForm},
    recovery_log::Saved,
    round::{Round, Tip},
};

/// Waiting times stop doubling here.
const MAX_SHIFT: u32 = 16;

/// Transactions that others have rejected, remembered at most.
const MAX_REJECTED: usize = 10_000;

/// Requests for recovery that are remembered in one height, so that each is answered once.
const MAX_KNOWN: usize = 10_000;

/// What stays the same while the service runs.
#[derive(Debug)]
pub struct Settings {
    /// Magic number of the network.
    pub network: u32,
    /// Private keys of this node; the first that is a validator's speaks. None: it only watches.
    pub keys: Vec<PrivateKey>,
    /// Largest block to propose or accept, in bytes.
    pub max_block_size: usize,
    /// Largest sum of system fees of a block, in datoshi.
    pub max_block_system_fee: i64,
    /// How requests for another view are written.
    pub change_view_form: ChangeViewForm,
    /// Where nonces of blocks come from; drawn once at start.
    pub seed: [u8; 32],
}

/// What the service is told.
#[derive(Debug)]
pub enum Input {
    /// Begin, with what the recovery log holds.
    Start(Box<Tip>, Option<Vec<u8>>),
    /// A block was added, ours or another's.
    Persisted(Box<Tip>),
    /// A payload of category `dBFT` from the network.
    Payload(Box<Extensible>),
    /// The answer to [`Effect::Select`].
    Selected {
        /// Height of the question.
        height: u32,
        /// View of the question.
        view: u8,
        /// The best transactions of the pool, best first.
        transactions: Vec<Arc<Transaction>>,
    },
    /// Transactions that may belong to a proposal.
    Transactions(Vec<Arc<Transaction>>),
    /// The answer to [`Effect::Judge`].
    Judged {
        /// Height of the question.
        height: u32,
        /// View of the question.
        view: u8,
        /// Why the transactions are refused, if they are.
        verdict: Result<(), Rejection>,
    },
    /// The deadline has come.
    Tick,
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// Why a proposal's transactions are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// A transaction is on the chain already, or a conflicting one is: the proposal is ignored.
    OnChain,
    /// This transaction is invalid, alone or with those before it.
    Invalid(UInt256),
    /// This transaction is against the policy of this node.
    Policy(UInt256),
}

/// What the service wants done, in order.
#[derive(Debug)]
pub enum Effect {
    /// Write the recovery log, durably, before anything that follows.
    Save(Vec<u8>),
    /// Send a payload to everybody.
    Broadcast(Box<Extensible>),
    /// Tell everybody of the transactions of our proposal.
    Announce(Vec<UInt256>),
    /// Choose transactions for a block; answered by [`Input::Selected`].
    Select {
        /// The height to decide.
        height: u32,
        /// The view.
        view: u8,
        /// How many at most.
        limit: usize,
    },
    /// Find these in the pool and ask peers for the rest; answered by [`Input::Transactions`], perhaps several times.
    Fetch(Vec<UInt256>),
    /// Verify these together, in this order, on the present chain; answered by [`Input::Judged`].
    Judge {
        /// The height to decide.
        height: u32,
        /// The view.
        view: u8,
        /// The transactions of the proposal.
        transactions: Vec<Arc<Transaction>>,
    },
    /// Add this block to the chain and send it to everybody.
    Block(Box<Block>),
    /// Something to tell the operator.
    Note(Note),
}

/// What this node is in a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It proposes.
    Primary,
    /// It accepts.
    Backup,
    /// It is no validator.
    Watcher,
}

/// News for log and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A view began.
    View {
        /// The height to decide.
        height: u32,
        /// The view.
        view: u8,
        /// What this node is in it.
        role: Role,
    },
    /// This node asked for another view.
    ChangeAsked {
        /// The height to decide.
        height: u32,
        /// The view it wants.
        view: u8,
        /// Why.
        reason: ChangeReason,
    },
    /// This node asked what it missed.
    RecoveryAsked {
        /// The height to decide.
        height: u32,
    },
    /// A proposal or a message was refused; the text says why.
    Refused {
        /// The height to decide.
        height: u32,
        /// Who sent it.
        validator: u8,
        /// Why.
        reason: &'static str,
    },
    /// Others decide on a height that this node has not reached.
    Behind {
        /// The height of the message.
        height: u32,
    },
}

/// The state of one node's consensus.
#[derive(Debug)]
pub struct Service {
    settings: Settings,
    round: Option<Round>,
    timer: Option<Timer>,
    /// Wall-clock milliseconds at time zero.
    epoch: u64,
    /// Height and time of the last proposal that was received.
    request_received: Option<(u32, Time)>,
    /// Height of the last block that this node put together.
    block_made: Option<u32>,
    recovering: bool,
    known: BTreeSet<UInt256>,
    last_seen: Option<BTreeMap<PublicKey, u32>>,
    rejected: BTreeMap<UInt256, BTreeSet<PublicKey>>,
}

#[derive(Debug, Clone, Copy)]
struct Timer {
    started: Time,
    delay: Duration,
}

impl Service {
    /// A service that waits for [`Input::Start`].
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            round: None,
            timer: None,
            epoch: 0,
            request_received: None,
            block_made: None,
            recovering: false,
            known: BTreeSet::new(),
            last_seen: None,
            rejected: BTreeMap::new(),
        }
    }

    /// Height, view and role at present; `None` before the start.
    #[must_use]
    pub fn position(&self) -> Option<(u32, u8, Role)> {
        self.round.as_ref().map(|round| (round.index, round.view, role(round)))
    }

    /// Milliseconds since 1970.
    fn wall(&self, now: Time) -> u64 {
        self.epoch.saturating_add(now.as_nanos() / 1_000_000)
    }

    fn set_timer(&mut self, now: Time, delay: Duration) {
        self.timer = Some(Timer { started: now, delay });
    }

    /// Gives the present view more time when there is progress in it: this many block times, shared by the `m`
    /// validators that must act.
    fn extend_timer(&mut self, now: Time, block_times: u32) {
        let (Some(round), Some(timer)) = (&self.round, self.timer) else { return };
        if round.watches() || round.view_changing() || round.commit_sent() {
            return;
        }
        let share = u32::try_from(round.m()).unwrap_or(u32::MAX).max(1);
        let more = round.tip.block_time.saturating_mul(block_times) / share;
        let left = timer.delay.saturating_add(more).saturating_sub(now.since(timer.started));
        if !left.is_zero() {
            self.set_timer(now, left);
        }
    }

    /// The place of this node among the validators, and its key there.
    fn identity(&self, validators: &[PublicKey]) -> Option<(u8, &PrivateKey)> {
        validators.iter().enumerate().find_map(|(place, validator)| {
            let key = self.settings.keys.iter().find(|key| key.public_key() == *validator)?;
            Some((u8::try_from(place).ok()?, key))
        })
    }

    /// A new height.
    fn begin(&mut self, now: Time, tip: Tip) {
        self.epoch = tip.wall.saturating_sub(now.as_nanos() / 1_000_000);
        self.known.clear();
        let me = self.identity(&tip.validators).map(|(place, _)| place);
        if self.last_seen.is_none() || tip.validators_changed {
            let before = self.last_seen.take().unwrap_or_default();
            let seen = |key: &PublicKey| (*key, before.get(key).copied().unwrap_or(tip.height));
            self.last_seen = Some(tip.validators.iter().map(seen).collect());
        }
        self.round = Some(Round::new(tip, me));
    }

    /// Starts a view: forgets the proposal and sets the timer by the role.
    fn start_view(&mut self, now: Time, view: u8, out: &mut Vec<Effect>) {
        let Some(round) = &mut self.round else { return };
        round.enter(view);
        if let (Some(seen), Some(me)) = (&mut self.last_seen, round.me)
            && let Some(key) = round.tip.validators.get(usize::from(me))
        {
            seen.insert(*key, round.index);
        }
        out.push(Effect::Note(Note::View { height: round.index, view, role: role(round) }));
        let block_time = round.tip.block_time;
        let mut delay = doubled(block_time, view.saturating_add(1));
        if round.is_primary() && !self.recovering {
            delay = block_time;
            if let Some((height, at)) = self.request_received
                && height == round.tip.height
                && self.block_made == Some(round.tip.height)
            {
                delay = delay.saturating_sub(now.since(at));
            }
        }
        if round.watches() {
            self.timer = None;
        } else {
            self.set_timer(now, delay);
        }
    }

    fn start(&mut self, now: Time, tip: Tip, saved: Option<Vec<u8>>, out: &mut Vec<Effect>) {
        self.begin(now, tip);
        let saved = saved.and_then(|bytes| Saved::read(&bytes).ok());
        let Some(round) = &mut self.round else { return };
        if saved.is_some_and(|saved| saved.restore(round)) && round.commit_sent() {
            self.check_preparations(now, out);
            return;
        }
        let view = round.view;
        let watches = round.watches();
        self.start_view(now, view, out);
        if !watches {
            self.request_recovery(now, out);
        }
    }

    fn tick(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.timer = None;
        let Some(round) = &self.round else { return };
        if round.watches() || round.block_sent {
            return;
        }
        let (block_time, view) = (round.tip.block_time, round.view);
        if round.is_primary() && !round.has_request() {
            let (height, limit) = (round.index, round.tip.max_transactions);
            out.push(Effect::Select { height, view, limit });
            // Should the answer never come, this node asks for another view like any other.
            self.set_timer(now, doubled(block_time, view.saturating_add(1)));
        } else if round.commit_sent() {
            self.send_recovery(out);
            self.set_timer(now, doubled(block_time, 1));
        } else {
            let missing = round.hashes.is_some() && !round.missing().is_empty();
            let reason = if missing { ChangeReason::TransactionNotFound } else { ChangeReason::Timeout };
            self.request_change(now, reason, Vec::new(), out);
        }
    }

    /// A number that nobody can foretell who does not know the seed.
    fn nonce(&self, now: Time) -> u64 {
        let (height, view) = self.round.as_ref().map_or((0, 0), |round| (round.index, round.view));
        let parts = [&self.settings.seed[..], &height.to_le_bytes(), &[view], &now.as_nanos().to_le_bytes()];
        let [a, b, c, d, e, f, g, h, ..] = sha256(&parts.concat());
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Machine for Service {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Start(tip, saved) if self.round.is_none() => self.start(now, *tip, saved, out),
            Input::Start(..) => {}
            Input::Persisted(tip) if self.round.as_ref().is_some_and(|round| tip.height >= round.index) => {
                self.begin(now, *tip);
                self.start_view(now, 0, out);
            }
            Input::Persisted(_) => {}
            Input::Payload(payload) => self.on_payload(now, *payload, out),
            Input::Selected { height, view, transactions } => {
                self.on_selected(now, (height, view), transactions, out);
            }
            Input::Transactions(transactions) => self.on_transactions(now, transactions, out),
            Input::Judged { height, view, verdict } => self.on_judged(now, (height, view), verdict, out),
            Input::Tick if self.deadline().is_some_and(|deadline| deadline <= now) => self.tick(now, out),
            Input::Tick => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.timer.map(|timer| timer.started.after(timer.delay))
    }
}

fn role(round: &Round) -> Role {
    match round.me {
        None => Role::Watcher,
        Some(_) if round.is_primary() => Role::Primary,
        Some(_) => Role::Backup,
    }
}

/// A time doubled so many times.
fn doubled(time: Duration, times: u8) -> Duration {
    time.saturating_mul(1 << u32::from(times).min(MAX_SHIFT))
}
