//! Does a transaction spend what it may and make no more than it spends? Pure over the UTXOs it names.
//! Mirrors `vms/platformvm/utxo/verifier.go`.

use std::collections::BTreeMap;

use avalanche_ids::Id;
use avalanche_vm::secp256k1fx::{OutputOwners, SpendError};

use crate::fx::{Credential, Input, Output, TransferableInput, TransferableOutput, Utxo};

/// Why the flow of assets is wrong. The name of the reference's error is in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// Another number of credentials than of inputs (`errWrongNumberCredentials`).
    #[error("{credentials} credentials for {inputs} inputs")]
    Credentials {
        /// Inputs.
        inputs: usize,
        /// Credentials.
        credentials: usize,
    },
    /// Another number of UTXOs than of inputs (`errWrongNumberUTXOs`).
    #[error("{utxos} UTXOs for {inputs} inputs")]
    Utxos {
        /// Inputs.
        inputs: usize,
        /// UTXOs.
        utxos: usize,
    },
    /// An input of another asset than its UTXO (`errAssetIDMismatch`).
    #[error("input asset does not match the UTXO's")]
    Asset,
    /// A lock that has not passed and that the input does not repeat (`errLockedFundsNotMarkedAsLocked`).
    #[error("locked funds not marked as locked")]
    NotMarkedAsLocked,
    /// Another lock time than the UTXO's (`errLocktimeMismatch`).
    #[error("input lock time {input} is not the UTXO's {utxo}")]
    Locktime {
        /// The input's.
        input: u64,
        /// The UTXO's.
        utxo: u64,
    },
    /// An input that may not spend its UTXO.
    #[error("input may not spend its UTXO")]
    Spend(#[from] SpendError),
    /// More locked than was spent of it (`ErrInsufficientLockedFunds`).
    #[error("{0} more needed of an asset, locked or not")]
    InsufficientLocked(u64),
    /// More made than spent (`ErrInsufficientUnlockedFunds`).
    #[error("{0} more needed of an asset")]
    InsufficientUnlocked(u64),
    /// A sum does not fit 64 bits.
    #[error("amount overflows")]
    Overflow,
}

/// What is spent, and how: `utxos` are those that `inputs` name, in the same order.
#[derive(Debug, Clone, Copy)]
pub struct Spend<'a> {
    /// The UTXOs.
    pub utxos: &'a [Utxo],
    /// The inputs.
    pub inputs: &'a [TransferableInput],
    /// Their credentials.
    pub credentials: &'a [Credential],
    /// Unix seconds: the clock of whoever verifies, not the chain's time.
    pub now: u64,
    /// Hash of the unsigned transaction; None while bootstrapping, when signatures are not looked at.
    pub signed_hash: Option<&'a [u8; 32]>,
}

type Unlocked = BTreeMap<Id, u64>;
type Locked<'a> = BTreeMap<(Id, u64, OwnersKey<'a>), u64>;
type OwnersKey<'a> = (u64, u32, &'a [avalanche_ids::ShortId]);

/// Checks that `spend` covers `outputs` and, per asset, the amounts in `burned` (fees). What is spent beyond is burned too.
/// Locked amounts stay with their owners and lock time; unlocked ones may fill up what is locked.
///
/// # Errors
/// As [`FlowError`] says.
pub fn verify_flow(
    spend: &Spend<'_>,
    outputs: &[TransferableOutput],
    burned: &Unlocked,
) -> Result<(), FlowError> {
    let (mut unlocked, locked) = consumed(spend)?;
    let (mut unlocked_needed, locked_needed) = (burned.clone(), &mut Locked::new());
    for output in outputs {
        let transfer = output.out.transfer();
        match locktime_of(&output.out) {
            0 => add(&mut unlocked_needed, output.asset_id, transfer.amount)?,
            locktime => {
                add(
                    locked_needed,
                    (output.asset_id, locktime, owners_key(&transfer.owners)),
                    transfer.amount,
                )?;
            }
        }
    }
    for (key, needed) in &*locked_needed {
        let missing = needed.saturating_sub(locked.get(key).copied().unwrap_or(0));
        if missing > 0 {
            let available = unlocked.entry(key.0).or_default();
            match available.checked_sub(missing) {
                Some(left) => *available = left,
                None => return Err(FlowError::InsufficientLocked(missing - *available)),
            }
        }
    }
    for (asset, needed) in unlocked_needed {
        let available = unlocked.get(&asset).copied().unwrap_or(0);
        if needed > available {
            return Err(FlowError::InsufficientUnlocked(needed - available));
        }
    }
    Ok(())
}

