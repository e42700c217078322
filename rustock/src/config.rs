//! Settings of this daemon, beside those that every daemon has.

mod hocon;
mod rskj;

use std::{net::SocketAddr, str::FromStr};

pub use rskj::{NodeConf, define};
use shared_vendor::config::{Kind, Listen, Setting};

use crate::{params::Checkpoint, rlpx::NodeId};

shared_vendor::settings! {
    /// Peers, discovery, RPC.
    pub struct Config {
        /// Nodes to stay connected to: enode://ID@ADDRESS:PORT, or ID@ADDRESS:PORT.
        peers: Vec<Enode> = ["p2p.peers"],
        /// Look for other nodes over UDP.
        discovery: bool = ["p2p.discovery", "true"],
        /// Nodes to ask first, NAME:PORT; empty means those of the network.
        bootnodes: Vec<String> = ["p2p.bootnodes"],
        /// Peers to dial; the rest of the places is for those who dial us.
        dial: usize = ["p2p.dial", "16"],
        /// Names under which RPC may be asked, beside localhost and addresses.
        rpc_hosts: Vec<String> = ["rpc.allowed-hosts"],
        /// A second address for WebSocket connections, as 127.0.0.1:4445; the first serves them under /websocket.
        ws: Option<Listen> = ["rpc.ws-addr"],
        /// Where a new database begins: genesis; builtin, a block that this program was built to trust; or the block
        /// NUMBER:HASH:TOTAL-DIFFICULTY. What lies below it is fetched in the background.
        checkpoint: Start = ["sync.checkpoint", "genesis"],
        /// Begin with an empty database: no; yes; or ask, which wants a terminal. Keys and peers stay.
        reset: Reset = ["db.reset", "no"],
        /// Web pages that may ask RPC, as http://example.org.
        rpc_origins: Vec<String> = ["rpc.allowed-origins"],
        /// A full node that is asked for receipts and logs, as http://127.0.0.1:4454; every answer is proven before it is
        /// passed on.
        upstream: Option<Url> = ["rpc.upstream"],
        /// Work above a block, in blocks of the present difficulty, that makes it `safe`.
        safe: u64 = ["finality.safe", "120"],
        /// Work above a block, in blocks of the present difficulty, that makes it `finalized`.
        finalized: u64 = ["finality.finalized", "4000"],
    }
}

shared_vendor::choice! {
    /// Whether the database is removed before the start.
    pub enum Reset("no, ask or yes") { No = "no", Ask = "ask", Yes = "yes" }
}

/// A node with its id and address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enode {
    /// Its id.
    pub id: NodeId,
    /// Where it listens.
    pub address: SocketAddr,
}

impl FromStr for Enode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, address) =
            text.strip_prefix("enode://").unwrap_or(text).split_once('@').ok_or("no @ in it")?;
        Ok(Self {
            id: id.parse().map_err(|_| "the id is not a public key in 128 hexadecimal digits")?,
            address: address.parse().map_err(|_| "the address is not of the form 127.0.0.1:5050")?,
        })
    }
}

impl Setting for Enode {
    const KIND: Kind = Kind::text("a node such as enode://ID@127.0.0.1:5050");

    fn parse(texts: &[String]) -> Result<Self, String> {
        match texts {
            [text] => text.parse().map_err(|err| format!("{}: {err}", Self::KIND.name)),
            _ => Err(Self::KIND.name.to_owned()),
        }
    }
}

/// Where a new database begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Everything is verified.
    Genesis,
    /// At the block of [`crate::params::Params::checkpoint`].
    Builtin,
    /// At this block.
    At(Checkpoint),
}

impl Setting for Start {
    const KIND: Kind = Kind::text("genesis, builtin or NUMBER:HASH:TOTAL-DIFFICULTY");

    fn parse(texts: &[String]) -> Result<Self, String> {
        match texts {
            [text] if text == "genesis" => Ok(Self::Genesis),
            [text] if text == "builtin" => Ok(Self::Builtin),
            [text] => text.parse().map(Self::At).map_err(|err| format!("{}: {err}", Self::KIND.name)),
            _ => Err(Self::KIND.name.to_owned()),
        }
    }
}

/// The address of a node's JSON-RPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url(pub String);

impl Setting for Url {
    const KIND: Kind = Kind::text("an address such as http://127.0.0.1:4444");

    fn parse(texts: &[String]) -> Result<Self, String> {
        match texts {
            [text] if text.strip_prefix("http://").is_some_and(|rest| !rest.is_empty()) => {
                Ok(Self(text.clone()))
            }
            _ => Err(Self::KIND.name.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_with_and_without_scheme() {
        let id = crate::rlpx::NodeKey::from_bytes([1; 32]).unwrap().id();
        for text in [format!("enode://{id}@127.0.0.1:5050"), format!("{id}@127.0.0.1:5050")] {
            let node: Enode = text.parse().unwrap();
            assert_eq!((node.id, node.address.port()), (id, 5050));
        }
        assert!("00@127.0.0.1:1".parse::<Enode>().is_err());
        assert!(format!("{id}@nowhere").parse::<Enode>().is_err());
    }
}
