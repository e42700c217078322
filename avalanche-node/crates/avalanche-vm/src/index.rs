//! The index of what a chain accepted, in the order of acceptance: blocks, and transactions of the X-chain. What stands in
//! it is what the chain accepted; nothing is judged here. Mirrors `indexer`, keys and values included.

use std::{ops::RangeInclusive, sync::Arc};

use avalanche_codec::{CodecError, marshal, unmarshal_versioned, wire_struct};
use avalanche_db::{Batch, Database, DbError, Prefixed};
use avalanche_ids::Id;
use parking_lot::RwLock;
use shared_vendor::clock::Wall;

/// Most containers in one answer.
pub const MAX_FETCHED: u64 = 1024;

const NEXT_KEY: &[u8] = &[0];
const BY_INDEX: &[u8] = &[1];
const BY_ID: &[u8] = &[2];
const TXS: u8 = 1;
const VERTICES: u8 = 2;
const BLOCKS: u8 = 3;
const INCOMPLETE: u8 = 4;
const INDEXED_BEFORE: u8 = 5;
const HAS_RUN: &[u8] = &[7];

/// Something accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: Id,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// When this node accepted it, Unix nanoseconds.
    pub timestamp: u64,
}
wire_struct!(Container { id, bytes, timestamp });

/// Why an index does not answer.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It is empty.
    #[error("no containers have been accepted")]
    NoneAccepted,
    /// Nothing stands there.
    #[error("no container at index {0}")]
    NoContainer(u64),
    /// Too many or none were asked for.
    #[error("numToFetch must be in [1,{MAX_FETCHED}] but is {0}")]
    Count(u64),
    /// The first one asked for was not accepted yet.
    #[error("start index ({start}) > last accepted index ({last})")]
    PastEnd {
        /// The first one.
        start: u64,
        /// The last one there is.
        last: u64,
    },
    /// The id is not in it.
    #[error("not found")]
    NotFound,
    /// The index would have gaps, which is not allowed.
    #[error("the index of a chain would have gaps: part of its blocks was accepted without it")]
    Incomplete,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] DbError),
    /// The store holds something else.
    #[error("the index is damaged")]
    Damaged(#[from] CodecError),
}

/// One list of one chain.
pub struct Index {
    store: Prefixed<Arc<dyn Database>>,
    next: RwLock<u64>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("next", &*self.next.read()).finish_non_exhaustive()
    }
}

fn number(bytes: Option<Vec<u8>>) -> Result<Option<u64>, IndexError> {
    let parse = |bytes: Vec<u8>| bytes.try_into().map(u64::from_be_bytes).map_err(|_| IndexError::NotFound);
    bytes.map(parse).transpose()
}

impl Index {
    fn open(root: Arc<dyn Database>, chain: Id, kind: u8) -> Result<Self, IndexError> {
        let store = Prefixed::new(root, &key_of(chain, kind));
        let next = RwLock::new(number(store.get(NEXT_KEY)?)?.unwrap_or_default());
        Ok(Self { store, next })
    }

    fn by_index(&self) -> Prefixed<&Prefixed<Arc<dyn Database>>> {
        Prefixed::new(&self.store, BY_INDEX)
    }

    fn by_id(&self) -> Prefixed<&Prefixed<Arc<dyn Database>>> {
        Prefixed::new(&self.store, BY_ID)
    }

    /// Appends something, unless it stands there from before a crash. Call it before the chain commits.
    ///
    /// # Errors
    /// The store failed: the chain must not commit.
    pub fn accept(&self, id: Id, bytes: &[u8], now: Wall) -> Result<(), IndexError> {
        let mut next = self.next.write();
        if self.by_id().get(&id.0)?.is_some() {
            return Ok(());
        }
        let (key, above) = (next.to_be_bytes(), next.saturating_add(1));
        let container = Container { id, bytes: bytes.to_vec(), timestamp: now.as_nanos() };
        let (mut by_index, mut by_id, mut batch) = (Batch::new(), Batch::new(), Batch::new());
        by_index.put(&key, &marshal(&container));
        by_id.put(&id.0, &key);
        batch.put(NEXT_KEY, &above.to_be_bytes());
        batch.append(self.by_index().outer_batch(&by_index));
        batch.append(self.by_id().outer_batch(&by_id));
        self.store.write(&batch)?;
        *next = above;
        Ok(())
    }

