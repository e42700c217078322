//! What the X-chain keeps: UTXOs, transactions, blocks and the chain's time. A block's changes, the block, and what it
//! hands to other chains become permanent in one write. Mirrors `vms/avm/state`; the layout of rows is our own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use avalanche_codec::{CodecError, VERSION, marshal, unmarshal_versioned, wire_struct};
use avalanche_db::{Batch, Database, DbError, Prefixed};
use avalanche_ids::{Id, ShortId};
use avalanche_utils::upgrade::Fork;
use avalanche_vm::{
    avax::UtxoId,
    utxo_store::{Page, UtxoStore},
};
use parking_lot::Mutex;

use crate::{
    block::Block,
    config::Config,
    fx::{Output, Utxo},
    genesis::Genesis,
    txs::{NamedTx, Tx, UnsignedTx, execute::ExecError},
    vertex::Vertex,
};

const META: &[u8] = b"m";
const TX: u8 = b't';
const BLOCK: u8 = b'b';
const HEIGHT: u8 = b'h';

type Store = Prefixed<Arc<dyn Database>>;

#[derive(Debug, Clone, Copy)]
struct Meta {
    timestamp: u64,
    last_accepted: Id,
    height: u64,
}
wire_struct!(Meta { timestamp, last_accepted, height });

/// The changes of a block.
#[derive(Debug, Clone, Default)]
pub struct Diff {
    timestamp: u64,
    utxos: BTreeMap<Id, Option<Utxo>>,
    txs: BTreeMap<Id, Arc<NamedTx>>,
}

/// The state with changes on top.
#[derive(Debug)]
pub struct Draft<'a> {
    base: &'a State,
    below: Vec<&'a Diff>,
    diff: Diff,
}

impl<'a> Draft<'a> {
    /// A draft on the accepted state under the changes of processing blocks, newest first.
    #[must_use]
    pub fn new(base: &'a State, below: Vec<&'a Diff>) -> Self {
        let timestamp = below.first().map_or(base.timestamp, |diff| diff.timestamp);
        Self { base, below, diff: Diff { timestamp, ..Diff::default() } }
    }

    /// A draft on this one.
    #[must_use]
    pub fn child(&self) -> Draft<'_> {
        let below = std::iter::once(&self.diff).chain(self.below.iter().copied()).collect();
        Draft::new(self.base, below)
    }

    /// The changes made on this draft.
    #[must_use]
    pub fn into_diff(self) -> Diff {
        self.diff
    }

    /// Makes the changes of a child.
    pub fn merge(&mut self, child: Diff) {
        self.diff.timestamp = child.timestamp;
        self.diff.utxos.extend(child.utxos);
        self.diff.txs.extend(child.txs);
    }

    fn layers(&self) -> impl Iterator<Item = &Diff> {
        std::iter::once(&self.diff).chain(self.below.iter().copied())
    }

    /// The chain's time, Unix seconds.
    #[must_use]
    pub const fn timestamp(&self) -> u64 {
        self.diff.timestamp
    }

    /// Moves the chain's time.
    pub const fn set_timestamp(&mut self, timestamp: u64) {
        self.diff.timestamp = timestamp;
    }

    /// A UTXO.
    ///
    /// # Errors
    /// The store failed.
    pub fn utxo(&self, id: &Id) -> Result<Option<Utxo>, DbError> {
        match self.layers().find_map(|diff| diff.utxos.get(id)) {
            Some(changed) => Ok(changed.clone()),
            None => self.base.utxo(id),
        }
    }

    /// Makes a UTXO.
    pub fn add_utxo(&mut self, utxo: Utxo) {
        self.diff.utxos.insert(utxo.id.input_id(), Some(utxo));
    }

    /// Spends a UTXO.
    pub fn delete_utxo(&mut self, id: Id) {
        self.diff.utxos.insert(id, None);
    }

    /// Remembers a transaction.
    pub fn add_tx(&mut self, tx: Arc<NamedTx>) {
        self.diff.txs.insert(tx.id, tx);
    }

    /// The fxs that an asset was made with.
    ///
    /// # Errors
    /// There is no such asset, or the store failed.
    pub fn fxs_of(&self, asset: Id) -> Result<BTreeSet<u32>, ExecError> {
        match self.layers().find_map(|diff| diff.txs.get(&asset)) {
            Some(tx) => fxs_of(tx),
            None => self.base.fxs_of(asset),
        }
    }
}

