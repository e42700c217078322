//! What a validator knows of the height that is being decided. No decisions here. Mirrors `ConsensusContext.cs`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use neo_base::{
    UInt160, UInt256, account,
    codec::Wire,
    ledger::{Block, Extensible, Header, HeaderBody, Transaction, Witness, merkle_root, sign_data},
};
use neo_crypto::secp256r1::{PrivateKey, PublicKey};

use crate::message::{Body, Message};

/// Category of the payloads.
pub const CATEGORY: &str = "dBFT";

/// Bytes of a header but for its witness, which is written as a list of one.
const HEADER_SIZE: usize = 4 + 32 + 32 + 8 + 8 + 4 + 1 + 20 + 1;

/// The chain as it is before the height that is being decided.
#[derive(Debug, Clone)]
pub struct Tip {
    /// Height of the last block.
    pub height: u32,
    /// Its hash.
    pub hash: UInt256,
    /// Its timestamp, in milliseconds since 1970.
    pub timestamp: u64,
    /// Who decides on the next block: sorted, at most 255.
    pub validators: Vec<PublicKey>,
    /// The account that the next block names as signer of the one after it.
    pub next_consensus: UInt160,
    /// True when the last block named another account than the one before it.
    pub validators_changed: bool,
    /// Time between blocks, as the policy says.
    pub block_time: Duration,
    /// Most transactions of a block.
    pub max_transactions: usize,
    /// Wall-clock time of this moment, in milliseconds since 1970.
    pub wall: u64,
}

/// A message with the payload that carried it.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) payload: Extensible,
    pub(crate) hash: UInt256,
    pub(crate) message: Message,
}

impl Signed {
    /// Takes a payload apart; `None` when it holds no consensus message.
    pub(crate) fn read(payload: Extensible) -> Option<Self> {
        let message = Message::from_data(&payload.data).ok()?;
        Some(Self { hash: payload.hash(), payload, message })
    }

    /// The view that a request for change wants.
    pub(crate) fn new_view(&self) -> u8 {
        self.message.view.saturating_add(1)
    }

    pub(crate) fn invocation(&self) -> Vec<u8> {
        self.payload.witness.invocation.clone()
    }
}

/// Whether the transactions of a proposal are good together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Not asked yet.
    Open,
    /// Asked.
    Asked,
    /// They are.
    Good,
}

#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) tip: Tip,
    pub(crate) index: u32,
    pub(crate) view: u8,
    pub(crate) primary: u8,
    /// This node's place; `None` when it only watches.
    pub(crate) me: Option<u8>,
    pub(crate) timestamp: u64,
    pub(crate) nonce: u64,
    /// Transactions of the proposal, once it is known.
    pub(crate) hashes: Option<Vec<UInt256>>,
    pub(crate) transactions: BTreeMap<UInt256, Arc<Transaction>>,
    pub(crate) judgement: Judgement,
    pub(crate) preparations: Vec<Option<Signed>>,
    pub(crate) commits: Vec<Option<Signed>>,
    pub(crate) change_views: Vec<Option<Signed>>,
    pub(crate) last_change_views: Vec<Option<Signed>>,
    pub(crate) block_sent: bool,
}

impl Round {
    pub(crate) fn new(tip: Tip, me: Option<u8>) -> Self {
        let n = tip.validators.len();
        let mut round = Self {
            index: tip.height.saturating_add(1),
            view: 0,
            primary: 0,
            me,
            timestamp: 0,
            nonce: 0,
            hashes: None,
            transactions: BTreeMap::new(),
            judgement: Judgement::Open,
            preparations: Vec::new(),
            commits: vec![None; n],
            change_views: vec![None; n],
            last_change_views: vec![None; n],
            block_sent: false,
            tip,
        };
        round.enter(0);
        round
    }

    /// Forgets the proposal and moves to a view; requests for change and commits stay.
    pub(crate) fn enter(&mut self, view: u8) {
        if view > 0 {
            for (last, change) in self.last_change_views.iter_mut().zip(&self.change_views) {
                *last = change.clone().filter(|change| change.new_view() >= view);
            }
        }
        self.view = view;
        self.primary = self.primary_of(view);
        self.preparations = vec![None; self.n()];
        self.forget_proposal();
        self.block_sent = false;
    }

    pub(crate) fn forget_proposal(&mut self) {
        (self.timestamp, self.nonce, self.hashes) = (0, 0, None);
        self.transactions.clear();
        self.judgement = Judgement::Open;
    }

    pub(crate) fn n(&self) -> usize {
        self.tip.validators.len()
    }

    /// How many may fail.
    pub(crate) fn f(&self) -> usize {
        self.n().saturating_sub(1) / 3
    }

    /// How many must agree.
    pub(crate) fn m(&self) -> usize {
        self.n().saturating_sub(self.f())
    }

    pub(crate) fn primary_of(&self, view: u8) -> u8 {
        let n = i64::try_from(self.n()).unwrap_or(1).max(1);
        let place = i64::from(self.index).saturating_sub(i64::from(view)).rem_euclid(n);
        u8::try_from(place).unwrap_or_default()
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.me == Some(self.primary)
    }

    pub(crate) fn watches(&self) -> bool {
        self.me.is_none()
    }

    pub(crate) fn has_request(&self) -> bool {
        at(&self.preparations, self.primary).is_some()
    }

    pub(crate) fn response_sent(&self) -> bool {
        self.me.is_some_and(|me| at(&self.preparations, me).is_some())
    }

    pub(crate) fn commit_sent(&self) -> bool {
        self.me.is_some_and(|me| at(&self.commits, me).is_some())
    }

