//! Notifications over ZeroMQ: topic, body, sequence number. Mirrors `src/zmq/zmqpublishnotifier.cpp`.

mod delta;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use fluxd_chainstate::ChainEvent;
use fluxd_primitives::{BlockHash, Codec, Transaction, TxId};
use shared_vendor::exit::{self, Report};
use tokio::sync::mpsc;
use zeromq::{PubSocket, Socket, SocketSend, ZmqMessage};

use self::delta::NodeListDelta;
pub(super) use self::delta::{Touched, touched};
use crate::config::Config;

/// What a topic tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    HashBlock,
    HashTx,
    RawBlock,
    RawTx,
    HashBlockHeight,
    ChainReorg,
    CheckedBlock,
    NodeListDelta,
}

impl Topic {
    fn name(self) -> &'static str {
        match self {
            Self::HashBlock => "hashblock",
            Self::HashTx => "hashtx",
            Self::RawBlock => "rawblock",
            Self::RawTx => "rawtx",
            Self::HashBlockHeight => "hashblockheight",
            Self::ChainReorg => "chainreorg",
            Self::CheckedBlock => "checkedblock",
            Self::NodeListDelta => "fluxnodelistdelta",
        }
    }
}

/// Ids of transactions of the memory pool that are remembered, so that none is told twice.
const REMEMBERED: usize = 10_000;

/// What is published.
pub(super) enum News {
    /// The chain has changed: what happened, which confirmed nodes it touched as they are after all of it, and whether the
    /// node is still far behind.
    Chain(Vec<ChainEvent>, Touched, bool),
    /// The memory pool has taken a transaction, or one is sent again.
    Pool(TxId, Arc<Transaction>),
}

/// The publisher: one socket an address, each with its topics.
pub(super) struct Publisher {
    sockets: Vec<(PubSocket, Vec<(Topic, u32)>)>,
    delta: NodeListDelta,
}

impl Publisher {
    /// Binds all addresses; `None` where no topic is published.
    pub(super) async fn bind(config: &Config) -> Result<Option<Self>, Report> {
        let lists = [
            (Topic::HashBlock, &config.zmq_hashblock),
            (Topic::HashTx, &config.zmq_hashtx),
            (Topic::RawBlock, &config.zmq_rawblock),
            (Topic::RawTx, &config.zmq_rawtx),
            (Topic::HashBlockHeight, &config.zmq_hashblockheight),
            (Topic::ChainReorg, &config.zmq_chainreorg),
            (Topic::CheckedBlock, &config.zmq_checkedblock),
            (Topic::NodeListDelta, &config.zmq_nodelistdelta),
        ];
        let mut by_address: BTreeMap<&str, Vec<(Topic, u32)>> = BTreeMap::new();
        for (topic, addresses) in lists {
            for address in addresses {
                by_address.entry(address).or_default().push((topic, 0));
            }
        }
        let mut sockets = Vec::new();
        for (address, topics) in by_address {
            let mut socket = PubSocket::new();
            socket.bind(address).await.map_err(|err| {
                Report::new(exit::PORT_IN_USE, format!("cannot publish at {address}")).because(&err)
            })?;
            tracing::info!(target: "zmq", address, topics = topics.len(), "publishing");
            sockets.push((socket, topics));
        }
        Ok((!sockets.is_empty()).then(|| Self { sockets, delta: NodeListDelta::default() }))
    }

    /// Publishes what comes until the sender is gone.
    pub(super) async fn run(mut self, mut news: mpsc::Receiver<News>) {
        let mut told: VecDeque<TxId> = VecDeque::new();
        while let Some(news) = news.recv().await {
            let messages = match news {
                News::Chain(events, after, syncing) => messages(&events, after, syncing, &mut self.delta),
                News::Pool(txid, _) if told.contains(&txid) => continue,
                News::Pool(txid, tx) => {
                    told.push_front(txid);
                    told.truncate(REMEMBERED);
                    let mut out = Vec::new();
                    push_tx(&mut out, &txid, &tx.to_bytes());
                    out
                }
            };
            for (topic, body) in messages {
                self.publish(topic, &body).await;
            }
        }
    }

    async fn publish(&mut self, topic: Topic, body: &[u8]) {
        for (socket, topics) in &mut self.sockets {
            let Some((_, sequence)) = topics.iter_mut().find(|(wanted, _)| *wanted == topic) else {
                continue;
            };
            let mut message = ZmqMessage::from(topic.name());
            message.push_back(body.to_vec().into());
            message.push_back(sequence.to_le_bytes().to_vec().into());
            *sequence = sequence.wrapping_add(1);
            if let Err(err) = socket.send(message).await {
                tracing::debug!(%err, "a subscriber did not take a message");
            }
        }
    }
}

/// What the subscribers of each topic hear of a change of the chain: of every transaction, and of every block that became
/// the best one. Blocks that only make up for those that were taken back did not, nor do those of a node that is far behind.
fn messages(
    events: &[ChainEvent],
    after: Touched,
    syncing: bool,
    delta: &mut NodeListDelta,
) -> Vec<(Topic, Vec<u8>)> {
    let mut out = Vec::new();
    let standing = delta::after_each(events, after);
    let (mut old, mut fork) = (None, None);
    let mut behind = 0_usize;
    for (event, standing) in events.iter().zip(standing) {
        match event {
            ChainEvent::Disconnected { block, height, nodes } => {
                delta.touch(nodes, standing);
                behind = behind.saturating_add(1);
                old.get_or_insert((block.hash(), *height));
                fork = Some((block.block().header.prev, height.saturating_sub(1)));
                for (id, tx) in block.transactions() {
                    push_tx(&mut out, id, &tx.to_bytes());
                }
            }
            ChainEvent::Connected { block, height, nodes } => {
                delta.touch(nodes, standing);
                out.push((Topic::CheckedBlock, block.block().to_bytes()));
                for (id, tx) in block.transactions() {
                    push_tx(&mut out, id, &tx.to_bytes());
                }
                if behind > 0 {
                    behind = behind.saturating_sub(1);
                    continue;
                }
                if let (Some(old), Some(fork)) = (old.take(), fork.take()) {
                    delta.reorganized(old);
                    let new = place((block.hash(), *height));
                    out.push((Topic::ChainReorg, [place(old), new, place(fork)].concat()));
                }
                if syncing {
                    continue;
                }
                out.extend(delta.take((block.hash(), *height)).map(|body| (Topic::NodeListDelta, body)));
                out.push((Topic::HashBlock, display(&block.hash())));
                out.push((Topic::RawBlock, block.block().to_bytes()));
                out.push((Topic::HashBlockHeight, place((block.hash(), *height))));
            }
            ChainEvent::Rejected { .. } => {}
        }
    }
    // Blocks were taken back by order: the tip is where they began.
    if let (Some(old), Some(fork)) = (old, fork) {
        delta.reorganized(old);
        out.push((Topic::ChainReorg, [place(old), place(fork), place(fork)].concat()));
    }
    out
}

fn push_tx(out: &mut Vec<(Topic, Vec<u8>)>, id: &TxId, bytes: &[u8]) {
    let mut shown = id.0.to_vec();
    shown.reverse();
    out.push((Topic::HashTx, shown));
    out.push((Topic::RawTx, bytes.to_vec()));
}

/// A hash as people read it.
fn display(hash: &BlockHash) -> Vec<u8> {
    let mut bytes = hash.0.to_vec();
    bytes.reverse();
    bytes
}

fn place((hash, height): (BlockHash, u32)) -> Vec<u8> {
    [display(&hash), height.to_le_bytes().to_vec()].concat()
}