fn fxs_of(tx: &NamedTx) -> Result<BTreeSet<u32>, ExecError> {
    match &tx.tx.unsigned {
        UnsignedTx::CreateAsset(create) => Ok(create.states.iter().map(|state| state.fx_index).collect()),
        _ => Err(ExecError::NotAnAsset(tx.id)),
    }
}

/// A block with its place, to be stored.
#[derive(Debug, Clone, Copy)]
pub struct Accepted<'a> {
    /// The block.
    pub id: Id,
    /// Its height.
    pub height: u64,
    /// Its encoding.
    pub bytes: &'a [u8],
}

/// The accepted state.
pub struct State {
    timestamp: u64,
    last_accepted: Id,
    height: u64,
    rows: Store,
    utxos: UtxoStore<Store>,
    utxo_part: Store,
    assets: Mutex<BTreeMap<Id, BTreeSet<u32>>>,
    root: Arc<dyn Database>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("height", &self.height).finish_non_exhaustive()
    }
}

impl State {
    /// Opens the state in the node's store; an empty one begins with a genesis and the block above the stop vertex of a
    /// chain that was linear from the start.
    ///
    /// # Errors
    /// The store failed, holds something else, or the genesis cannot be read.
    pub fn open(root: Arc<dyn Database>, config: &Config, genesis: &[u8]) -> Result<Self, DbError> {
        let part = |name: &[u8]| {
            Prefixed::new(Arc::clone(&root), &[name, config.chain_id.as_bytes().as_slice()].concat())
        };
        let utxo_part = part(b"avm utxos");
        let mut state = Self {
            timestamp: 0,
            last_accepted: Id::EMPTY,
            height: 0,
            rows: part(b"avm"),
            utxos: UtxoStore::open(utxo_part.clone())?,
            utxo_part,
            assets: Mutex::new(BTreeMap::new()),
            root,
        };
        match state.rows.get(META)? {
            Some(meta) => {
                let meta: Meta = unmarshal_versioned(VERSION, &meta, usize::MAX)?;
                (state.timestamp, state.last_accepted, state.height) =
                    (meta.timestamp, meta.last_accepted, meta.height);
            }
            None => state.begin(config, genesis)?,
        }
        Ok(state)
    }

    fn begin(&mut self, config: &Config, genesis: &[u8]) -> Result<(), DbError> {
        let genesis = Genesis::parse(genesis)?;
        let time = u64::try_from(config.upgrades.time(Fork::Cortina)).unwrap_or(0);
        let block = Block::genesis(Vertex::stop_of(config.chain_id).id(), time);
        let mut draft = Draft::new(self, Vec::new());
        draft.set_timestamp(time);
        for asset in genesis.assets {
            let unsigned = UnsignedTx::CreateAsset(Box::new(asset.tx));
            let tx = Arc::new(NamedTx::new(Tx { unsigned, credentials: Vec::new() }));
            for utxo in genesis_utxos(&tx) {
                draft.add_utxo(utxo);
            }
            draft.add_tx(tx);
        }
        let diff = draft.into_diff();
        let bytes = block.bytes();
        self.commit(&diff, &Accepted { id: block.id(), height: 0, bytes: &bytes }, Batch::new())
    }

    /// The last accepted block.
    #[must_use]
    pub const fn last_accepted(&self) -> Id {
        self.last_accepted
    }