/// What the inputs may spend, unlocked and locked.
fn consumed<'a>(spend: &Spend<'a>) -> Result<(Unlocked, Locked<'a>), FlowError> {
    let inputs = spend.inputs.len();
    if spend.credentials.len() != inputs {
        return Err(FlowError::Credentials { inputs, credentials: spend.credentials.len() });
    }
    if spend.utxos.len() != inputs {
        return Err(FlowError::Utxos { inputs, utxos: spend.utxos.len() });
    }
    let (mut unlocked, mut locked) = (Unlocked::new(), Locked::new());
    for ((input, utxo), Credential::Secp256k1(credential)) in
        spend.inputs.iter().zip(spend.utxos).zip(spend.credentials)
    {
        if input.asset_id != utxo.asset_id {
            return Err(FlowError::Asset);
        }
        let locktime = locktime_of(&utxo.out);
        match &input.input {
            Input::Transfer(_) if spend.now < locktime => return Err(FlowError::NotMarkedAsLocked),
            Input::Locked(lock) if lock.locktime != locktime => {
                return Err(FlowError::Locktime { input: lock.locktime, utxo: locktime });
            }
            Input::Transfer(_) | Input::Locked(_) => {}
        }
        let (output, input) = (utxo.out.transfer(), input.input.transfer());
        output.verify_spend(input, credential, spend.now, spend.signed_hash)?;
        if spend.now >= locktime {
            add(&mut unlocked, utxo.asset_id, input.amount)?;
        } else {
            add(&mut locked, (utxo.asset_id, locktime, owners_key(&output.owners)), input.amount)?;
        }
    }
    Ok((unlocked, locked))
}

/// The stakeable lock of an output; zero without one.
const fn locktime_of(out: &Output) -> u64 {
    match out {
        Output::Transfer(_) => 0,
        Output::Locked(lock) => lock.locktime,
    }
}

fn owners_key(owners: &OutputOwners) -> OwnersKey<'_> {
    (owners.locktime, owners.threshold, &owners.addrs)
}

