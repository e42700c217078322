//! What state validators say to each other, in payloads of the category [`CATEGORY`]. Mirrors `Network/Vote.cs` and
//! `Network/MessageType.cs` of the plugin `StateService`.

use neo_base::{
    account,
    codec::{DecodeError, Result, Wire, read_var_bytes, write_var_bytes},
    ledger::{Extensible, Witness, sign_data},
};
use neo_crypto::secp256r1::PrivateKey;
use shared_vendor::bytes::{Reader, Writer};

use crate::commit::StateRoot;

/// Category of the payloads.
pub const CATEGORY: &str = "StateService";

/// Heights for which a vote means something, from that of its root on.
pub const VOTE_LIFE: u32 = 10;

/// Heights for which a signed root is passed on, from its own on.
pub const ROOT_LIFE: u32 = 100;

/// One validator's signature of a root. The root itself is not said: everybody has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// Place of the validator among those of the height.
    pub validator: i32,
    /// Height of the root.
    pub height: u32,
    /// Signature of the root.
    pub signature: [u8; 64],
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// 0: a signature.
    Vote(Vote),
    /// 1: a root with the signatures of enough validators.
    Root(StateRoot),
}

impl Message {
    /// The payload of the message, signed by `key`.
    #[must_use]
    pub fn payload(&self, key: &PrivateKey, network: u32) -> Extensible {
        let (start, life) = match self {
            Self::Vote(vote) => (vote.height, VOTE_LIFE),
            Self::Root(root) => (root.index, ROOT_LIFE),
        };
        let verification = account::signature_script(&key.public_key());
        let mut payload = Extensible {
            category: CATEGORY.to_owned(),
            valid_block_start: start,
            valid_block_end: start.saturating_add(life),
            sender: account::script_hash(&verification),
            data: self.to_bytes(),
            witness: Witness { invocation: Vec::new(), verification },
        };
        payload.witness.invocation = push(&key.sign(&sign_data(network, &payload.hash())));
        payload
    }
}

impl Wire for Message {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        match reader.u8()? {
            0 => {
                let validator = i32::from_le_bytes(reader.array()?);
                let height = reader.u32_le()?;
                let signature = read_var_bytes(reader, 64)?;
                let signature =
                    signature.try_into().map_err(|_| DecodeError::Invalid("a signature has 64 bytes"))?;
                Ok(Self::Vote(Vote { validator, height, signature }))
            }
            1 => Ok(Self::Root(StateRoot::read(reader)?)),
            _ => Err(DecodeError::Invalid("unknown message of state validators")),
        }
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Vote(vote) => {
                writer.u8(0).put(&vote.validator.to_le_bytes());
                writer.u32_le(vote.height);
                write_var_bytes(writer, &vote.signature);
            }
            Self::Root(root) => {
                writer.u8(1);
                root.write(writer);
            }
        }
    }
}

/// The script that pushes a signature.
pub(super) fn push(signature: &[u8; 64]) -> Vec<u8> {
    [&[0x0c, 64][..], signature].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_is_a_place_a_height_and_a_whole_signature() {
        let vote = Message::Vote(Vote { validator: 3, height: 0x0102_0304, signature: [7; 64] });
        let bytes = vote.to_bytes();
        assert_eq!(bytes, [&[0, 3, 0, 0, 0, 4, 3, 2, 1, 64][..], &[7; 64]].concat());
        assert_eq!(Message::from_bytes(&bytes), Ok(vote));
        let mut short = bytes.clone();
        short[9] = 63;
        short.pop();
        assert!(Message::from_bytes(&short).is_err(), "63 bytes are no signature");
        assert!(Message::from_bytes(&[&bytes[..], &[0]].concat()).is_err(), "something is left over");
        assert!(Message::from_bytes(&[2]).is_err() && Message::from_bytes(&[]).is_err());
    }

    #[test]
    fn payloads_are_signed_by_their_sender_and_live_as_long_as_the_reference_says() {
        let key = PrivateKey::from_bytes(&[5; 32]).unwrap();
        let root = StateRoot { index: 70, root: neo_base::UInt256([9; 32]), witness: None };
        let vote = Vote { validator: 0, height: 70, signature: [1; 64] };
        for (message, end) in [(Message::Vote(vote), 80), (Message::Root(root), 170)] {
            let payload = message.payload(&key, 860_833_102);
            assert_eq!((payload.valid_block_start, payload.valid_block_end), (70, end));
            assert_eq!(payload.sender, account::script_hash(&payload.witness.verification));
            let signature: [u8; 64] = payload.witness.invocation[2..].try_into().unwrap();
            assert!(key.public_key().verify(&sign_data(860_833_102, &payload.hash()), &signature));
            assert_eq!(Message::from_bytes(&payload.data), Ok(message));
        }
    }
}
