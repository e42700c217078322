//! Outputs, inputs and credentials controlled by secp256k1 keys. Mirrors `vms/secp256k1fx`.

use std::cmp::Ordering;

use avalanche_codec::wire_struct;
use avalanche_crypto::secp256k1::{self, SecpError, Signature};
use avalanche_ids::ShortId;

/// Who may spend: `threshold` of the addresses, after a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct OutputOwners {
    /// Unix time in seconds before which nothing can be spent.
    pub locktime: u64,
    /// Signatures needed.
    pub threshold: u32,
    /// Addresses, sorted and unique when valid.
    pub addrs: Vec<ShortId>,
}
wire_struct!(OutputOwners { locktime, threshold, addrs });

/// An amount of an asset and its owners.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferOutput {
    /// Smallest units of the asset.
    pub amount: u64,
    /// Who may spend it.
    pub owners: OutputOwners,
}
wire_struct!(TransferOutput { amount, owners });

/// Which of the owners' addresses sign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    /// Positions in the address list, sorted and unique when valid.
    pub sig_indices: Vec<u32>,
}
wire_struct!(Input { sig_indices });

/// Spends a [`TransferOutput`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferInput {
    /// The amount of the output spent.
    pub amount: u64,
    /// Who signs.
    pub input: Input,
}
wire_struct!(TransferInput { amount, input });

/// The right to mint more of an asset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MintOutput {
    /// Who may mint.
    pub owners: OutputOwners,
}
wire_struct!(MintOutput { owners });

/// Mints an asset and renews the right to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MintOperation {
    /// Who signs.
    pub mint_input: Input,
    /// The renewed right.
    pub mint_output: MintOutput,
    /// What is minted.
    pub transfer_output: TransferOutput,
}
wire_struct!(MintOperation { mint_input, mint_output, transfer_output });

/// Why an input may not spend what it names. The name of the reference's error is in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpendError {
    /// Another amount than the output's (`ErrMismatchedAmounts`).
    #[error("input of {input} spends an output of {output}")]
    MismatchedAmounts {
        /// The input's amount.
        input: u64,
        /// The output's.
        output: u64,
    },
    /// Before the lock time (`ErrTimelocked`).
    #[error("output is time locked until {0}")]
    TimeLocked(u64),
    /// More signatures than needed (`ErrTooManySigners`).
    #[error("input has more signers than expected")]
    TooManySigners,
    /// Fewer signatures than needed (`ErrTooFewSigners`).
    #[error("input has less signers than expected")]
    TooFewSigners,
    /// Another number of signatures than of signers (`ErrInputCredentialSignersMismatch`).
    #[error("input expected a different number of signers than provided in the credential")]
    CredentialMismatch,
    /// A signer that is no owner (`ErrInputOutputIndexOutOfBounds`).
    #[error("input refers to an address that does not exist")]
    IndexOutOfBounds,
    /// A signature that names nobody.
    #[error("unusable signature")]
    Signature(#[from] SecpError),
    /// A signature of somebody else (`ErrWrongSig`).
    #[error("expected a signature from {expected} but got one from {found}")]
    WrongSigner {
        /// Who should have signed.
        expected: ShortId,
        /// Who did.
        found: ShortId,
    },
}

impl OutputOwners {
    /// Checks that a credential fulfils these owners' conditions at a time (Unix seconds). `signed_hash` is the hash of
    /// the unsigned transaction, or None while bootstrapping, when signatures are not looked at.
    ///
    /// # Errors
    /// As [`SpendError`] says, in the order of the reference's checks.
    pub fn verify_credential(
        &self,
        input: &Input,
        credential: &Credential,
        now: u64,
        signed_hash: Option<&[u8; 32]>,
    ) -> Result<(), SpendError> {
        let signers = input.sig_indices.len();
        let threshold = usize::try_from(self.threshold).unwrap_or(usize::MAX);
        if self.locktime > now {
            return Err(SpendError::TimeLocked(self.locktime));
        }
        match threshold.cmp(&signers) {
            Ordering::Less => return Err(SpendError::TooManySigners),
            Ordering::Greater => return Err(SpendError::TooFewSigners),
            Ordering::Equal if signers != credential.sigs.len() => {
                return Err(SpendError::CredentialMismatch);
            }
            Ordering::Equal => {}
        }
        let Some(hash) = signed_hash else { return Ok(()) };
        for (index, signature) in input.sig_indices.iter().zip(&credential.sigs) {
            let owner = usize::try_from(*index).ok().and_then(|index| self.addrs.get(index));
            let expected = *owner.ok_or(SpendError::IndexOutOfBounds)?;
            let found = secp256k1::recover(hash, signature)?.address();
            if expected != found {
                return Err(SpendError::WrongSigner { expected, found });
            }
        }
        Ok(())
    }
}

