//! Vertices of the DAG that the X-chain was before Cortina. Only their encoding; the DAG's consensus is history.
//! Mirrors `snow/engine/avalanche/vertex`.

use avalanche_codec::{CodecError, Reader, marshal_versioned, unmarshal_versioned, wire_struct};
use avalanche_ids::Id;

/// Largest vertex, in bytes.
pub const MAX_VERTEX_LEN: usize = 1024 * 1024;

const NORMAL_VERSION: u16 = 0;
const STOP_VERSION: u16 = 1;

/// A vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vertex {
    /// With transactions.
    Normal(NormalVertex),
    /// The last one of a chain.
    Stop(StopVertex),
}

/// Transactions above other vertices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalVertex {
    /// The chain.
    pub chain_id: Id,
    /// One above the highest parent.
    pub height: u64,
    /// Zero when valid.
    pub epoch: u32,
    /// Sorted and unique when valid.
    pub parent_ids: Vec<Id>,
    /// Encoded transactions, sorted by their hashes when valid.
    pub txs: Vec<Vec<u8>>,
}
wire_struct!(NormalVertex { chain_id, height, epoch, parent_ids, txs });

/// The end of a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopVertex {
    /// The chain.
    pub chain_id: Id,
    /// One above the highest parent; zero for the stop vertex of a DAG that never was.
    pub height: u64,
    /// Sorted and unique when valid.
    pub parent_ids: Vec<Id>,
}
wire_struct!(StopVertex { chain_id, height, parent_ids });

impl Vertex {
    /// Reads a vertex.
    ///
    /// # Errors
    /// The bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        let version = Reader::new(bytes).u16_be()?;
        if version == STOP_VERSION {
            unmarshal_versioned(STOP_VERSION, bytes, MAX_VERTEX_LEN).map(Self::Stop)
        } else {
            unmarshal_versioned(NORMAL_VERSION, bytes, MAX_VERTEX_LEN).map(Self::Normal)
        }
    }

    /// The stop vertex of a chain that was linear from the start.
    #[must_use]
    pub const fn stop_of(chain_id: Id) -> Self {
        Self::Stop(StopVertex { chain_id, height: 0, parent_ids: Vec::new() })
    }

    /// The encoding.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Normal(vertex) => marshal_versioned(NORMAL_VERSION, vertex),
            Self::Stop(vertex) => marshal_versioned(STOP_VERSION, vertex),
        }
    }

    /// The hash of the encoding.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::hash_of(&self.bytes())
    }
}
