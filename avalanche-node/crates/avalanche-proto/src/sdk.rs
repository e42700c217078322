//! Messages of the network's SDK, which chains carry inside application messages behind a handler's number.
//! Mirrors `proto/sdk/sdk.proto`.

/// Asks for what the filter does not contain.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PullGossipRequest {
    /// Salts the filter's hashes.
    #[prost(bytes = "vec", tag = "2")]
    pub salt: Vec<u8>,
    /// A bloom filter over the ids of what the asker has.
    #[prost(bytes = "vec", tag = "3")]
    pub filter: Vec<u8>,
}

/// What the asker does not have.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PullGossipResponse {
    /// Encodings.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub gossip: Vec<Vec<u8>>,
}

/// What a node wants others to have.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PushGossip {
    /// Encodings.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub gossip: Vec<Vec<u8>>,
}
