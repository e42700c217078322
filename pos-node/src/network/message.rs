//! Gossip messages: one kind per topic, decoded under the topic's size limit.

use shared_vendor::bytes::Writer;

use super::topic::Topic;
use crate::types::{
    block::SignedBlock,
    codec::{self, DecodeError, Wire},
    operation::{
        AttesterSlashing, FinalitySlashing, ProposerSlashing, SignedFinalityVote, SignedVoluntaryExit,
        SingleAttestation,
    },
    primitives::List,
    transaction::Tx,
};

/// Most transactions of one batch; the size of the topic allows fewer.
pub const MAX_BATCH: usize = 1024;
/// A batch is sent when it has grown to this many bytes.
pub const BATCH_BYTES: usize = 64 << 10;

/// Transactions that are gossiped together.
pub type TxBatch = List<Tx, MAX_BATCH>;

/// A message of gossip.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the content of its topic")]
pub enum Gossip {
    Block(Box<SignedBlock>),
    Attestation(SingleAttestation),
    Txs(TxBatch),
    FinalityVote(SignedFinalityVote),
    VoluntaryExit(SignedVoluntaryExit),
    ProposerSlashing(Box<ProposerSlashing>),
    FinalitySlashing(Box<FinalitySlashing>),
    AttesterSlashing(Box<AttesterSlashing>),
}

impl Gossip {
    /// Where it belongs.
    #[must_use]
    pub const fn topic(&self) -> Topic {
        match self {
            Self::Block(_) => Topic::Block,
            Self::Attestation(_) => Topic::Attestation,
            Self::Txs(_) => Topic::Tx,
            Self::FinalityVote(_) => Topic::FinalityVote,
            Self::VoluntaryExit(_) => Topic::VoluntaryExit,
            Self::ProposerSlashing(_) => Topic::ProposerSlashing,
            Self::FinalitySlashing(_) => Topic::FinalitySlashing,
            Self::AttesterSlashing(_) => Topic::AttesterSlashing,
        }
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        match self {
            Self::Block(block) => block.put(&mut out),
            Self::Attestation(vote) => vote.put(&mut out),
            Self::Txs(txs) => txs.put(&mut out),
            Self::FinalityVote(vote) => vote.put(&mut out),
            Self::VoluntaryExit(exit) => exit.put(&mut out),
            Self::ProposerSlashing(slashing) => slashing.put(&mut out),
            Self::FinalitySlashing(slashing) => slashing.put(&mut out),
            Self::AttesterSlashing(slashing) => slashing.put(&mut out),
        }
        out.into_vec()
    }

    /// Reads the message of a topic.
    ///
    /// # Errors
    /// Too long for the topic, or not an encoding.
    pub fn decode(topic: Topic, bytes: &[u8]) -> Result<Self, DecodeError> {
        let limit = topic.max_bytes();
        Ok(match topic {
            Topic::Block => Self::Block(Box::new(codec::decode(bytes, limit)?)),
            Topic::Attestation => Self::Attestation(codec::decode(bytes, limit)?),
            Topic::Tx => Self::Txs(codec::decode(bytes, limit)?),
            Topic::FinalityVote => Self::FinalityVote(codec::decode(bytes, limit)?),
            Topic::VoluntaryExit => Self::VoluntaryExit(codec::decode(bytes, limit)?),
            Topic::ProposerSlashing => Self::ProposerSlashing(Box::new(codec::decode(bytes, limit)?)),
            Topic::FinalitySlashing => Self::FinalitySlashing(Box::new(codec::decode(bytes, limit)?)),
            Topic::AttesterSlashing => Self::AttesterSlashing(Box::new(codec::decode(bytes, limit)?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{operation::MAX_VALIDATORS_PER_SLOT, primitives::Root};

    proptest! {
        #[test]
        fn any_bytes_decode_to_their_own_message_or_not_at_all(
            bytes in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..400),
            which in 0usize..8,
        ) {
            let topic = Topic::ALL[which];
            if let Ok(message) = Gossip::decode(topic, &bytes) {
                prop_assert_eq!(message.topic(), topic);
                prop_assert_eq!(message.encode(), bytes);
            }
        }
    }

    #[test]
    fn every_message_of_fixed_size_fits_its_topic_and_longer_ones_are_refused() {
        for (topic, min) in [
            (Topic::Attestation, SingleAttestation::MIN_BYTES),
            (Topic::FinalityVote, SignedFinalityVote::MIN_BYTES),
            (Topic::VoluntaryExit, SignedVoluntaryExit::MIN_BYTES),
            (Topic::ProposerSlashing, ProposerSlashing::MIN_BYTES),
            (Topic::FinalitySlashing, FinalitySlashing::MIN_BYTES),
        ] {
            assert!(min <= topic.max_bytes(), "{topic}");
            assert!(Gossip::decode(topic, &vec![0; min]).is_ok(), "{topic}");
            assert!(Gossip::decode(topic, &vec![0; topic.max_bytes() + 1]).is_err(), "{topic}");
        }
        let votes = 2 * (MAX_VALIDATORS_PER_SLOT * 8 + 512);
        assert!(votes <= Topic::AttesterSlashing.max_bytes());
        let ids = crate::types::block::MAX_TXS_PER_BLOCK * Root::MIN_BYTES;
        assert!(ids + (1 << 18) <= Topic::Block.max_bytes());
    }
}
