//! The state machine of a state validator: after each block it signs the root, gathers the signatures of the others, and sends the
//! signed root when it is its turn. Mirrors `Verification/VerificationService.cs` and `VerificationContext.cs` of the
//! plugin `StateService`. Whether payloads and signed roots of others are good is judged outside.
//!
//! Turns: the validator at place `height mod n` sends first, the one before it after the first retry, and so on. A vote goes out three
//! seconds after the block, again after one block time, then after twice as long each time.

use std::{collections::BTreeMap, time::Duration};

use neo_base::{
    account,
    ledger::{Extensible, Witness, sign_data},
};
use neo_crypto::secp256r1::{PrivateKey, PublicKey};
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use super::message::{Message, VOTE_LIFE, Vote, push};
use crate::commit::StateRoot;

/// From a block to the first vote on its root.
pub const FIRST_VOTE: Duration = Duration::from_secs(3);

/// Votes on one root are sent so often at most.
const MAX_RETRIES: u32 = 10;

/// What stays the same while the machine runs.
#[derive(Debug)]
pub struct Settings {
    /// Magic number of the network.
    pub network: u32,
    /// Private keys of this node; the first that is a state validator's signs. None: it only listens.
    pub keys: Vec<PrivateKey>,
}

/// What the machine is told.
#[derive(Debug)]
pub enum Input {
    /// A block was added.
    Persisted {
        /// Root of the state after it.
        root: StateRoot,
        /// The state validators of its height, in the order of their keys.
        validators: Vec<PublicKey>,
        /// Time between blocks.
        block_time: Duration,
    },
    /// A vote from the network, in a payload with a good witness.
    Vote(Vote),
    /// The signed root of this height is known now.
    Validated(u32),
    /// The deadline has come.
    Tick,
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What the machine wants done, in order.
#[derive(Debug)]
pub enum Effect {
    /// Keep this root, whose witness is whole; answered by [`Input::Validated`].
    Keep(StateRoot),
    /// Send a payload to everybody.
    Broadcast(Box<Extensible>),
    /// Something to tell the operator.
    Note(Note),
}

/// News for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// This node has voted.
    Voted {
        /// Height of the root.
        height: u32,
        /// How often it has done so before.
        retries: u32,
    },
    /// This node has put the signatures together and sends the root.
    Signed {
        /// Height of the root.
        height: u32,
    },
    /// A vote is not a signature of our root by the validator that it names.
    Refused {
        /// Height of the root.
        height: u32,
        /// The place that it names.
        validator: i32,
    },
}

/// The state of one validator.
#[derive(Debug)]
pub struct Voting {
    settings: Settings,
    /// Roots that are not signed yet, by height.
    ballots: BTreeMap<u32, Ballot>,
}

/// What is known of one root.
#[derive(Debug)]
struct Ballot {
    root: StateRoot,
    validators: Vec<PublicKey>,
    /// This node's place and its key's place in the settings.
    me: (usize, usize),
    signatures: BTreeMap<usize, [u8; 64]>,
    vote: Option<Extensible>,
    retries: u32,
    block_time: Duration,
    timer: Option<Time>,
}

impl Ballot {
    /// Signatures that are needed.
    fn threshold(&self) -> usize {
        account::bft_threshold(self.validators.len())
    }

    /// Whether it is this node's turn to send the signed root.
    fn is_sender(&self) -> bool {
        let n = u64::try_from(self.validators.len()).unwrap_or(u64::MAX).max(1);
        let ahead = u64::from(self.retries) % n;
        let turn = u64::from(self.root.index).saturating_add(n).saturating_sub(ahead) % n;
        u64::try_from(self.me.0) == Ok(turn)
    }

    /// The root with the signatures of the first ones that are enough; `None` while they are too few.
    fn signed(&self) -> Option<StateRoot> {
        let threshold = self.threshold();
        if self.signatures.len() < threshold {
            return None;
        }
        let invocation = self.signatures.values().take(threshold).flat_map(push).collect();
        let verification = account::multisig_script(threshold, &self.validators)?;
        Some(StateRoot { witness: Some(Witness { invocation, verification }), ..self.root.clone() })
    }
}

