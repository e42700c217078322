//! What changed in the list of confirmed fluxnodes from one best block to the next: the body of `fluxnodelistdelta`.
//! Mirrors `FluxNodeDelta` of `src/fluxnode/fluxnode.cpp` and `SendDelta` of `src/zmq/zmqpublishnotifier.cpp`.

use std::collections::BTreeMap;

use fluxd_chainstate::ChainEvent;
use fluxd_fluxnode::state::{Node, NodeState, Undo};
use fluxd_primitives::{
    BlockHash, Codec, OutPoint, PublicKey,
    codec::{Writer, put_compact_size, put_var_bytes},
    transaction::fluxnode::Owner,
};

/// The number of a confirmed node's state (`FLUXNODE_TX_CONFIRMED`).
const CONFIRMED: u8 = 3;
/// The old tip is on another branch.
const REORGANIZED: u8 = 1;

/// Collaterals with the confirmed node that each stands for, if one.
pub(in crate::node) type Touched = BTreeMap<OutPoint, Option<Node>>;

/// What events touched, as it is now.
pub(in crate::node) fn touched(events: &[ChainEvent], now: &NodeState) -> Touched {
    let all = events.iter().filter_map(changes).flat_map(|undo| undo.0.keys());
    all.map(|outpoint| (*outpoint, now.confirmed().get(outpoint).cloned())).collect()
}

/// What each event touched, as it was right after it; `after` is how it is after the last.
pub(super) fn after_each(events: &[ChainEvent], mut after: Touched) -> Vec<Touched> {
    let mut all: Vec<Touched> = events
        .iter()
        .rev()
        .map(|event| {
            let Some(undo) = changes(event) else { return Touched::new() };
            let before = |(outpoint, before): (&OutPoint, &fluxd_fluxnode::state::Before)| {
                let before = before.confirmed.clone();
                (*outpoint, after.insert(*outpoint, before).unwrap_or_default())
            };
            undo.0.iter().map(before).collect()
        })
        .collect();
    all.reverse();
    all
}

fn changes(event: &ChainEvent) -> Option<&Undo> {
    match event {
        ChainEvent::Connected { nodes, .. } | ChainEvent::Disconnected { nodes, .. } => Some(nodes),
        ChainEvent::Rejected { .. } => None,
    }
}

/// What changed since the last message.
#[derive(Default)]
pub(super) struct NodeListDelta {
    /// Where the last message ended; the first block is told of by no message.
    from: Option<(BlockHash, u32)>,
    /// The tip of the branch that was left since.
    old: Option<(BlockHash, u32)>,
    /// Before the first change, and after the last.
    nodes: BTreeMap<OutPoint, (Option<Node>, Option<Node>)>,
}

impl NodeListDelta {
    /// Notes what one event changed.
    pub(super) fn touch(&mut self, before: &Undo, after: Touched) {
        for (outpoint, after) in after {
            let before = || before.0.get(&outpoint).and_then(|before| before.confirmed.clone());
            self.nodes.entry(outpoint).or_insert_with(|| (before(), None)).1 = after;
        }
    }

    /// The chain left this tip for another branch.
    pub(super) fn reorganized(&mut self, old: (BlockHash, u32)) {
        self.old = Some(old);
    }

    /// The message for a new best block.
    pub(super) fn take(&mut self, to: (BlockHash, u32)) -> Option<Vec<u8>> {
        let old = self.old.take();
        let nodes = std::mem::take(&mut self.nodes);
        let from = self.from.replace(to)?;
        let mut writer = Writer::new();
        let (from_hash, to_hash) = (old.unwrap_or(from).0, to.0);
        writer.u32_le(from.1).u32_le(to.1);
        writer.put(&shown(from_hash.0)).put(&shown(to_hash.0));
        writer.u8(if old.is_some() { REORGANIZED } else { 0 });
        let group = |wanted: fn(&Option<Node>, &Option<Node>) -> bool| -> Vec<_> {
            nodes.iter().filter(|(_, (before, after))| wanted(before, after)).collect()
        };
        let added = group(|before, after| before.is_none() && after.is_some());
        let removed = group(|before, after| before.is_some() && after.is_none());
        let updated = group(|before, after| before.is_some() && after.is_some() && before != after);
        put_nodes(&mut writer, &added);
        put_compact_size(&mut writer, removed.len());
        for (outpoint, _) in removed {
            put_outpoint(&mut writer, outpoint);
        }
        put_nodes(&mut writer, &updated);
        Some(writer.into_vec())
    }
}

type Change<'a> = (&'a OutPoint, &'a (Option<Node>, Option<Node>));

fn put_nodes(writer: &mut Writer, nodes: &[Change<'_>]) {
    put_compact_size(writer, nodes.len());
    for (outpoint, (_, after)) in nodes {
        let Some(node) = after else { continue };
        put_outpoint(writer, outpoint);
        match &node.owner {
            Owner::Key(key) => key.encode(writer),
            Owner::RedeemScript(_) => PublicKey::default().encode(writer),
        }
        node.node_key.encode(writer);
        writer.u32_le(node.confirmed).u32_le(node.last_paid);
        writer.u8(u8::try_from(node.tier.number()).unwrap_or_default()).u8(CONFIRMED);
        put_var_bytes(writer, &node.ip);
    }
}

fn put_outpoint(writer: &mut Writer, outpoint: &OutPoint) {
    writer.put(&shown(outpoint.txid.0)).u32_le(outpoint.index);
}

/// A hash as people read it.
fn shown(mut hash: [u8; 32]) -> [u8; 32] {
    hash.reverse();
    hash
}
