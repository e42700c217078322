//! What RPC sees and orders of the network: shared values and a channel into the loop.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    sync::{Arc, atomic::Ordering, mpsc::sync_channel},
    time::Duration,
};

use fluxd_chainstate::AcceptError;
use fluxd_consensus::check::CheckedBlock;
use fluxd_p2p::transport::Hub;
use fluxd_primitives::{BlockHash, TxId};
use fluxd_rpc::{Network, PeerInfo, context::Submitted};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{network::Order, worker::Job};

/// How long an operator waits for the writer.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long RPC waits for the loop.
const ANSWER: Duration = Duration::from_secs(10);
/// How long, and how often, an operator's dial is looked at.
const DIAL_TURNS: u32 = 100;
const DIAL_TURN: Duration = Duration::from_millis(20);

pub(super) struct Handle {
    pub(super) hub: Arc<Hub>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) added: Arc<Mutex<Vec<String>>>,
    pub(super) default_port: u16,
}

impl Handle {
    /// Waits until a peer that was just dialled has shaken hands or is given up, so that whoever asks next sees it.
    fn wait_for(&self, address: SocketAddr) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let mut was_open = false;
        for _ in 0..DIAL_TURNS {
            let is_open = self.hub.is_connected(address);
            let is_ready = || self.peers().iter().any(|peer| peer.address == address);
            if (was_open && !is_open) || is_open && is_ready() {
                return;
            }
            was_open |= is_open;
            std::thread::sleep(DIAL_TURN);
        }
    }

    fn order(&self, order: Order) {
        let _ = self.orders.blocking_send(order); // the loop is gone only when the node stops
    }
}

/// The addresses of `host`, `host:port` or `[v6]:port`.
pub(super) fn resolve(node: &str, default_port: u16) -> Vec<SocketAddr> {
    if let Ok(address) = node.parse::<SocketAddr>() {
        return vec![address];
    }
    let with_port = node.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let text = if with_port { node.to_owned() } else { format!("{node}:{default_port}") };
    text.to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}

impl Network for Handle {
    fn peers(&self) -> Vec<PeerInfo> {
        let (reply, answer) = sync_channel(1);
        self.order(Order::Peers(reply));
        answer.recv_timeout(ANSWER).unwrap_or_default()
    }

    fn totals(&self) -> (u64, u64) {
        let traffic = &self.hub.traffic;
        (traffic.received.load(Ordering::Relaxed), traffic.sent.load(Ordering::Relaxed))
    }

    fn added(&self) -> Vec<String> {
        self.added.lock().clone()
    }

    fn add(&self, node: &str) -> bool {
        let mut added = self.added.lock();
        let new = !added.iter().any(|one| one == node);
        if new {
            added.push(node.to_owned());
        }
        new
    }

    fn remove(&self, node: &str) -> bool {
        let mut added = self.added.lock();
        let before = added.len();
        added.retain(|one| one != node);
        added.len() < before
    }

    fn try_once(&self, node: &str) {
        for address in self.resolve(node).into_iter().take(1) {
            self.order(Order::Dial(address));
            self.wait_for(address);
        }
    }

    fn resolve(&self, node: &str) -> Vec<SocketAddr> {
        resolve(node, self.default_port)
    }

    fn disconnect(&self, node: &str) -> bool {
        let addresses = self.resolve(node);
        let known: Vec<u64> = self
            .peers()
            .iter()
            .filter(|peer| addresses.contains(&peer.address))
            .map(|peer| peer.id)
            .collect();
        for key in &known {
            self.order(Order::Disconnect(*key));
        }
        !known.is_empty()
    }

    fn enforce_bans(&self) {
        self.order(Order::EnforceBans);
    }

    fn ping(&self) {
        self.order(Order::Ping);
    }

    fn submit(&self, block: Arc<CheckedBlock>) -> Result<Submitted, AcceptError> {
        let (reply, answer) = sync_channel(1);
        let _ = self.jobs.blocking_send(Job::Submit(block, reply));
        answer
            .recv_timeout(PATIENCE)
            .unwrap_or(Err(AcceptError::Local(fluxd_chainstate::ChainError::Snapshot("the node stops"))))
    }

    fn relay(&self, txid: TxId) {
        self.order(Order::Relay(txid));
    }

    fn judge(&self, hash: BlockHash, valid: bool) -> Result<(), String> {
        let (reply, answer) = sync_channel(1);
        let _ = self.jobs.blocking_send(Job::Judge(hash, valid, reply));
        answer.recv_timeout(PATIENCE).unwrap_or_else(|_| Err("the node stops".to_owned()))
    }

    fn local_addresses(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    fn stop(&self) {
        super::stop_process();
    }
}
