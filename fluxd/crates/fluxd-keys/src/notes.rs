//! Notes of Sapling as those see them who received or sent them.

use fluxd_primitives::{Amount, Hash256, Transaction, TxId, transaction::shielded::SaplingOutput};
use sapling_crypto::{
    Note, NullifierDerivingKey, PaymentAddress, SaplingIvk,
    bundle::OutputDescription,
    keys::OutgoingViewingKey,
    note::ExtractedNoteCommitment,
    note_encryption::{
        PreparedIncomingViewingKey, Zip212Enforcement, try_sapling_note_decryption,
        try_sapling_output_recovery,
    },
    value::ValueCommitment,
};
use zip32::Scope;

/// Flux never took over the change of note plaintexts of ZIP-212.
const PLAINTEXTS: Zip212Enforcement = Zip212Enforcement::Off;

/// A note that was opened.
#[derive(Debug, Clone)]
pub struct OpenNote {
    /// What a spender needs to know.
    pub note: Note,
    /// Whom it was paid to.
    pub address: PaymentAddress,
    /// What the sender wrote, padded with zeros.
    pub memo: Box<[u8; 512]>,
}

impl OpenNote {
    /// Its value.
    #[must_use]
    pub fn value(&self) -> Amount {
        Amount::from_zat(i64::try_from(self.note.value().inner()).unwrap_or(i64::MAX))
    }

    /// What a transaction shows that spends it, given the number of its commitment among all of the chain.
    #[must_use]
    pub fn nullifier(&self, key: &NullifierDerivingKey, position: u64) -> Hash256 {
        Hash256(self.note.nf(key, position).0)
    }
}

/// The note of an output, where it was paid to this key.
#[must_use]
pub fn received(key: &PreparedIncomingViewingKey, output: &SaplingOutput) -> Option<OpenNote> {
    open(try_sapling_note_decryption(key, &description(output)?, PLAINTEXTS)?)
}

/// The note of an output, where it was sent with this key.
#[must_use]
pub fn sent(key: &OutgoingViewingKey, output: &SaplingOutput) -> Option<OpenNote> {
    open(try_sapling_output_recovery(key, &description(output)?, PLAINTEXTS)?)
}

/// A note in a chain.
#[derive(Debug, Clone)]
pub struct FoundNote {
    /// The transaction that paid it.
    pub txid: TxId,
    /// The output of that transaction.
    pub output: usize,
    /// Height of the block.
    pub height: u32,
    /// Whether the payment came from the same owner, as change does.
    pub scope: Scope,
    /// The note.
    pub open: OpenNote,
    /// What shows when it is spent.
    pub nullifier: Hash256,
    /// The transaction that spent it.
    pub spent: Option<TxId>,
}

/// Finds the notes of a viewing key in a chain, which it must be shown from the first block with Sapling on: the number of
/// a commitment is part of the nullifier.
pub struct Scanner {
    keys: Vec<(Scope, PreparedIncomingViewingKey, NullifierDerivingKey)>,
    position: u64,
    found: Vec<FoundNote>,
}

impl Scanner {
    /// Nothing seen yet; what opens notes, and what makes their nullifiers.
    #[must_use]
    pub fn new(keys: &[(Scope, SaplingIvk, NullifierDerivingKey)]) -> Self {
        let keys = keys.iter().map(|(scope, ivk, nk)| (*scope, PreparedIncomingViewingKey::new(ivk), *nk));
        Self { keys: keys.collect(), position: 0, found: Vec::new() }
    }

    /// Looks at the next transaction.
    pub fn see(&mut self, tx: &Transaction, height: u32) {
        for spend in &tx.spends {
            if let Some(note) = self.found.iter_mut().find(|note| note.nullifier == spend.nullifier) {
                note.spent = Some(tx.txid());
            }
        }
        for (number, output) in tx.shielded_outputs.iter().enumerate() {
            let opened =
                self.keys.iter().find_map(|(scope, ivk, nk)| Some((scope, nk, received(ivk, output)?)));
            if let Some((scope, nk, open)) = opened {
                self.found.push(FoundNote {
                    txid: tx.txid(),
                    output: number,
                    height,
                    scope: *scope,
                    nullifier: open.nullifier(nk, self.position),
                    open,
                    spent: None,
                });
            }
            self.position = self.position.saturating_add(1);
        }
    }

    /// What was found, oldest first.
    #[must_use]
    pub fn found(&self) -> &[FoundNote] {
        &self.found
    }
}

fn open((note, address, memo): (Note, PaymentAddress, [u8; 512])) -> Option<OpenNote> {
    Some(OpenNote { note, address, memo: Box::new(memo) })
}

fn description(output: &SaplingOutput) -> Option<OutputDescription<[u8; 192]>> {
    Some(OutputDescription::from_parts(
        Option::from(ValueCommitment::from_bytes_not_small_order(&output.cv))?,
        Option::from(ExtractedNoteCommitment::from_bytes(&output.cmu.0))?,
        output.ephemeral_key.into(),
        output.enc_ciphertext,
        output.out_ciphertext,
        output.proof,
    ))
}
