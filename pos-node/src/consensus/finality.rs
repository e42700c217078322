//! Finality votes and certificates: two thirds of a known set of validators sign each final checkpoint together with the
//! set that signs later ones, so that a chain of certificates proves finality to somebody who knows nothing but one set.
//! No input to the fork choice: losing it can neither stop nor fork the chain.
//!
//! The state of a checkpoint (its block's, advanced to the epoch) names everything that is signed. The signers of epoch
//! `e` are those that the state of the checkpoint final at `e` committed to; genesis commits to the first set.

use crate::{
    state::{State, transition::operation::Signed, verifier::Verifier},
    types::{
        codec::container,
        domain::{DomainType, domain, signing_root},
        operation::{
            Checkpoint, FinalityCert, FinalitySlashing, FinalityVote, MAX_SIGNERS, SignedFinalityVote, Signer,
        },
        params::Params,
        primitives::{Bitlist, Epoch, ForkVersion, List, Nano, Root, Signature, ValidatorIndex},
        ssz::list_root,
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// Epochs whose votes, sets and certificates are kept here.
const KEPT: usize = 64;
/// Epochs between a checkpoint and the set its state commits to.
const SET_AHEAD: Epoch = 2;

container! {
    /// Keys and stakes of a set of signers, in the order of their bits.
    #[derive(Default)]
    plain struct SignerList {
        /// The members.
        members: List<Signer, MAX_SIGNERS>,
    }
}

/// A set of signers with their places in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerSet {
    /// Index of each member, increasing.
    pub indices: Vec<ValidatorIndex>,
    /// The members.
    pub list: SignerList,
    /// All their stake.
    pub total: Nano,
    /// The root that votes commit to.
    pub root: Root,
}

impl SignerSet {
    /// The set that the state of a checkpoint commits to.
    #[must_use]
    pub fn of(state: &State, params: &Params, epoch: Epoch) -> Self {
        let indices = state.validators.active_indices(epoch.saturating_add(SET_AHEAD));
        let members: Vec<Signer> = indices
            .iter()
            .filter_map(|index| {
                Some(Signer {
                    pubkey: *state.validators.pubkey.at(*index)?,
                    effective_balance: *state.validators.effective_balance.at(*index)?,
                })
            })
            .collect();
        let limit = usize::try_from(params.validator_registry_limit).unwrap_or(MAX_SIGNERS);
        let root = Root(list_root(&members, limit));
        let list = SignerList { members: List::new(members).unwrap_or_default() };
        Self { indices, total: list.total(), list, root }
    }

    fn position(&self, index: ValidatorIndex) -> Option<usize> {
        self.indices.binary_search(&index).ok()
    }
}

impl SignerList {
    /// All stake of the set.
    #[must_use]
    pub fn total(&self) -> Nano {
        self.members.iter().fold(0, |sum, member| sum.saturating_add(member.effective_balance))
    }

    /// The root that votes commit to.
    #[must_use]
    pub fn root(&self, limit: usize) -> Root {
        Root(list_root(&self.members, limit))
    }
}

/// Why a finality vote is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FinalityVoteError {
    /// The checkpoint is not final here.
    #[error("not final here")]
    NotFinal,
    /// The voter is not of the set that signs this epoch.
    #[error("voter is not of the set")]
    NotInSet,
    /// The signature is bad.
    #[error("bad signature")]
    Signature,
    /// The voter's vote of this epoch was seen.
    #[error("known vote")]
    Known,
    /// The vote is for something else than what is final here.
    #[error("vote for something else")]
    Other,
}

impl FinalityVoteError {
    /// Whether an honest node could not have sent it.
    #[must_use]
    pub const fn is_offence(&self) -> bool {
        matches!(self, Self::NotInSet | Self::Signature)
    }
}

/// What is to be signed of one epoch, and by whom it was.
#[derive(Debug, Clone)]
struct Open {
    vote: FinalityVote,
    set: Arc<SignerSet>,
    votes: BTreeMap<ValidatorIndex, (FinalityVote, Signature)>,
    stake: Nano,
}

/// A checkpoint that the holders of keys in `set` should sign, once per epoch and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What to sign, in the domain of finality votes at its epoch.
    pub vote: FinalityVote,
    /// Who may.
    pub set: Arc<SignerSet>,
}

/// Votes and certificates of the last epochs.
#[derive(Debug, Clone, Default)]
pub struct Finality {
    /// By epoch: the set that the checkpoint's state commits to, and what was final then.
    sets: BTreeMap<Epoch, Arc<SignerSet>>,
    open: BTreeMap<Epoch, Open>,
    certs: BTreeMap<Epoch, FinalityCert>,
}

impl Finality {
    /// Whether the state of an epoch's checkpoint was noted.
    #[must_use]
    pub fn knows(&self, epoch: Epoch) -> bool {
        self.sets.contains_key(&epoch)
    }

    /// Notes a final checkpoint with its state, oldest first; gives what is to be signed when the signers are known.
    pub fn on_final(
        &mut self,
        params: &Params,
        checkpoint: &Checkpoint,
        state: &State,
        header_state_root: Root,
    ) -> Option<Due> {
        let set = Arc::new(SignerSet::of(state, params, checkpoint.epoch));
        let vote = FinalityVote {
            epoch: checkpoint.epoch,
            block_root: checkpoint.root,
            state_root: header_state_root,
            next_set_root: set.root,
        };
        self.sets.insert(checkpoint.epoch, set);
        let signers = self.sets.get(&state.finality.finalized.epoch).cloned();
        while self.sets.len() > KEPT {
            self.sets.pop_first();
        }
        while self.open.len() > KEPT {
            self.open.pop_first();
        }
        while self.certs.len() > KEPT {
            self.certs.pop_first();
        }
        if checkpoint.epoch == 0 {
            return None; // genesis needs no proof
        }
        let set = signers?;
        let open = Open { vote, set: set.clone(), votes: BTreeMap::new(), stake: 0 };
        self.open.entry(checkpoint.epoch).or_insert(open);
        Some(Due { vote, set })
    }