impl TransferOutput {
    /// Checks that an input with its credential may spend this output; see [`OutputOwners::verify_credential`].
    ///
    /// # Errors
    /// As [`SpendError`] says.
    pub fn verify_spend(
        &self,
        input: &TransferInput,
        credential: &Credential,
        now: u64,
        signed_hash: Option<&[u8; 32]>,
    ) -> Result<(), SpendError> {
        if self.amount != input.amount {
            return Err(SpendError::MismatchedAmounts { input: input.amount, output: self.amount });
        }
        self.owners.verify_credential(&input.input, credential, now, signed_hash)
    }
}

/// Signatures for one input, in the order of its indices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// Signatures over the hash of the unsigned transaction.
    pub sigs: Vec<Signature>,
}
wire_struct!(Credential { sigs });

impl Credential {
    /// The addresses that signed `hash`.
    ///
    /// # Errors
    /// A signature names no signer.
    pub fn signers(&self, hash: &[u8; 32]) -> Result<Vec<ShortId>, SecpError> {
        self.sigs.iter().map(|signature| Ok(secp256k1::recover(hash, signature)?.address())).collect()
    }
}

#[cfg(test)]
mod tests {
    use avalanche_crypto::{secp256k1::PrivateKey, sha256};

    use super::*;

    #[test]
    fn each_condition_of_an_owner_has_its_error() {
        let keys = [1, 2].map(|byte| PrivateKey::from_bytes([byte; 32]).unwrap());
        let addrs = keys.iter().map(|key| key.public_key().address()).collect();
        let output = TransferOutput { amount: 9, owners: OutputOwners { locktime: 5, threshold: 1, addrs } };
        let hash = sha256(b"unsigned");
        let credential = |count| Credential { sigs: vec![keys[0].sign(&hash); count] };
        let spend = |amount, indices: &[u32], signatures, now| {
            let input = TransferInput { amount, input: Input { sig_indices: indices.to_vec() } };
            output.verify_spend(&input, &credential(signatures), now, Some(&hash))
        };
        let (first, second) = (output.owners.addrs[0], output.owners.addrs[1]);
        assert_eq!(spend(9, &[0], 1, 5), Ok(()));
        assert_eq!(spend(8, &[0], 1, 5), Err(SpendError::MismatchedAmounts { input: 8, output: 9 }));
        assert_eq!(spend(9, &[0], 1, 4), Err(SpendError::TimeLocked(5)));
        assert_eq!(spend(9, &[0, 1], 2, 5), Err(SpendError::TooManySigners));
        assert_eq!(spend(9, &[], 0, 5), Err(SpendError::TooFewSigners));
        assert_eq!(spend(9, &[0], 2, 5), Err(SpendError::CredentialMismatch));
        assert_eq!(spend(9, &[2], 1, 5), Err(SpendError::IndexOutOfBounds));
        assert_eq!(spend(9, &[1], 1, 5), Err(SpendError::WrongSigner { expected: second, found: first }));
        let input = Input { sig_indices: vec![1] };
        let unsigned = Credential { sigs: vec![[0; 65]] };
        assert_eq!(output.owners.verify_credential(&input, &unsigned, 5, None), Ok(()));
        assert!(matches!(
            output.owners.verify_credential(&input, &unsigned, 5, Some(&hash)),
            Err(SpendError::Signature(_))
        ));
    }
}