    fn last(&self) -> Option<u64> {
        self.next.read().checked_sub(1)
    }

    /// What was accepted as number `index`, from zero.
    ///
    /// # Errors
    /// Nothing stands there; the store failed.
    pub fn at(&self, index: u64) -> Result<Container, IndexError> {
        if self.last().is_none_or(|last| index > last) {
            return Err(IndexError::NoContainer(index));
        }
        let bytes = self.by_index().get(&index.to_be_bytes())?.ok_or(IndexError::NoContainer(index))?;
        Ok(unmarshal_versioned(0, &bytes, usize::MAX)?)
    }

    /// Which of `count` from `start` on there are.
    ///
    /// # Errors
    /// The index is empty or ends before `start`; too many or none are asked for.
    pub fn range(&self, start: u64, count: u64) -> Result<RangeInclusive<u64>, IndexError> {
        if count == 0 || count > MAX_FETCHED {
            return Err(IndexError::Count(count));
        }
        let last = self.last().ok_or(IndexError::NoneAccepted)?;
        if start > last {
            return Err(IndexError::PastEnd { start, last });
        }
        Ok(start..=start.saturating_add(count - 1).min(last))
    }

    /// The number of something.
    ///
    /// # Errors
    /// It is not in the index; the store failed.
    pub fn number_of(&self, id: &Id) -> Result<u64, IndexError> {
        number(self.by_id().get(&id.0)?)?.ok_or(IndexError::NotFound)
    }

    /// The number of the last one.
    ///
    /// # Errors
    /// The index is empty.
    pub fn last_number(&self) -> Result<u64, IndexError> {
        self.last().ok_or(IndexError::NoneAccepted)
    }
}

fn key_of(chain: Id, end: u8) -> Vec<u8> {
    [chain.as_bytes().as_slice(), &[end]].concat()
}

/// The lists of one chain.
#[derive(Debug, Clone)]
pub struct Indexes {
    /// Blocks, as the network sees them.
    pub blocks: Arc<Index>,
    /// Transactions and vertices, of a chain that once was a DAG.
    pub dag: Option<(Arc<Index>, Arc<Index>)>,
}

/// Opens the indexes, and watches that none gets gaps.
pub struct Indexer {
    store: Arc<dyn Database>,
    is_enabled: bool,
    may_have_gaps: bool,
    has_run_before: bool,
}

impl std::fmt::Debug for Indexer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Indexer").field("is_enabled", &self.is_enabled).finish_non_exhaustive()
    }
}

impl Indexer {
    /// Notes that the node has run.
    ///
    /// # Errors
    /// The store failed.
    pub fn open(store: Arc<dyn Database>, is_enabled: bool, may_have_gaps: bool) -> Result<Self, IndexError> {
        let has_run_before = store.get(HAS_RUN)?.is_some();
        mark(&*store, HAS_RUN)?;
        Ok(Self { store, is_enabled, may_have_gaps, has_run_before })
    }

    /// The indexes of a chain; none when indexing is switched off.
    ///
    /// # Errors
    /// The index would have gaps and must not; the store failed.
    pub fn register(&self, chain: Id, was_dag: bool) -> Result<Option<Indexes>, IndexError> {
        let (incomplete, before) = (key_of(chain, INCOMPLETE), key_of(chain, INDEXED_BEFORE));
        let was_indexed = self.store.get(&before)?.is_some();
        if !self.is_enabled {
            if was_indexed && !self.may_have_gaps {
                return Err(IndexError::Incomplete);
            }
            mark(&*self.store, &incomplete)?;
            return Ok(None);
        }
        let has_gaps = self.store.get(&incomplete)?.is_some();
        if has_gaps && !self.may_have_gaps && (was_indexed || self.has_run_before) {
            return Err(IndexError::Incomplete);
        }
        mark(&*self.store, &before)?;
        let open = |kind| Index::open(Arc::clone(&self.store), chain, kind).map(Arc::new);
        let blocks = open(BLOCKS)?;
        let dag = if was_dag { Some((open(TXS)?, open(VERTICES)?)) } else { None };
        Ok(Some(Indexes { blocks, dag }))
    }
}

fn mark(store: &dyn Database, key: &[u8]) -> Result<(), IndexError> {
    let mut batch = Batch::new();
    batch.put(key, &[]);
    Ok(store.write(&batch)?)
}
