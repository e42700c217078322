//! The proposal of a block, and the recovery message, which holds what a validator has heard in compact forms: the
//! receiver rebuilds the signed payloads from them. Mirrors `Messages/PrepareRequest.cs` and `RecoveryMessage/*.cs`.

use std::collections::HashSet;

use neo_base::{
    UInt256,
    codec::{
        DecodeError, Result, Wire, read_bool, read_list, read_var_bytes, read_var_int, write_list,
        write_var_bytes,
    },
};
use shared_vendor::bytes::{Reader, Writer};

use super::{MAX_TRANSACTIONS, PREPARE_REQUEST};

/// Most items of each list.
const MAX_ITEMS: usize = 255;

/// Longest script that proves a message.
const MAX_INVOCATION: usize = 1024;

/// What a primary proposes; the other fields of the block follow from the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Version of the block: 0.
    pub version: u32,
    /// Hash of the block before.
    pub previous: UInt256,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Drawn by the primary.
    pub nonce: u64,
    /// The transactions in order, each once.
    pub hashes: Vec<UInt256>,
}

impl Wire for Proposal {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let (version, previous) = (reader.u32_le()?, Wire::read(reader)?);
        let (timestamp, nonce) = (reader.u64_le()?, reader.u64_le()?);
        let hashes: Vec<UInt256> = read_list(reader, MAX_TRANSACTIONS, 32)?;
        if hashes.iter().collect::<HashSet<_>>().len() != hashes.len() {
            return Err(DecodeError::Invalid("proposal names a transaction twice"));
        }
        Ok(Self { version, previous, timestamp, nonce, hashes })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32_le(self.version);
        self.previous.write(writer);
        writer.u64_le(self.timestamp).u64_le(self.nonce);
        write_list(writer, &self.hashes);
    }
}

/// What is left of a change-view message: the rest is known to the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactChangeView {
    /// Who sent it.
    pub validator: u8,
    /// The view it was sent in.
    pub original_view: u8,
    /// Its timestamp.
    pub timestamp: u64,
    /// Its signature as a script.
    pub invocation: Vec<u8>,
}

/// What is left of a proposal or an acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactPreparation {
    /// Who sent it.
    pub validator: u8,
    /// Its signature as a script.
    pub invocation: Vec<u8>,
}

/// What is left of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactCommit {
    /// The view it was sent in.
    pub view: u8,
    /// Who sent it.
    pub validator: u8,
    /// The signature of the block.
    pub signature: [u8; 64],
    /// The signature of the message as a script.
    pub invocation: Vec<u8>,
}

/// What a validator has heard of a height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Who asked for the present view.
    pub change_views: Vec<CompactChangeView>,
    /// The proposal with the header of its message; `None` when it has not come.
    pub proposal: Option<(MessageHead, Proposal)>,
    /// Without a proposal: the payload hash of it that most have accepted.
    pub preparation: Option<UInt256>,
    /// Who has accepted, the primary among them.
    pub preparations: Vec<CompactPreparation>,
    /// Who has committed.
    pub commits: Vec<CompactCommit>,
}

/// Height, validator and view of the proposal inside a recovery.
pub type MessageHead = (u32, u8, u8);

impl Recovery {
    pub(super) fn largest_validator(&self) -> Option<u8> {
        let change_views = self.change_views.iter().map(|item| item.validator);
        let preparations = self.preparations.iter().map(|item| item.validator);
        let commits = self.commits.iter().map(|item| item.validator);
        let proposal = self.proposal.iter().map(|((_, validator, _), _)| *validator);
        change_views.chain(preparations).chain(commits).chain(proposal).max()
    }
}

impl Wire for Recovery {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let change_views: Vec<CompactChangeView> = read_list(reader, MAX_ITEMS, 11)?;
        let (mut proposal, mut preparation) = (None, None);
        if read_bool(reader)? {
            if reader.u8()? != PREPARE_REQUEST {
                return Err(DecodeError::Invalid("recovery holds another message as proposal"));
            }
            let head = (reader.u32_le()?, reader.u8()?, reader.u8()?);
            proposal = Some((head, Proposal::read(reader)?));
        } else {
            match read_var_int(reader)? {
                32 => preparation = Some(Wire::read(reader)?),
                other if other < 32 => {}
                _ => return Err(DecodeError::Invalid("hash of a proposal is too long")),
            }
        }
        let preparations: Vec<CompactPreparation> = read_list(reader, MAX_ITEMS, 2)?;
        let commits: Vec<CompactCommit> = read_list(reader, MAX_ITEMS, 67)?;
        distinct(change_views.iter().map(|item| item.validator))?;
        distinct(preparations.iter().map(|item| item.validator))?;
        distinct(commits.iter().map(|item| item.validator))?;
        Ok(Self { change_views, proposal, preparation, preparations, commits })
    }

    fn write(&self, writer: &mut Writer) {
        write_list(writer, &self.change_views);
        match (&self.proposal, &self.preparation) {
            (Some(((height, validator, view), proposal)), _) => {
                writer.u8(1);
                writer.u8(PREPARE_REQUEST).u32_le(*height).u8(*validator).u8(*view);
                proposal.write(writer);
            }
            (None, Some(hash)) => {
                writer.u8(0);
                write_var_bytes(writer, hash.as_bytes());
            }
            (None, None) => {
                writer.u8(0).u8(0);
            }
        }
        write_list(writer, &self.preparations);
        write_list(writer, &self.commits);
    }
}

fn distinct(validators: impl Iterator<Item = u8>) -> Result<()> {
    let mut seen = HashSet::new();
    let mut validators = validators;
    if validators.all(|validator| seen.insert(validator)) {
        Ok(())
    } else {
        Err(DecodeError::Invalid("recovery names a validator twice"))
    }
}

impl Wire for CompactChangeView {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            validator: reader.u8()?,
            original_view: reader.u8()?,
            timestamp: reader.u64_le()?,
            invocation: read_var_bytes(reader, MAX_INVOCATION)?.to_vec(),
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(self.validator).u8(self.original_view).u64_le(self.timestamp);
        write_var_bytes(writer, &self.invocation);
    }
}

impl Wire for CompactPreparation {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { validator: reader.u8()?, invocation: read_var_bytes(reader, MAX_INVOCATION)?.to_vec() })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(self.validator);
        write_var_bytes(writer, &self.invocation);
    }
}

impl Wire for CompactCommit {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            view: reader.u8()?,
            validator: reader.u8()?,
            signature: reader.array()?,
            invocation: read_var_bytes(reader, MAX_INVOCATION)?.to_vec(),
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(self.view).u8(self.validator).put(&self.signature);
        write_var_bytes(writer, &self.invocation);
    }
}
