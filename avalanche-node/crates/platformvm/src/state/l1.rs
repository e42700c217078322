//! Validators of L1s, who pay by the second (ACP-77). Mirrors `vms/platformvm/state/l1_validator.go`.

use std::collections::BTreeMap;

use avalanche_codec::wire_struct;
use avalanche_crypto::bls;
use avalanche_ids::{Id, NodeId};

use super::overlay::Changes;
use crate::warp::PChainOwner;

/// A validator of an L1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L1Validator {
    /// The validation.
    pub validation_id: Id,
    /// The L1.
    pub subnet: Id,
    /// The node.
    pub node_id: NodeId,
    /// Its uncompressed key.
    pub public_key: [u8; bls::UNCOMPRESSED_KEY_LEN],
    /// Who gets what is left of the balance.
    pub remaining_balance_owner: PChainOwner,
    /// Who may stop it.
    pub deactivation_owner: PChainOwner,
    /// When it was added, Unix seconds.
    pub start: u64,
    /// Its weight; zero removes it.
    pub weight: u64,
    /// Smallest nonce of the next change of weight.
    pub min_nonce: u64,
    /// Fees accrued by all at which this one has to stop; zero when it is not active.
    pub end_accumulated_fee: u64,
}
wire_struct!(L1Validator {
    validation_id,
    subnet,
    node_id,
    public_key,
    remaining_balance_owner,
    deactivation_owner,
    start,
    weight,
    min_nonce,
    end_accumulated_fee,
});

impl L1Validator {
    /// True when it pays and counts under its own name.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.weight != 0 && self.end_accumulated_fee != 0
    }

    /// The node it counts as: inactive validators weigh under the empty name.
    #[must_use]
    pub const fn effective_node_id(&self) -> NodeId {
        if self.is_active() { self.node_id } else { NodeId::EMPTY }
    }

    /// The key it counts with.
    #[must_use]
    pub fn effective_public_key(&self) -> Option<bls::PublicKey> {
        if self.is_active() { bls::PublicKey::from_uncompressed(&self.public_key).ok() } else { None }
    }

    pub(super) const fn fee_key(&self) -> (u64, Id) {
        (self.end_accumulated_fee, self.validation_id)
    }

    pub(super) fn same_validation(&self, other: &Self) -> bool {
        self.subnet == other.subnet
            && self.node_id == other.node_id
            && self.public_key == other.public_key
            && self.remaining_balance_owner == other.remaining_balance_owner
            && self.deactivation_owner == other.deactivation_owner
            && self.start == other.start
    }
}

/// All validators of L1s, under the keys they are looked up by.
#[derive(Debug, Clone, Default)]
pub(super) struct L1Table {
    pub(super) by_id: BTreeMap<Id, L1Validator>,
    pub(super) active: BTreeMap<(u64, Id), ()>,
    pub(super) nodes: BTreeMap<(Id, NodeId), Id>,
    pub(super) weights: BTreeMap<Id, u64>,
}

/// Changes to an [`L1Table`].
#[derive(Debug, Clone, Default)]
pub(super) struct L1Changes {
    pub(super) by_id: Changes<Id, L1Validator>,
    pub(super) active: Changes<(u64, Id), ()>,
    pub(super) nodes: Changes<(Id, NodeId), Id>,
    pub(super) weights: BTreeMap<Id, u64>,
}

impl L1Changes {
    pub(super) fn merge(&mut self, newer: Self) {
        self.by_id.extend(newer.by_id);
        self.active.extend(newer.active);
        self.nodes.extend(newer.nodes);
        self.weights.extend(newer.weights);
    }
}
