//! Who stakes: the record of a staker and the order in which stakers come and go.
//! Mirrors `vms/platformvm/state/staker.go` and `txs/priorities.go`.

use std::{collections::BTreeMap, sync::Arc};

use avalanche_codec::{CodecError, Reader, Wire, Writer, wire_struct};
use avalanche_crypto::bls;
use avalanche_ids::{Id, NodeId};

use super::overlay::Changes;
use crate::{
    CHAIN_ID,
    fx::Signer,
    txs::{UnsignedTx, Validator},
};

/// Which stakers come and go first at the same time. The discriminants are the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the names are those of the network
pub enum Priority {
    PrimaryDelegatorApricotPending = 1,
    PrimaryValidatorPending,
    PrimaryDelegatorBanffPending,
    PermissionlessValidatorPending,
    PermissionlessDelegatorPending,
    PermissionedValidatorPending,
    PermissionedValidatorCurrent,
    PermissionlessDelegatorCurrent,
    PermissionlessValidatorCurrent,
    PrimaryDelegatorCurrent,
    PrimaryValidatorCurrent,
}

impl Priority {
    const ALL: [Self; 11] = [
        Self::PrimaryDelegatorApricotPending,
        Self::PrimaryValidatorPending,
        Self::PrimaryDelegatorBanffPending,
        Self::PermissionlessValidatorPending,
        Self::PermissionlessDelegatorPending,
        Self::PermissionedValidatorPending,
        Self::PermissionedValidatorCurrent,
        Self::PermissionlessDelegatorCurrent,
        Self::PermissionlessValidatorCurrent,
        Self::PrimaryDelegatorCurrent,
        Self::PrimaryValidatorCurrent,
    ];

    /// What a pending staker becomes; a current one stays what it is.
    #[must_use]
    pub const fn current(self) -> Self {
        match self {
            Self::PrimaryDelegatorApricotPending | Self::PrimaryDelegatorBanffPending => {
                Self::PrimaryDelegatorCurrent
            }
            Self::PrimaryValidatorPending => Self::PrimaryValidatorCurrent,
            Self::PermissionlessValidatorPending => Self::PermissionlessValidatorCurrent,
            Self::PermissionlessDelegatorPending => Self::PermissionlessDelegatorCurrent,
            Self::PermissionedValidatorPending => Self::PermissionedValidatorCurrent,
            current => current,
        }
    }

    /// True for validators, false for delegators.
    #[must_use]
    pub const fn is_validator(self) -> bool {
        !matches!(
            self,
            Self::PrimaryDelegatorApricotPending
                | Self::PrimaryDelegatorBanffPending
                | Self::PermissionlessDelegatorPending
                | Self::PermissionlessDelegatorCurrent
                | Self::PrimaryDelegatorCurrent
        )
    }

    /// True for validators that a subnet's owner appointed.
    #[must_use]
    pub const fn is_permissioned(self) -> bool {
        matches!(self, Self::PermissionedValidatorPending | Self::PermissionedValidatorCurrent)
    }
}

/// A staker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staker {
    /// The transaction that added it.
    pub tx_id: Id,
    /// The node.
    pub node_id: NodeId,
    /// Its key, if it has one of its own.
    pub public_key: Option<bls::PublicKey>,
    /// Where it stakes.
    pub subnet: Id,
    /// Its weight.
    pub weight: u64,
    /// Unix time in seconds.
    pub start: u64,
    /// Unix time in seconds.
    pub end: u64,
    /// What it earns if all goes well.
    pub potential_reward: u64,
    /// When it becomes current, or when it is current ends.
    pub next_time: u64,
    /// Breaks ties.
    pub priority: Priority,
}

impl Staker {
    /// Its place in the order of stakers.
    #[must_use]
    pub const fn key(&self) -> StakerKey {
        StakerKey { next_time: self.next_time, priority: self.priority, tx_id: self.tx_id }
    }
}