fn add<K: Ord>(amounts: &mut BTreeMap<K, u64>, key: K, amount: u64) -> Result<(), FlowError> {
    let sum = amounts.entry(key).or_default();
    *sum = sum.checked_add(amount).ok_or(FlowError::Overflow)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use avalanche_ids::ShortId;
    use avalanche_vm::{
        avax::UtxoId,
        secp256k1fx::{self, TransferInput, TransferOutput},
    };

    use super::*;
    use crate::fx::{LockIn, LockOut, LockedInput, LockedOutput};

    const AVAX: Id = Id([1; 32]);
    const LOCK: u64 = 100;

    fn transfer(amount: u64, owner: u8) -> TransferOutput {
        let owners = OutputOwners { locktime: 0, threshold: 1, addrs: vec![ShortId([owner; 20])] };
        TransferOutput { amount, owners }
    }

    fn out(amount: u64, owner: u8, locktime: u64) -> Output {
        let transfer = transfer(amount, owner);
        if locktime == 0 {
            Output::Transfer(transfer)
        } else {
            Output::Locked(LockOut { locktime, out: LockedOutput::Transfer(transfer) })
        }
    }

    fn input(amount: u64, locktime: u64) -> Input {
        let input = TransferInput { amount, input: secp256k1fx::Input { sig_indices: vec![0] } };
        if locktime == 0 {
            Input::Transfer(input)
        } else {
            Input::Locked(LockIn { locktime, input: LockedInput::Transfer(input) })
        }
    }

    /// Spends outputs of given amount, owner, lock and marked lock, to outputs of given amount, owner and lock.
    fn flow(
        spent: &[(u64, u8, u64, u64)],
        made: &[(u64, u8, u64)],
        fee: u64,
        now: u64,
    ) -> Result<(), FlowError> {
        let id = UtxoId::default();
        let utxos: Vec<_> = spent
            .iter()
            .map(|(amount, owner, lock, _)| Utxo { id, asset_id: AVAX, out: out(*amount, *owner, *lock) })
            .collect();
        let inputs: Vec<_> = spent
            .iter()
            .map(|(amount, _, _, lock)| TransferableInput {
                utxo_id: id,
                asset_id: AVAX,
                input: input(*amount, *lock),
            })
            .collect();
        let outputs: Vec<_> = made
            .iter()
            .map(|(amount, owner, lock)| TransferableOutput {
                asset_id: AVAX,
                out: out(*amount, *owner, *lock),
            })
            .collect();
        let credential = Credential::Secp256k1(secp256k1fx::Credential { sigs: vec![[0; 65]] });
        let credentials = vec![credential; spent.len()];
        let spend =
            Spend { utxos: &utxos, inputs: &inputs, credentials: &credentials, now, signed_hash: None };
        verify_flow(&spend, &outputs, &BTreeMap::from([(AVAX, fee)]))
    }

    #[test]
    fn outputs_and_fee_come_from_what_is_spent() {
        assert_eq!(flow(&[(10, 1, 0, 0)], &[(9, 2, 0)], 1, 0), Ok(()));
        assert_eq!(flow(&[(10, 1, 0, 0)], &[(8, 2, 0)], 1, 0), Ok(()));
        assert_eq!(flow(&[(10, 1, 0, 0)], &[(10, 2, 0)], 1, 0), Err(FlowError::InsufficientUnlocked(1)));
        assert_eq!(flow(&[(10, 1, 0, 0)], &[(u64::MAX, 2, 0)], 1, 0), Err(FlowError::Overflow));
    }

    #[test]
    fn locked_funds_stay_with_owner_and_lock_until_the_lock_has_passed() {
        let spent = [(10, 1, LOCK, LOCK), (3, 1, 0, 0)];
        assert_eq!(flow(&spent, &[(10, 1, LOCK), (2, 5, 0)], 1, 0), Ok(()));
        assert_eq!(flow(&spent, &[(12, 1, LOCK)], 1, 0), Ok(())); // unlocked funds fill up locked ones
        assert_eq!(flow(&spent, &[(14, 1, LOCK)], 0, 0), Err(FlowError::InsufficientLocked(1)));
        assert_eq!(flow(&spent, &[(4, 2, LOCK)], 0, 0), Err(FlowError::InsufficientLocked(1)));
        assert_eq!(flow(&spent, &[(4, 1, LOCK + 1)], 0, 0), Err(FlowError::InsufficientLocked(1)));
        assert_eq!(flow(&spent, &[(4, 1, 0)], 0, 0), Err(FlowError::InsufficientUnlocked(1)));
        assert_eq!(flow(&spent, &[(13, 2, 0)], 0, LOCK), Ok(()));
    }

    #[test]
    fn an_input_must_repeat_a_lock_that_has_not_passed() {
        assert_eq!(flow(&[(10, 1, LOCK, 0)], &[], 0, LOCK - 1), Err(FlowError::NotMarkedAsLocked));
        assert_eq!(flow(&[(10, 1, LOCK, 0)], &[], 0, LOCK), Ok(()));
        let mismatch = FlowError::Locktime { input: 7, utxo: LOCK };
        assert_eq!(flow(&[(10, 1, LOCK, 7)], &[], 0, LOCK), Err(mismatch));
    }

    #[test]
    fn counts_and_assets_must_agree() {
        let spend = |utxos, inputs, credentials| {
            let spend = Spend { utxos, inputs, credentials, now: 0, signed_hash: None };
            verify_flow(&spend, &[], &BTreeMap::new())
        };
        let input = TransferableInput { utxo_id: UtxoId::default(), asset_id: AVAX, input: input(1, 0) };
        let utxo = Utxo { id: UtxoId::default(), asset_id: Id::EMPTY, out: out(1, 1, 0) };
        let credential = Credential::Secp256k1(secp256k1fx::Credential { sigs: vec![[0; 65]] });
        let (inputs, credentials) = ([input], [credential]);
        assert_eq!(spend(&[], &inputs, &[]), Err(FlowError::Credentials { inputs: 1, credentials: 0 }));
        assert_eq!(spend(&[], &inputs, &credentials), Err(FlowError::Utxos { inputs: 1, utxos: 0 }));
        assert_eq!(spend(&[utxo], &inputs, &credentials), Err(FlowError::Asset));
    }
}