    /// Its height.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.height
    }

    /// The chain's time, Unix seconds.
    #[must_use]
    pub const fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// A UTXO.
    ///
    /// # Errors
    /// The store failed.
    pub fn utxo(&self, id: &Id) -> Result<Option<Utxo>, DbError> {
        self.utxos.get(id)
    }

    /// UTXOs of addresses; see [`UtxoStore::of_addresses`].
    ///
    /// # Errors
    /// The store failed.
    pub fn utxos_of(
        &self,
        addresses: &BTreeSet<ShortId>,
        start: Option<(ShortId, Id)>,
        limit: usize,
    ) -> Result<Page<Output>, DbError> {
        self.utxos.of_addresses(addresses, start, limit)
    }

    /// An accepted transaction.
    ///
    /// # Errors
    /// The store failed.
    pub fn tx(&self, id: &Id) -> Result<Option<Arc<NamedTx>>, DbError> {
        let Some(bytes) = self.rows.get(&key(TX, id.as_bytes()))? else { return Ok(None) };
        Ok(Some(Arc::new(NamedTx::new(unmarshal_versioned(VERSION, &bytes, usize::MAX)?))))
    }

    /// The encoding of an accepted block.
    ///
    /// # Errors
    /// The store failed.
    pub fn block(&self, id: &Id) -> Result<Option<Vec<u8>>, DbError> {
        self.rows.get(&key(BLOCK, id.as_bytes()))
    }

    /// The accepted block at a height.
    ///
    /// # Errors
    /// The store failed.
    pub fn block_id_at(&self, height: u64) -> Result<Option<Id>, DbError> {
        let Some(id) = self.rows.get(&key(HEIGHT, &height.to_be_bytes()))? else { return Ok(None) };
        let id = id.try_into().map_err(|_| CodecError::TooLarge { len: 0, limit: 0 })?;
        Ok(Some(Id(id)))
    }

    fn fxs_of(&self, asset: Id) -> Result<BTreeSet<u32>, ExecError> {
        if let Some(fxs) = self.assets.lock().get(&asset) {
            return Ok(fxs.clone());
        }
        let tx = self.tx(&asset)?.ok_or(ExecError::NoAsset(asset))?;
        let fxs = fxs_of(&tx)?;
        self.assets.lock().insert(asset, fxs.clone());
        Ok(fxs)
    }

    /// Makes the changes of an accepted block permanent; `beside` is written in the same batch.
    ///
    /// # Errors
    /// The store failed.
    pub fn commit(&mut self, diff: &Diff, accepted: &Accepted<'_>, beside: Batch) -> Result<(), DbError> {
        let meta = Meta { timestamp: diff.timestamp, last_accepted: accepted.id, height: accepted.height };
        let mut rows = Batch::new();
        rows.put(META, &marshal(&meta));
        rows.put(&key(BLOCK, accepted.id.as_bytes()), accepted.bytes);
        rows.put(&key(HEIGHT, &accepted.height.to_be_bytes()), accepted.id.as_bytes());
        for (id, tx) in &diff.txs {
            rows.put(&key(TX, id.as_bytes()), &tx.bytes);
        }
        let mut utxos = Batch::new();
        self.utxos.changes(diff.utxos.iter().map(|(id, change)| (id, change.as_ref())), &mut utxos)?;
        let mut whole = self.rows.outer_batch(&rows);
        whole.append(self.utxo_part.outer_batch(&utxos));
        whole.append(beside);
        self.root.write(&whole)?;
        (self.timestamp, self.last_accepted, self.height) = (meta.timestamp, meta.last_accepted, meta.height);
        Ok(())
    }
}

/// What an asset of the genesis begins with.
fn genesis_utxos(tx: &NamedTx) -> Vec<Utxo> {
    let UnsignedTx::CreateAsset(create) = &tx.tx.unsigned else { return Vec::new() };
    let outs = create.base.outs.iter().map(|output| (output.asset_id, &output.out));
    let states = create.states.iter().flat_map(|state| &state.outs).map(|out| (tx.id, out));
    outs.chain(states)
        .zip(0_u32..)
        .map(|((asset_id, out), output_index)| Utxo {
            id: UtxoId { tx_id: tx.id, output_index },
            asset_id,
            out: out.clone(),
        })
        .collect()
}

fn key(kind: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind], rest].concat()
}
