//! The package `p2p`. Field names and numbers are the network's.

#![allow(missing_docs)] // one table; the names say what the network's own description says

use prost::{Enumeration, Message, Oneof};

/// The envelope of everything.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Envelope {
    #[prost(
        oneof = "Body",
        tags = "2, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 34, 35, 36"
    )]
    pub body: Option<Body>,
}

/// What an envelope holds.
#[derive(Clone, PartialEq, Eq, Oneof)]
pub enum Body {
    /// Another envelope, compressed; it must not be compressed again.
    #[prost(bytes, tag = "2")]
    CompressedZstd(Vec<u8>),
    #[prost(message, tag = "11")]
    Ping(Ping),
    #[prost(message, tag = "12")]
    Pong(Pong),
    #[prost(message, tag = "13")]
    Handshake(Handshake),
    #[prost(message, tag = "14")]
    PeerList(PeerList),
    #[prost(message, tag = "15")]
    GetStateSummaryFrontier(GetStateSummaryFrontier),
    #[prost(message, tag = "16")]
    StateSummaryFrontier(StateSummaryFrontier),
    #[prost(message, tag = "17")]
    GetAcceptedStateSummary(GetAcceptedStateSummary),
    #[prost(message, tag = "18")]
    AcceptedStateSummary(AcceptedStateSummary),
    #[prost(message, tag = "19")]
    GetAcceptedFrontier(GetAcceptedFrontier),
    #[prost(message, tag = "20")]
    AcceptedFrontier(AcceptedFrontier),
    #[prost(message, tag = "21")]
    GetAccepted(GetAccepted),
    #[prost(message, tag = "22")]
    Accepted(Accepted),
    #[prost(message, tag = "23")]
    GetAncestors(GetAncestors),
    #[prost(message, tag = "24")]
    Ancestors(Ancestors),
    #[prost(message, tag = "25")]
    Get(Get),
    #[prost(message, tag = "26")]
    Put(Put),
    #[prost(message, tag = "27")]
    PushQuery(PushQuery),
    #[prost(message, tag = "28")]
    PullQuery(PullQuery),
    #[prost(message, tag = "29")]
    Chits(Chits),
    #[prost(message, tag = "30")]
    AppRequest(AppRequest),
    #[prost(message, tag = "31")]
    AppResponse(AppResponse),
    #[prost(message, tag = "32")]
    AppGossip(AppGossip),
    #[prost(message, tag = "34")]
    AppError(AppError),
    #[prost(message, tag = "35")]
    GetPeerList(GetPeerList),
    #[prost(message, tag = "36")]
    Simplex(Simplex),
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Ping {
    /// The sender's view of the receiver's uptime on the primary network, in percent.
    #[prost(uint32, tag = "1")]
    pub uptime: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Pong {}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Handshake {
    #[prost(uint32, tag = "1")]
    pub network_id: u32,
    /// Unix seconds.
    #[prost(uint64, tag = "2")]
    pub my_time: u64,
    /// 4 or 16 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub ip_addr: Vec<u8>,
    /// Only the low 16 bits count.
    #[prost(uint32, tag = "4")]
    pub ip_port: u32,
    /// Unix seconds of the upgrade that the sender's version rule is about.
    #[prost(uint64, tag = "5")]
    pub upgrade_time: u64,
    /// Unix seconds.
    #[prost(uint64, tag = "6")]
    pub ip_signing_time: u64,
    /// By the key of the TLS certificate.
    #[prost(bytes = "vec", tag = "7")]
    pub ip_node_id_sig: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub tracked_subnets: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "9")]
    pub client: Option<Client>,
    #[prost(uint32, repeated, tag = "10")]
    pub supported_acps: Vec<u32>,
    #[prost(uint32, repeated, tag = "11")]
    pub objected_acps: Vec<u32>,
    #[prost(message, optional, tag = "12")]
    pub known_peers: Option<BloomFilter>,
    /// By the BLS key.
    #[prost(bytes = "vec", tag = "13")]
    pub ip_bls_sig: Vec<u8>,
    #[prost(bool, tag = "14")]
    pub all_subnets: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Client {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint32, tag = "2")]
    pub major: u32,
    #[prost(uint32, tag = "3")]
    pub minor: u32,
    #[prost(uint32, tag = "4")]
    pub patch: u32,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct BloomFilter {
    #[prost(bytes = "vec", tag = "1")]
    pub filter: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub salt: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct ClaimedIpPort {
    #[prost(bytes = "vec", tag = "1")]
    pub x509_certificate: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub ip_addr: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub ip_port: u32,
    /// Unix seconds of the signature.
    #[prost(uint64, tag = "4")]
    pub timestamp: u64,
    /// By the key of the certificate.
    #[prost(bytes = "vec", tag = "5")]
    pub signature: Vec<u8>,
    /// 32 zero bytes.
    #[prost(bytes = "vec", tag = "6")]
    pub tx_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct GetPeerList {
    #[prost(message, optional, tag = "1")]
    pub known_peers: Option<BloomFilter>,
    #[prost(bool, tag = "2")]
    pub all_subnets: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct PeerList {
    #[prost(message, repeated, tag = "1")]
    pub claimed_ip_ports: Vec<ClaimedIpPort>,
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($rest:tt)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Message)]
        pub struct $name {
            #[prost(bytes = "vec", tag = "1")]
            pub chain_id: Vec<u8>,
            #[prost(uint32, tag = "2")]
            pub request_id: u32,
            $($rest)*
        }
    )*};
}

