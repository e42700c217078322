//! What the loop remembers of one peer.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use fluxd_p2p::{
    Message,
    message::{filter::Filter, version::NODE_NETWORK},
    peer::Input as PeerInput,
    transport::Connection,
};
use fluxd_primitives::{BlockHash, Hash256};
use parking_lot::Mutex;

/// Names of blocks and transactions remembered per peer.
const KNOWN: usize = 1000;
/// Addresses remembered per peer; then it begins anew.
const KNOWN_ADDRESSES: usize = 5000;

/// A ready connection and what is known of who is at its end.
pub(super) struct Peer {
    pub(super) connection: Connection,
    pub(super) known: VecDeque<Hash256>,
    /// Addresses that it told of, or was told of.
    pub(super) known_addresses: BTreeSet<SocketAddr>,
    pub(super) prefers_headers: bool,
    pub(super) wants_compact: bool,
    pub(super) filter: Arc<Mutex<Option<Filter>>>,
    pub(super) answered_getaddr: bool,
    pub(super) getaddr_sent: bool,
    /// Fee rate below which it wants no transactions, zatoshi per 1000 bytes.
    pub(super) least_fee: i64,
    /// Names its last header, to continue from.
    pub(super) locator: Vec<BlockHash>,
    pub(super) synced_headers: i64,
    pub(super) synced_blocks: i64,
    /// Number of the last of its messages that went to the writer.
    pub(super) given: u64,
    /// Number of the last request of its that came back from there.
    pub(super) settled: u64,
}

impl Peer {
    pub(super) fn send(&self, message: Message) {
        // A peer that takes nothing is found by its connection; what does not fit is lost.
        let _ = self.connection.commands.try_send(PeerInput::Send(message));
    }

    pub(super) fn misbehave(&self, points: u32, reason: &'static str) {
        let _ = self.connection.commands.try_send(PeerInput::Misbehave(points, reason));
    }

    pub(super) fn knows(&mut self, hash: Hash256) -> bool {
        if self.known.contains(&hash) {
            return true;
        }
        self.known.push_back(hash);
        if self.known.len() > KNOWN {
            self.known.pop_front();
        }
        false
    }

    /// Notes addresses that it knows; true when one of them is new.
    pub(super) fn has_addresses(&mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> bool {
        if self.known_addresses.len() >= KNOWN_ADDRESSES {
            self.known_addresses.clear();
        }
        let mut new = false;
        for address in addresses {
            new |= self.known_addresses.insert(address);
        }
        new
    }

    /// Whether a header on top of this block joins what the peer has; one that does not costs us points there.
    pub(super) fn has(&self, parent: &BlockHash) -> bool {
        self.known.contains(&Hash256(parent.0))
    }

    pub(super) fn serves(&self) -> bool {
        self.connection.remote.services & NODE_NETWORK != 0
    }
}