/// The order of stakers: by time, then priority, then transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StakerKey {
    /// See [`Staker::next_time`].
    pub next_time: u64,
    /// See [`Staker::priority`].
    pub priority: Priority,
    /// See [`Staker::tx_id`].
    pub tx_id: Id,
}

impl Wire for Priority {
    fn encode(&self, out: &mut Writer) {
        let at = Self::ALL.iter().position(|priority| priority == self).unwrap_or_default();
        out.u8(u8::try_from(at).unwrap_or_default());
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError> {
        let byte = input.u8()?;
        Self::ALL.get(usize::from(byte)).copied().ok_or(CodecError::BadBool(byte))
    }
}

impl Wire for Staker {
    fn encode(&self, out: &mut Writer) {
        self.tx_id.encode(out);
        self.node_id.encode(out);
        let key = self.public_key.as_ref().map(bls::PublicKey::to_uncompressed);
        key.map_or_else(Vec::new, |key| key.to_vec()).encode(out);
        self.subnet.encode(out);
        for number in [self.weight, self.start, self.end, self.potential_reward, self.next_time] {
            number.encode(out);
        }
        self.priority.encode(out);
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (tx_id, node_id) = (Wire::decode(input)?, Wire::decode(input)?);
        let key = Vec::<u8>::decode(input)?;
        Ok(Self {
            tx_id,
            node_id,
            public_key: key.try_into().ok().and_then(|key| bls::PublicKey::from_uncompressed(&key).ok()),
            subnet: Wire::decode(input)?,
            weight: Wire::decode(input)?,
            start: Wire::decode(input)?,
            end: Wire::decode(input)?,
            potential_reward: Wire::decode(input)?,
            next_time: Wire::decode(input)?,
            priority: Wire::decode(input)?,
        })
    }
}

/// What changes while a validator validates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StakingInfo {
    /// Its share of rewards of delegations that ended in this period.
    pub delegatee_reward: u64,
    /// Own rewards staked again in earlier periods.
    pub accrued_validation_rewards: u64,
    /// Shares of delegators' rewards staked again in earlier periods.
    pub accrued_delegatee_rewards: u64,
    /// Share of rewards that is staked again, in millionths.
    pub auto_compound_reward_shares: u32,
    /// Length of the next period in seconds; zero to stop.
    pub next_period: u64,
}
wire_struct!(StakingInfo {
    delegatee_reward,
    accrued_validation_rewards,
    accrued_delegatee_rewards,
    auto_compound_reward_shares,
    next_period,
});

/// Stakers of one kind, current or pending, under the three keys they are looked up by.
#[derive(Debug, Clone, Default)]
pub(super) struct StakerTable {
    pub(super) ordered: BTreeMap<StakerKey, Arc<Staker>>,
    pub(super) validators: BTreeMap<(Id, NodeId), Arc<Staker>>,
    pub(super) delegators: BTreeMap<(Id, NodeId, StakerKey), Arc<Staker>>,
}

/// Changes to a [`StakerTable`].
#[derive(Debug, Clone, Default)]
pub(super) struct StakerChanges {
    pub(super) ordered: Changes<StakerKey, Arc<Staker>>,
    pub(super) validators: Changes<(Id, NodeId), Arc<Staker>>,
    pub(super) delegators: Changes<(Id, NodeId, StakerKey), Arc<Staker>>,
}

impl StakerChanges {
    pub(super) fn merge(&mut self, newer: Self) {
        self.ordered.extend(newer.ordered);
        self.validators.extend(newer.validators);
        self.delegators.extend(newer.delegators);
    }
}

/// What a transaction says about the staker it adds.
#[derive(Debug, Clone)]
pub struct StakerTerms {
    /// The node.
    pub node_id: NodeId,
    /// Where.
    pub subnet: Id,
    /// Its key.
    pub public_key: Option<bls::PublicKey>,
    /// Its weight.
    pub weight: u64,
    /// Unix time in seconds; zero for a renewed validator.
    pub start: u64,
    /// Unix time in seconds; zero for a renewed validator.
    pub end: u64,
    /// As a current staker.
    pub current: Priority,
    /// As a pending one.
    pub pending: Priority,
}