// Requests and answers of a chain. Deadlines are durations in nanoseconds.
messages! {
    GetStateSummaryFrontier {
        #[prost(uint64, tag = "3")]
        pub deadline: u64,
    }
    StateSummaryFrontier {
        #[prost(bytes = "vec", tag = "3")]
        pub summary: Vec<u8>,
    }
    GetAcceptedStateSummary {
        #[prost(uint64, tag = "3")]
        pub deadline: u64,
        #[prost(uint64, repeated, tag = "4")]
        pub heights: Vec<u64>,
    }
    AcceptedStateSummary {
        #[prost(bytes = "vec", repeated, tag = "3")]
        pub summary_ids: Vec<Vec<u8>>,
    }
    GetAcceptedFrontier {
        #[prost(uint64, tag = "3")]
        pub deadline: u64,
    }
    AcceptedFrontier {
        #[prost(bytes = "vec", tag = "3")]
        pub container_id: Vec<u8>,
    }
    GetAccepted {
        #[prost(uint64, tag = "3")]
        pub deadline: u64,
        #[prost(bytes = "vec", repeated, tag = "4")]
        pub container_ids: Vec<Vec<u8>>,
    }
    Accepted {
        #[prost(bytes = "vec", repeated, tag = "3")]
        pub container_ids: Vec<Vec<u8>>,
    }
    GetAncestors {
        #[prost(uint64, tag = "3")]
        pub deadline: u64,
        #[prost(bytes = "vec", tag = "4")]
        pub container_id: Vec<u8>,
        #[prost(enumeration = "EngineType", tag = "5")]
        pub engine_type: i32,
    }
    /// The requested container and then its ancestors, each followed by its parent.
    Ancestors {
        #[prost(bytes = "vec", repeated, tag = "3")]
        pub containers: Vec<Vec<u8>>,
    }
    Get {
        #[prost(uint64, tag = "3")]
        pub deadline: u64,
        #[prost(bytes = "vec", tag = "4")]
        pub container_id: Vec<u8>,
    }
    Put {
        #[prost(bytes = "vec", tag = "3")]
        pub container: Vec<u8>,
    }
    PushQuery {
        #[prost(uint64, tag = "3")]
        pub deadline: u64,
        #[prost(bytes = "vec", tag = "4")]
        pub container: Vec<u8>,
        #[prost(uint64, tag = "6")]
        pub requested_height: u64,
    }
    PullQuery {
        #[prost(uint64, tag = "3")]
        pub deadline: u64,
        #[prost(bytes = "vec", tag = "4")]
        pub container_id: Vec<u8>,
        #[prost(uint64, tag = "6")]
        pub requested_height: u64,
    }
    Chits {
        #[prost(bytes = "vec", tag = "3")]
        pub preferred_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        pub accepted_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "5")]
        pub preferred_id_at_height: Vec<u8>,
        #[prost(uint64, tag = "6")]
        pub accepted_height: u64,
    }
    AppRequest {
        #[prost(uint64, tag = "3")]
        pub deadline: u64,
        #[prost(bytes = "vec", tag = "4")]
        pub app_bytes: Vec<u8>,
    }
    AppResponse {
        #[prost(bytes = "vec", tag = "3")]
        pub app_bytes: Vec<u8>,
    }
    AppError {
        #[prost(sint32, tag = "3")]
        pub error_code: i32,
        #[prost(string, tag = "4")]
        pub error_message: String,
    }
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct AppGossip {
    #[prost(bytes = "vec", tag = "1")]
    pub chain_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub app_bytes: Vec<u8>,
}

/// A message of a Simplex chain. Only the chain is read: no chain of the primary network runs Simplex.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Simplex {
    #[prost(bytes = "vec", tag = "1")]
    pub chain_id: Vec<u8>,
}

/// Which engine a request for ancestors is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum EngineType {
    Unspecified = 0,
    Dag = 1,
    Chain = 2,
}
