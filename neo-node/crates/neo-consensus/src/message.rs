//! What validators say to each other: the data of an extensible payload of category `dBFT`.
//! Mirrors `Messages/*.cs`; the compact forms inside a recovery are in [`recovery`].

pub mod recovery;

use neo_base::{
    UInt256,
    codec::{DecodeError, Result, Wire, read_list, write_list},
};
use shared_vendor::bytes::{Reader, Writer};

pub use recovery::{CompactChangeView, CompactCommit, CompactPreparation, Proposal, Recovery};

/// Most transactions that the wire form of a proposal allows.
const MAX_TRANSACTIONS: usize = 65535;

/// First byte of a proposal.
const PREPARE_REQUEST: u8 = 0x20;

/// Why a validator wants another primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeReason {
    /// Nothing came in time.
    Timeout,
    /// Enough others want it.
    Agreement,
    /// Transactions of the proposal did not come.
    TransactionNotFound,
    /// A transaction of the proposal is against the policy of the validator.
    TransactionRejectedByPolicy,
    /// A transaction of the proposal is invalid.
    TransactionInvalid,
    /// The proposed block is against the policy of the validator.
    BlockRejectedByPolicy,
    /// A reason of another version.
    Other(u8),
}

impl ChangeReason {
    fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Timeout,
            1 => Self::Agreement,
            2 => Self::TransactionNotFound,
            3 => Self::TransactionRejectedByPolicy,
            4 => Self::TransactionInvalid,
            5 => Self::BlockRejectedByPolicy,
            other => Self::Other(other),
        }
    }

    fn to_byte(self) -> u8 {
        match self {
            Self::Timeout => 0,
            Self::Agreement => 1,
            Self::TransactionNotFound => 2,
            Self::TransactionRejectedByPolicy => 3,
            Self::TransactionInvalid => 4,
            Self::BlockRejectedByPolicy => 5,
            Self::Other(byte) => byte,
        }
    }

    /// Whether the newer form of the message names transactions for this reason.
    #[must_use]
    pub fn names_transactions(self) -> bool {
        matches!(self, Self::TransactionRejectedByPolicy | Self::TransactionInvalid)
    }
}

/// How change-view messages are written. Both forms are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChangeViewForm {
    /// C# before 3.10.1, neo-go before 0.121: the reason ends the message.
    Plain,
    /// Since then: the rejected transactions follow where the reason is about transactions.
    #[default]
    WithRejected,
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// 00: I want the next view.
    ChangeView {
        /// Milliseconds since 1970; makes repeated requests differ.
        timestamp: u64,
        /// Why.
        reason: ChangeReason,
        /// The transactions at fault; `None` in the older form.
        rejected: Option<Vec<UInt256>>,
    },
    /// 20: as primary, I propose this block.
    PrepareRequest(Proposal),
    /// 21: I accept the proposal with this payload hash.
    PrepareResponse(UInt256),
    /// 30: my signature of the block.
    Commit([u8; 64]),
    /// 40: tell me what I missed.
    RecoveryRequest {
        /// Milliseconds since 1970; makes repeated requests differ.
        timestamp: u64,
    },
    /// 41: what I know of this height.
    Recovery(Box<Recovery>),
}

/// One message of a validator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The height that is being decided.
    pub height: u32,
    /// Place of the sender among the validators.
    pub validator: u8,
    /// The view it is in.
    pub view: u8,
    /// What it says.
    pub body: Body,
}

impl Wire for Message {
    /// Bytes after the message are ignored, as the reference ignores them.
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let kind = reader.u8()?;
        let (height, validator, view) = (reader.u32_le()?, reader.u8()?, reader.u8()?);
        let body = match kind {
            0x00 => {
                let timestamp = reader.u64_le()?;
                let reason = ChangeReason::from_byte(reader.u8()?);
                let named = reason.names_transactions() && !reader.is_empty();
                let rejected = named.then(|| read_list(reader, MAX_TRANSACTIONS, 32)).transpose()?;
                Body::ChangeView { timestamp, reason, rejected }
            }
            PREPARE_REQUEST => Body::PrepareRequest(Proposal::read(reader)?),
            0x21 => Body::PrepareResponse(Wire::read(reader)?),
            0x30 => Body::Commit(reader.array()?),
            0x40 => Body::RecoveryRequest { timestamp: reader.u64_le()? },
            0x41 => Body::Recovery(Box::new(Recovery::read(reader)?)),
            _ => return Err(DecodeError::Invalid("unknown kind of consensus message")),
        };
        Ok(Self { height, validator, view, body })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(self.kind()).u32_le(self.height).u8(self.validator).u8(self.view);
        match &self.body {
            Body::ChangeView { timestamp, reason, rejected } => {
                writer.u64_le(*timestamp).u8(reason.to_byte());
                if let Some(hashes) = rejected.as_ref().filter(|_| reason.names_transactions()) {
                    write_list(writer, hashes);
                }
            }
            Body::PrepareRequest(proposal) => proposal.write(writer),
            Body::PrepareResponse(hash) => hash.write(writer),
            Body::Commit(signature) => {
                writer.put(signature);
            }
            Body::RecoveryRequest { timestamp } => {
                writer.u64_le(*timestamp);
            }
            Body::Recovery(recovery) => recovery.write(writer),
        }
    }
}

impl Message {
    /// Reads the data of a payload.
    ///
    /// # Errors
    /// The bytes are no consensus message.
    pub fn from_data(data: &[u8]) -> Result<Self> {
        Self::read(&mut Reader::new(data))
    }

    fn kind(&self) -> u8 {
        match self.body {
            Body::ChangeView { .. } => 0x00,
            Body::PrepareRequest(_) => PREPARE_REQUEST,
            Body::PrepareResponse(_) => 0x21,
            Body::Commit(_) => 0x30,
            Body::RecoveryRequest { .. } => 0x40,
            Body::Recovery(_) => 0x41,
        }
    }

    /// The largest place among the validators that the message mentions.
    #[must_use]
    pub fn largest_validator(&self) -> u8 {
        let inside = match &self.body {
            Body::Recovery(recovery) => recovery.largest_validator(),
            _ => None,
        };
        inside.unwrap_or_default().max(self.validator)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_of_a_change_of_view_are_read_and_written_as_they_came() {
        let plain = [&[0_u8, 9, 0, 0, 0, 1, 0][..], &7_u64.to_le_bytes(), &[4]].concat();
        let named = [&plain[..], &[1], &[5; 32]].concat();
        for (bytes, expected) in [(&plain, None), (&named, Some(vec![UInt256([5; 32])]))] {
            let message = Message::from_data(bytes).unwrap();
            let Body::ChangeView { rejected, .. } = &message.body else { panic!("another kind") };
            assert_eq!(*rejected, expected);
            assert_eq!(&message.to_bytes(), bytes);
        }
    }

    #[test]
    fn a_proposal_with_a_transaction_twice_is_malformed() {
        let hashes = vec![UInt256([5; 32]); 2];
        let proposal = Proposal { version: 0, previous: UInt256::ZERO, timestamp: 1, nonce: 2, hashes };
        let message = Message { height: 1, validator: 0, view: 0, body: Body::PrepareRequest(proposal) };
        assert!(Message::from_data(&message.to_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(kind in prop::sample::select(vec![0_u8, 0x20, 0x21, 0x30, 0x40, 0x41]), rest: Vec<u8>) {
            let bytes = [&[kind][..], &rest].concat();
            if let Ok(message) = Message::from_data(&bytes) {
                let again = Message::from_data(&message.to_bytes()).unwrap();
                prop_assert_eq!(again, message);
            }
        }
    }
}
