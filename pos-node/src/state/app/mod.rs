//! The application state: accounts, delegations, registrations, supply, as a map from keys to bytes with a Merkle root.
//! [`keys`] says how keys are written, [`Overlay`] collects a block's changes over a store that is only read.

pub mod keys;
pub mod overlay;

pub use overlay::{MemoryStore, Overlay, Store};

use super::Registration;
use crate::types::{
    codec::container,
    primitives::{Address, List, Nano, Root},
};

/// Most proposals open at once.
pub const MAX_OPEN_PROPOSALS: usize = 64;

container! {
    /// An account. One that is absent reads as all zero.
    #[derive(Copy, Default)]
    plain struct Account {
        /// Transactions it sent.
        nonce: u64,
        /// What it owns, in nano.
        balance: Nano,
        /// SHA-256 of its contract's code; zero for none.
        code_hash: Root,
        /// Live storage keys of its contract.
        storage_count: u64,
    }
}

container! {
    /// What rewards created and what was destroyed since genesis.
    #[derive(Copy, Default)]
    plain struct Supply {
        /// Nano created.
        issued: u128,
        /// Nano destroyed.
        burned: u128,
    }
}

container! {
    /// Running numbers.
    #[derive(Default)]
    plain struct Counters {
        /// Validator keys ever registered.
        registrations: u64,
        /// Number of the next proposal.
        next_proposal_id: u64,
        /// Proposals that are being voted on or wait for their effect.
        open_proposals: List<u64, MAX_OPEN_PROPOSALS>,
    }
}

container! {
    /// A registration as it is stored.
    #[derive(Copy)]
    plain struct StoredRegistration {
        /// Operator.
        owner: Address,
        /// First commission, 1/10000.
        commission_bps: u16,
        /// Highest commission.
        max_commission_bps: u16,
        /// Cap of the effective balance.
        effective_cap: Nano,
        /// Account for tips.
        fee_recipient: Address,
    }
}

impl From<StoredRegistration> for Registration {
    fn from(stored: StoredRegistration) -> Self {
        let StoredRegistration { owner, commission_bps, max_commission_bps, effective_cap, fee_recipient } =
            stored;
        Self { owner, commission_bps, max_commission_bps, effective_cap, fee_recipient }
    }
}

impl From<Registration> for StoredRegistration {
    fn from(registration: Registration) -> Self {
        let Registration { owner, commission_bps, max_commission_bps, effective_cap, fee_recipient } =
            registration;
        Self { owner, commission_bps, max_commission_bps, effective_cap, fee_recipient }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        state::{PendingDeposit, Pool, Unbonding, tree::proof::Proof},
        types::codec::{Wire, decode, encode},
    };
    use proptest::prelude::*;

    fn canonical<T: Wire>(bytes: &[u8]) {
        if let Ok(value) = decode::<T>(bytes, usize::MAX) {
            assert_eq!(encode(&value), bytes);
        }
    }

    proptest! {
        #[test]
        fn stored_bytes_never_panic_and_decode_to_their_own_encoding(
            bytes in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..200),
            len in prop_oneof![Just(16usize), Just(24), Just(32), Just(56), Just(76), Just(96), Just(136)],
        ) {
            for bytes in [bytes.clone(), bytes.into_iter().cycle().take(len).collect()] {
                canonical::<Account>(&bytes);
                canonical::<Supply>(&bytes);
                canonical::<Counters>(&bytes);
                canonical::<StoredRegistration>(&bytes);
                canonical::<Pool>(&bytes);
                canonical::<PendingDeposit>(&bytes);
                canonical::<Unbonding>(&bytes);
                canonical::<Proof>(&bytes);
            }
        }
    }

    #[test]
    fn an_account_takes_56_bytes() {
        assert_eq!(encode(&Account::default()).len(), 56);
    }
}
