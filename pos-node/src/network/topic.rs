//! Topics of gossip: names, size limits, and the id by which a message is known.

use std::fmt;

use crate::types::{primitives::Root, ssz::sha256};

/// Bytes of a message id.
pub const MESSAGE_ID_BYTES: usize = 20;

/// What gossip is about. One topic per kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Signed blocks.
    Block,
    /// Votes of single validators.
    Attestation,
    /// Batches of transactions.
    Tx,
    /// Votes on finalized checkpoints.
    FinalityVote,
    /// Validators that want to leave.
    VoluntaryExit,
    /// Proposers that signed two blocks.
    ProposerSlashing,
    /// Validators that signed two finality votes.
    FinalitySlashing,
    /// Voters that contradicted themselves.
    AttesterSlashing,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Block,
        Self::Attestation,
        Self::Tx,
        Self::FinalityVote,
        Self::VoluntaryExit,
        Self::ProposerSlashing,
        Self::FinalitySlashing,
        Self::AttesterSlashing,
    ];

    /// Its name inside the topic string, and as a label of metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Attestation => "attestation",
            Self::Tx => "tx",
            Self::FinalityVote => "finality_vote",
            Self::VoluntaryExit => "voluntary_exit",
            Self::ProposerSlashing => "proposer_slashing",
            Self::FinalitySlashing => "finality_slashing",
            Self::AttesterSlashing => "attester_slashing",
        }
    }

    /// Most bytes of a message; longer ones are not read.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Block => 5 << 20,
            Self::Attestation => 512,
            Self::Tx => 160 << 10,
            Self::FinalityVote => 320,
            Self::VoluntaryExit | Self::ProposerSlashing | Self::FinalitySlashing => 1 << 10,
            Self::AttesterSlashing => 256 << 10,
        }
    }

    /// The topic string under a fork digest.
    #[must_use]
    pub fn string(self, fork_digest: [u8; 4]) -> String {
        format!("/pos/{}/{}/1", shared_vendor::hex::encode(fork_digest), self.name())
    }

    /// The topic of a string, if it is one of the chain with this digest.
    #[must_use]
    pub fn parse(text: &str, fork_digest: [u8; 4]) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.string(fork_digest) == text)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The id of a message: the same bytes on two topics are two messages.
#[must_use]
pub fn message_id(topic: &str, data: &[u8]) -> [u8; MESSAGE_ID_BYTES] {
    let length = u64::try_from(topic.len()).unwrap_or(u64::MAX).to_le_bytes();
    let digest = sha256(&[length.as_slice(), topic.as_bytes(), data].concat());
    *digest.first_chunk().expect("a digest is longer than a message id")
}

/// The first eight digits of the genesis block's root, part of protocol names that must not mix chains.
#[must_use]
pub fn genesis8(genesis: &Root) -> String {
    let digits = shared_vendor::hex::encode(genesis.0);
    digits.get(..8).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_told_apart_by_name_and_by_chain() {
        for topic in Topic::ALL {
            let text = topic.string([1, 2, 3, 0xff]);
            assert_eq!(text, format!("/pos/010203ff/{topic}/1"));
            assert_eq!(Topic::parse(&text, [1, 2, 3, 0xff]), Some(topic));
            assert_eq!(Topic::parse(&text, [0; 4]), None);
        }
    }

    #[test]
    fn the_topic_is_part_of_the_message_id() {
        assert_ne!(message_id("a", b"bc"), message_id("ab", b"c"));
        assert_eq!(message_id("a", b"bc"), message_id("a", b"bc"));
    }
}