    pub(crate) fn view_changing(&self) -> bool {
        let own = self.me.and_then(|me| at(&self.change_views, me));
        own.is_some_and(|change| change.new_view() > self.view)
    }

    pub(crate) fn committed(&self) -> usize {
        self.commits.iter().flatten().count()
    }

    /// The proposal is known, all its transactions have come and are good.
    pub(crate) fn is_complete(&self) -> bool {
        self.judgement == Judgement::Good && self.missing().is_empty() && self.hashes.is_some()
    }

    /// Transactions of the proposal that have not come.
    pub(crate) fn missing(&self) -> Vec<UInt256> {
        let hashes = self.hashes.iter().flatten();
        hashes.filter(|hash| !self.transactions.contains_key(hash)).copied().collect()
    }

    /// The transactions in the order of the proposal, as far as they have come.
    pub(crate) fn ordered(&self) -> Vec<Arc<Transaction>> {
        self.hashes.iter().flatten().filter_map(|hash| self.transactions.get(hash).cloned()).collect()
    }

    /// The header as far as it is decided; `None` without a proposal.
    pub(crate) fn header(&self) -> Option<HeaderBody> {
        Some(HeaderBody {
            previous: self.tip.hash,
            merkle_root: merkle_root(self.hashes.as_ref()?),
            timestamp: self.timestamp,
            nonce: self.nonce,
            index: self.index,
            primary: self.primary,
            next_consensus: self.tip.next_consensus,
        })
    }

    /// What a commit signs; `None` without a proposal.
    pub(crate) fn sign_data(&self, network: u32) -> Option<[u8; 36]> {
        Some(sign_data(network, &Header::new(self.header()?, Witness::default()).hash()))
    }

    /// Commits of the present view, with their places.
    pub(crate) fn commits_here(&self) -> impl Iterator<Item = (usize, [u8; 64])> {
        self.commits.iter().enumerate().filter_map(|(place, signed)| match &signed.as_ref()?.message {
            Message { view, body: Body::Commit(signature), .. } if *view == self.view => {
                Some((place, *signature))
            }
            _ => None,
        })
    }

    /// The block, when enough have committed and everything is there.
    pub(crate) fn block(&self) -> Option<Block> {
        if !self.is_complete() || self.commits_here().count() < self.m() {
            return None;
        }
        let invocation =
            self.commits_here().take(self.m()).flat_map(|(_, signature)| push(&signature)).collect();
        let verification = account::multisig_script(self.m(), &self.tip.validators)?;
        Some(Block {
            header: Header::new(self.header()?, Witness { invocation, verification }),
            transactions: self.ordered().iter().map(|tx| Transaction::clone(tx)).collect(),
        })
    }

    /// Bytes of a block with so many transactions, without them.
    pub(crate) fn empty_block_size(&self, transactions: usize) -> usize {
        let verification = account::multisig_script(self.m(), &self.tip.validators).unwrap_or_default();
        let invocation = self.m().saturating_mul(66);
        let witness = Witness { invocation: vec![0; invocation], verification }.to_bytes().len();
        let count = match transactions {
            0..=0xfc => 1,
            0xfd..=0xffff => 3,
            _ => 5,
        };
        HEADER_SIZE.saturating_add(witness).saturating_add(count)
    }

    /// The payload of a message that somebody has signed or is to sign.
    pub(crate) fn payload(&self, message: &Message, invocation: Vec<u8>) -> Option<Extensible> {
        let verification =
            account::signature_script(self.tip.validators.get(usize::from(message.validator))?);
        Some(Extensible {
            category: CATEGORY.to_owned(),
            valid_block_start: 0,
            valid_block_end: message.height,
            sender: account::script_hash(&verification),
            data: message.to_bytes(),
            witness: Witness { invocation, verification },
        })
    }

    /// A message of this node, signed.
    pub(crate) fn sign(&self, body: Body, key: &PrivateKey, network: u32) -> Option<Signed> {
        let message = Message { height: self.index, validator: self.me?, view: self.view, body };
        let mut payload = self.payload(&message, Vec::new())?;
        let hash = payload.hash();
        payload.witness.invocation = push(&key.sign(&sign_data(network, &hash)));
        Some(Signed { payload, hash, message })
    }

    /// Whether the validator that the message names has signed the payload, in the one form that its account allows.
    pub(crate) fn is_signed(&self, signed: &Signed, network: u32) -> bool {
        let Some(key) = self.tip.validators.get(usize::from(signed.message.validator)) else { return false };
        let verification = account::signature_script(key);
        signed.payload.category == CATEGORY
            && signed.payload.sender == account::script_hash(&verification)
            && signed.payload.witness.verification == verification
            && unpush(&signed.payload.witness.invocation)
                .is_some_and(|signature| key.verify(&sign_data(network, &signed.hash), &signature))
    }
}

/// The item of a validator.
pub(crate) fn at(items: &[Option<Signed>], validator: u8) -> Option<&Signed> {
    items.get(usize::from(validator))?.as_ref()
}

/// Sets the item of a validator; the message has been checked to name one.
pub(crate) fn put(items: &mut [Option<Signed>], signed: Option<Signed>, validator: u8) {
    if let Some(place) = items.get_mut(usize::from(validator)) {
        *place = signed;
    }
}

/// The script that pushes a signature.
fn push(signature: &[u8; 64]) -> Vec<u8> {
    [&[0x0c, 64][..], signature].concat()
}

fn unpush(script: &[u8]) -> Option<[u8; 64]> {
    script.strip_prefix(&[0x0c, 64])?.try_into().ok()
}
