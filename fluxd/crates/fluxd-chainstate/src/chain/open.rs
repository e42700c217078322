//! Opening: the index, the node list and the best trees from their rows; the genesis block where there are none. Mirrors
//! `LoadBlockIndexDB` and `InitBlockIndex`.

use std::{collections::BTreeMap, sync::Arc};

use fluxd_consensus::params::Params;
use fluxd_fluxnode::{NodeState, Undo, state::Before};
use fluxd_primitives::{Amount, OutPoint};
use fluxd_storage::{Batch, BlockRow, Durability, NodeList, Store, Tip, Validity, View};

use crate::{
    chain::{Bodies, Candidates, ChainState, Options, Result, ValuePools, snapshot},
    error::ChainError,
    follow::Followers,
    index::{HeaderIndex, NewEntry},
    state::{CoinCache, Group, empty_sapling_root, empty_sprout_root},
};

pub(super) fn open(mut store: Store, params: Arc<Params>, options: Options) -> Result<ChainState> {
    if snapshot::is_marked(&store)? {
        return Err(ChainError::Snapshot("its import into this folder did not finish"));
    }
    if store.view().tip()?.is_none() {
        create(&mut store, &params)?;
    }
    let view = store.view();
    let genesis = params.genesis.header.hash();
    let tip = view.tip()?.ok_or(ChainError::UnknownBlock(genesis))?;
    let mut index = load_index(&view)?;
    let tip_id = index.find(&tip.hash).ok_or(ChainError::UnknownBlock(tip.hash))?;
    index.set_active(tip_id);
    let mut candidates = Candidates::default();
    candidates.rebuild(&index);

    let row = view.block(&tip.hash)?.ok_or(ChainError::UnknownBlock(tip.hash))?;
    let missing_tree = |what| ChainError::StateMismatch { hash: tip.hash, what };
    let sprout_tree = if tip.sprout_root == empty_sprout_root() {
        Default::default()
    } else {
        view.sprout_anchor(&tip.sprout_root)?.ok_or(missing_tree("the Sprout tree is not there"))?
    };
    let sapling_tree = if tip.sapling_root == empty_sapling_root() {
        Default::default()
    } else {
        view.sapling_anchor(&tip.sapling_root)?.ok_or(missing_tree("the Sapling tree is not there"))?
    };
    let nodes = load_nodes(&view)?;
    let followers = Followers::open(&view, &options.indexes)?;
    let cache = CoinCache::new(options.cache_bytes);
    drop(view);
    Ok(ChainState {
        params,
        options,
        store,
        index,
        candidates,
        nodes,
        group: Group::new(tip, sprout_tree, sapling_tree),
        cache,
        followers,
        rows: std::collections::HashMap::new(),
        bodies: Bodies::default(),
        pools: ValuePools { sprout: row.sprout_value, sapling: row.sapling_value },
        unsynced: 0,
        batches: 0,
    })
}

fn create(store: &mut Store, params: &Params) -> Result<()> {
    let genesis = &params.genesis;
    let hash = genesis.header.hash();
    let known = store.reader().block_files()?;
    // Where the tables were lost, the files hold the block already; a scan takes it over.
    let position = if known.is_empty() { Some(store.append_block(genesis, 0)?) } else { None };
    let mut batch = Batch::default();
    batch.put_block(
        &hash,
        &BlockRow {
            header: genesis.header.clone(),
            height: 0,
            chain_work: genesis.header.bits.work(),
            validity: Validity::Connected,
            transactions: 1,
            block: position,
            undo_offset: None,
            sprout_value: Amount::ZERO,
            sapling_value: Amount::ZERO,
        },
    );
    batch.set_height(0, Some(&hash));
    batch.put_tip(&Tip {
        hash,
        height: 0,
        sprout_root: empty_sprout_root(),
        sapling_root: empty_sapling_root(),
    });
    Ok(store.commit(batch, Durability::Synced)?)
}

/// What the index keeps of a row, while the rows are brought into the order of their heights.
struct Loaded {
    height: u32,
    entry: NewEntry,
    validity: Validity,
    transactions: u32,
    has_body: bool,
}

fn load_index(view: &View) -> Result<HeaderIndex> {
    let mut rows: Vec<Loaded> = Vec::new();
    view.for_each_block(|hash, row| {
        rows.push(Loaded {
            height: row.height,
            entry: NewEntry::of(hash, &row.header),
            validity: row.validity,
            transactions: row.transactions,
            has_body: row.block.is_some(),
        });
        Ok(())
    })?;
    rows.sort_by_key(|row| row.height);
    let mut index = HeaderIndex::default();
    for row in rows {
        let id = index.add(row.entry);
        if row.transactions > 0 {
            index.link(id, row.transactions);
            if !row.has_body {
                index.forget_body(id);
            }
        }
        match row.validity {
            Validity::Connected => index.set_connected(id),
            Validity::Invalid => {
                index.fail(id);
            }
            Validity::Header | Validity::Body | Validity::InvalidAncestor => {}
        }
    }
    index.forget_sequence();
    Ok(index)
}

fn load_nodes(view: &View) -> Result<NodeState> {
    let mut standing: BTreeMap<OutPoint, Before> = BTreeMap::new();
    for (list, outpoint, node) in view.nodes()? {
        let before = standing.entry(outpoint).or_default();
        match list {
            NodeList::Started => before.started = Some(node),
            NodeList::Dos => before.dos = Some(node),
            NodeList::Confirmed => before.confirmed = Some(node),
        }
    }
    for (outpoint, keys) in view.delegates()? {
        standing.entry(outpoint).or_default().delegates = Some(keys);
    }
    let mut nodes = NodeState::default();
    nodes.revert(Undo(standing));
    Ok(nodes)
}
