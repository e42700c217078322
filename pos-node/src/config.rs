//! Settings of this daemon, beside those that every daemon has.

use std::{ops::Range, path::PathBuf, str::FromStr};

use libp2p::Multiaddr;
use shared_vendor::config::{Kind, Setting};

shared_vendor::settings! {
    /// Chain, peers, validators, RPC.
    pub struct Config {
        /// The genesis file of the network.
        genesis: Option<PathBuf> = ["chain.genesis"],
        /// Keep every old state: the database grows without end.
        archive: bool = ["chain.archive", "false"],
        /// Slots whose transactions and receipts are kept, unless everything is.
        history_slots: u64 = ["chain.history-slots", "216000"],
        /// A final checkpoint to start at instead of genesis, as ROOT:EPOCH from a node that is trusted.
        checkpoint: Option<Trusted> = ["sync.checkpoint"],
        /// Nodes to stay connected to, as /ip4/127.0.0.1/tcp/9470 with or without /p2p/ID.
        peers: Vec<Peer> = ["p2p.peers"],
        /// Look for nodes on the local network; meant for development networks.
        multicast: bool = ["p2p.multicast", "false"],
        /// File with the password of the key files in keys/validators.
        password_file: Option<PathBuf> = ["validator.password-file"],
        /// Address of a signer that holds keys for this node, as http://127.0.0.1:9000; it may be given more than once.
        signers: Vec<String> = ["validator.signer"],
        /// Publicly known keys to validate with, as 0..4; development networks only.
        interop: Option<Interop> = ["validator.interop"],
        /// Watch two epochs for another instance of our keys before signing anything.
        doppelganger: bool = ["validator.doppelganger", "true"],
        /// Text of the blocks proposed here, at most 32 bytes.
        graffiti: String = ["validator.graffiti", ""],
        /// Names under which RPC may be asked, beside localhost and addresses.
        rpc_hosts: Vec<String> = ["rpc.allowed-hosts"],
        /// Web pages that may ask RPC, as http://example.org.
        rpc_origins: Vec<String> = ["rpc.allowed-origins"],
    }
}

/// The address of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer(pub Multiaddr);

impl Setting for Peer {
    const KIND: Kind = Kind::text("an address such as /ip4/127.0.0.1/tcp/9470");

    fn parse(texts: &[String]) -> Result<Self, String> {
        match texts {
            [text] => text.parse().map(Self).map_err(|err| format!("{}: {err}", Self::KIND.name)),
            _ => Err(Self::KIND.name.to_owned()),
        }
    }
}

/// A checkpoint that is taken on trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trusted {
    /// Root of its block.
    pub root: [u8; 32],
    /// Its epoch.
    pub epoch: u64,
}

impl FromStr for Trusted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (root, epoch) = text.split_once(':').ok_or("no : in it")?;
        let root =
            shared_vendor::hex::decode_array(root).map_err(|_| "the root is not 64 hexadecimal digits")?;
        let epoch = epoch.parse().map_err(|_| "the epoch is no number")?;
        Ok(Self { root, epoch })
    }
}

impl Setting for Trusted {
    const KIND: Kind = Kind::text("a checkpoint as ROOT:EPOCH");

    fn parse(texts: &[String]) -> Result<Self, String> {
        match texts {
            [text] => text.parse().map_err(|err| format!("{}: {err}", Self::KIND.name)),
            _ => Err(Self::KIND.name.to_owned()),
        }
    }
}

/// Numbers of interop keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interop(pub Range<u64>);

/// Most interop keys of one node.
const MAX_INTEROP: u64 = 8192;

impl FromStr for Interop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once("..").ok_or("no .. in it")?;
        let number = |text: &str| text.trim().parse::<u64>().map_err(|err| err.to_string());
        let range = number(from)?..number(to)?;
        let count = range.end.checked_sub(range.start).ok_or("the first is above the last")?;
        if count > MAX_INTEROP { Err("too many keys".to_owned()) } else { Ok(Self(range)) }
    }
}

impl Setting for Interop {
    const KIND: Kind = Kind::text("a range of numbers such as 0..4");

    fn parse(texts: &[String]) -> Result<Self, String> {
        match texts {
            [text] => text.parse().map_err(|err| format!("{}: {err}", Self::KIND.name)),
            _ => Err(Self::KIND.name.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_root_and_epoch() {
        let text = format!("0x{}:7", "ab".repeat(32));
        assert_eq!(text.parse(), Ok(Trusted { root: [0xab; 32], epoch: 7 }));
        for text in ["7", "0xab:7", "x:y"] {
            assert!(text.parse::<Trusted>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_of_keys_are_bounded() {
        assert_eq!("2..5".parse(), Ok(Interop(2..5)));
        for text in ["5..2", "0..8193", "3", "a..b"] {
            assert!(text.parse::<Interop>().is_err(), "{text}");
        }
    }
}