impl StakerTerms {
    /// The terms of a transaction that adds a staker.
    #[must_use]
    pub fn of(tx: &UnsignedTx) -> Option<Self> {
        let terms = |validator: &Validator, subnet, public_key, current, pending| Self {
            node_id: validator.node_id,
            subnet,
            public_key,
            weight: validator.weight,
            start: validator.start,
            end: validator.end,
            current,
            pending,
        };
        Some(match tx {
            UnsignedTx::AddValidator(tx) => terms(
                &tx.validator,
                CHAIN_ID,
                None,
                Priority::PrimaryValidatorCurrent,
                Priority::PrimaryValidatorPending,
            ),
            UnsignedTx::AddDelegator(tx) => terms(
                &tx.validator,
                CHAIN_ID,
                None,
                Priority::PrimaryDelegatorCurrent,
                Priority::PrimaryDelegatorApricotPending,
            ),
            UnsignedTx::AddSubnetValidator(tx) => terms(
                &tx.validator.validator,
                tx.validator.subnet,
                None,
                Priority::PermissionedValidatorCurrent,
                Priority::PermissionedValidatorPending,
            ),
            UnsignedTx::AddPermissionlessValidator(tx) => {
                let (current, pending) = if tx.subnet == CHAIN_ID {
                    (Priority::PrimaryValidatorCurrent, Priority::PrimaryValidatorPending)
                } else {
                    (Priority::PermissionlessValidatorCurrent, Priority::PermissionlessValidatorPending)
                };
                terms(&tx.validator, tx.subnet, key_of(&tx.signer), current, pending)
            }
            UnsignedTx::AddPermissionlessDelegator(tx) => {
                let (current, pending) = if tx.subnet == CHAIN_ID {
                    (Priority::PrimaryDelegatorCurrent, Priority::PrimaryDelegatorBanffPending)
                } else {
                    (Priority::PermissionlessDelegatorCurrent, Priority::PermissionlessDelegatorPending)
                };
                terms(&tx.validator, tx.subnet, None, current, pending)
            }
            UnsignedTx::AddAutoRenewedValidator(tx) => Self {
                node_id: NodeId(tx.node_id.as_slice().try_into().ok()?),
                subnet: CHAIN_ID,
                public_key: key_of(&tx.signer),
                weight: tx
                    .stake_outs
                    .iter()
                    .try_fold(0_u64, |sum, out| sum.checked_add(out.out.transfer().amount))?,
                start: 0,
                end: 0,
                current: Priority::PrimaryValidatorCurrent,
                pending: Priority::PrimaryValidatorPending,
            },
            _ => return None,
        })
    }

    /// The staker that becomes current at `start`.
    #[must_use]
    pub fn become_current(&self, tx_id: Id, start: u64, end: u64, potential_reward: u64) -> Staker {
        Staker {
            tx_id,
            node_id: self.node_id,
            public_key: self.public_key,
            subnet: self.subnet,
            weight: self.weight,
            start,
            end,
            potential_reward,
            next_time: end,
            priority: self.current,
        }
    }

    /// The staker that waits for its start.
    #[must_use]
    pub fn become_pending(&self, tx_id: Id) -> Staker {
        Staker {
            tx_id,
            node_id: self.node_id,
            public_key: self.public_key,
            subnet: self.subnet,
            weight: self.weight,
            start: self.start,
            end: self.end,
            potential_reward: 0,
            next_time: self.start,
            priority: self.pending,
        }
    }
}

fn key_of(signer: &Signer) -> Option<bls::PublicKey> {
    match signer {
        Signer::Empty(_) => None,
        Signer::Proof(proof) => bls::PublicKey::from_bytes(&proof.public_key).ok(),
    }
}