    /// What is to be signed for an epoch.
    #[must_use]
    pub fn due(&self, epoch: Epoch) -> Option<Due> {
        self.open.get(&epoch).map(|open| Due { vote: open.vote, set: open.set.clone() })
    }

    /// The certificate of an epoch.
    #[must_use]
    pub fn cert(&self, epoch: Epoch) -> Option<&FinalityCert> {
        self.certs.get(&epoch)
    }

    /// Takes in a vote; `state` is any whose registry knows the voter, `limit` the largest registry. Gives the
    /// certificate when this vote completes it, and evidence when the voter signed something else before.
    ///
    /// # Errors
    /// Why it is not taken in.
    pub fn on_vote(
        &mut self,
        signed: &SignedFinalityVote,
        state: &State,
        verifier: &dyn Verifier,
    ) -> Result<Taken, FinalityVoteError> {
        let open = self.open.get_mut(&signed.vote.epoch).ok_or(FinalityVoteError::NotFinal)?;
        let index = signed.validator_index;
        let position = open.set.position(index).ok_or(FinalityVoteError::NotInSet)?;
        let before = open.votes.get(&index).copied();
        if before.is_some_and(|(vote, _)| vote == signed.vote) {
            return Err(FinalityVoteError::Known);
        }
        let message = signing_root(&signed.vote, state.domain(DomainType::FinalityVote, signed.vote.epoch));
        let check = Signed { signers: vec![index], message, signature: signed.signature };
        verifier.validators(state, &[check]).map_err(|_| FinalityVoteError::Signature)?;
        if let Some((vote, signature)) = before {
            let first = SignedFinalityVote { validator_index: index, vote, signature };
            return Ok(Taken {
                offence: Some(FinalitySlashing { vote_1: first, vote_2: *signed }),
                cert: None,
            });
        }
        open.votes.insert(index, (signed.vote, signed.signature));
        if signed.vote != open.vote {
            return Err(FinalityVoteError::Other);
        }
        let stake = open.set.list.members.get(position).map_or(0, |member| member.effective_balance);
        open.stake = open.stake.saturating_add(stake);
        let enough = is_enough(open.stake, open.set.total);
        let cert =
            if enough && !self.certs.contains_key(&signed.vote.epoch) { open.cert(verifier) } else { None };
        if let Some(cert) = &cert {
            self.certs.insert(signed.vote.epoch, cert.clone());
        }
        Ok(Taken { offence: None, cert })
    }
}

/// What a vote led to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// The voter contradicted itself.
    pub offence: Option<FinalitySlashing>,
    /// The vote completed a certificate.
    pub cert: Option<FinalityCert>,
}

impl Open {
    fn cert(&self, verifier: &dyn Verifier) -> Option<FinalityCert> {
        let mut bits = Bitlist::zeros(self.set.indices.len())?;
        let mut signatures = Vec::new();
        for (position, index) in self.set.indices.iter().enumerate() {
            if let Some((_, signature)) = self.votes.get(index).filter(|(vote, _)| *vote == self.vote) {
                bits.set(position);
                signatures.push(*signature);
            }
        }
        Some(FinalityCert { vote: self.vote, bits, signature: verifier.aggregate(&signatures)? })
    }
}

/// Whether a part is two thirds of the whole.
fn is_enough(part: Nano, total: Nano) -> bool {
    total > 0 && u128::from(part) * 3 >= u128::from(total) * 2
}

/// Why a certificate proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertError {
    /// It has another number of bits than the set has members.
    #[error("certificate is for another set")]
    OtherSet,
    /// Fewer than two thirds of the stake signed.
    #[error("less than two thirds of the stake signed")]
    TooFew,
    /// A key is no key.
    #[error("bad key in the set")]
    Key,
    /// The signature is bad.
    #[error("bad signature")]
    Signature,
}

/// Checks a certificate against the set of its signers: all that somebody needs who follows the chain from outside.
/// `version` is the fork version at the certificate's epoch.
///
/// # Errors
/// Why it proves nothing.
pub fn verify_cert(
    cert: &FinalityCert,
    signers: &SignerList,
    version: ForkVersion,
    genesis_validators_root: Root,
) -> Result<(), CertError> {
    if cert.bits.len() != signers.members.len() {
        return Err(CertError::OtherSet);
    }
    let signed =
        || signers.members.iter().zip(cert.bits.iter()).filter(|(_, set)| *set).map(|(member, _)| member);
    let stake = signed().fold(0u64, |sum, member| sum.saturating_add(member.effective_balance));
    if !is_enough(stake, signers.total()) {
        return Err(CertError::TooFew);
    }
    let keys: Vec<crate::crypto::bls::Key> = signed()
        .map(|member| crate::crypto::bls::Key::new(&member.pubkey))
        .collect::<Result<_, _>>()
        .map_err(|_| CertError::Key)?;
    let domain = domain(DomainType::FinalityVote.bytes(), version, genesis_validators_root);
    let message = signing_root(&cert.vote, domain);
    if crate::crypto::bls::fast_aggregate_verify(&keys, &message, &cert.signature) {
        Ok(())
    } else {
        Err(CertError::Signature)
    }
}