impl Voting {
    /// A machine that knows of no root.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, ballots: BTreeMap::new() }
    }

    /// Heights of roots that wait for signatures.
    pub fn open(&self) -> impl Iterator<Item = u32> {
        self.ballots.keys().copied()
    }

    /// The place of this node among the validators, and which of its keys has it.
    fn place(&self, validators: &[PublicKey]) -> Option<(usize, usize)> {
        validators.iter().enumerate().find_map(|(place, validator)| {
            let key = self.settings.keys.iter().position(|key| key.public_key() == *validator)?;
            Some((place, key))
        })
    }

    fn on_persisted(&mut self, now: Time, root: StateRoot, validators: Vec<PublicKey>, block_time: Duration) {
        let height = root.index;
        // Votes on older roots mean nothing any more.
        self.ballots = self.ballots.split_off(&height.saturating_sub(VOTE_LIFE.saturating_sub(1)));
        let Some(me) = self.place(&validators) else { return };
        let timer = Some(now.after(FIRST_VOTE));
        let ballot = Ballot {
            root,
            validators,
            me,
            signatures: BTreeMap::new(),
            vote: None,
            retries: 0,
            block_time,
            timer,
        };
        self.ballots.entry(height).or_insert(ballot);
    }

    fn on_vote(&mut self, vote: Vote, out: &mut Vec<Effect>) {
        let network = self.settings.network;
        let Some(ballot) = self.ballots.get_mut(&vote.height) else { return };
        let place = usize::try_from(vote.validator).ok();
        let known = place.and_then(|place| Some((place, ballot.validators.get(place)?)));
        let Some((place, key)) = known else {
            out.push(Effect::Note(Note::Refused { height: vote.height, validator: vote.validator }));
            return;
        };
        if ballot.signatures.len() >= ballot.threshold() || ballot.signatures.contains_key(&place) {
            return;
        }
        if !key.verify(&sign_data(network, &ballot.root.hash()), &vote.signature) {
            out.push(Effect::Note(Note::Refused { height: vote.height, validator: vote.validator }));
            return;
        }
        ballot.signatures.insert(place, vote.signature);
        self.conclude(vote.height, out);
    }

    /// Votes, and says when to do so again.
    fn vote(&mut self, now: Time, height: u32, out: &mut Vec<Effect>) {
        let network = self.settings.network;
        let Some(ballot) = self.ballots.get_mut(&height) else { return };
        let Some(key) = self.settings.keys.get(ballot.me.1) else { return };
        let place = ballot.me.0;
        let payload = ballot.vote.get_or_insert_with(|| {
            let sign = || key.sign(&sign_data(network, &ballot.root.hash()));
            let signature = *ballot.signatures.entry(place).or_insert_with(sign);
            let validator = i32::try_from(place).unwrap_or(i32::MAX);
            Message::Vote(Vote { validator, height, signature }).payload(key, network)
        });
        out.push(Effect::Note(Note::Voted { height, retries: ballot.retries }));
        out.push(Effect::Broadcast(Box::new(payload.clone())));
        self.conclude(height, out);
        let Some(ballot) = self.ballots.get_mut(&height) else { return };
        let delay = ballot.block_time.saturating_mul(1 << ballot.retries.min(MAX_RETRIES));
        ballot.retries = ballot.retries.saturating_add(1);
        ballot.timer = (ballot.retries < MAX_RETRIES).then(|| now.after(delay));
    }

    /// Sends the signed root when there are enough signatures and it is this node's turn.
    fn conclude(&self, height: u32, out: &mut Vec<Effect>) {
        let Some(ballot) = self.ballots.get(&height).filter(|ballot| ballot.is_sender()) else { return };
        let Some(key) = self.settings.keys.get(ballot.me.1) else { return };
        let Some(root) = ballot.signed() else { return };
        let payload = Message::Root(root.clone()).payload(key, self.settings.network);
        out.push(Effect::Note(Note::Signed { height }));
        out.push(Effect::Keep(root));
        out.push(Effect::Broadcast(Box::new(payload)));
    }
}

impl Machine for Voting {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Persisted { root, validators, block_time } => {
                self.on_persisted(now, root, validators, block_time);
            }
            Input::Vote(vote) => self.on_vote(vote, out),
            // The C# node gives up older roots, too; neo-go goes on with them, and so does this node.
            Input::Validated(height) => drop(self.ballots.remove(&height)),
            Input::Tick => {
                let due = |(height, ballot): (&u32, &Ballot)| (ballot.timer? <= now).then_some(*height);
                let due: Vec<u32> = self.ballots.iter().filter_map(due).collect();
                due.into_iter().for_each(|height| self.vote(now, height, out));
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.ballots.values().filter_map(|ballot| ballot.timer).min()
    }
}

#[cfg(test)]
mod sim;
