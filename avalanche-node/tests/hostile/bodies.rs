//! What must hold for any bytes from outside: the bodies of the fuzz targets, called by tests too.

use avalanche_codec::{Wire, marshal, unmarshal};
use avalanche_crypto::staking::Certificate;
use avalanche_net::{
    frame::{self, MAX_MESSAGE_LEN},
    message,
};
use avalanche_utils::bloom::Filter;
use platformvm::{block::Block, genesis::Genesis, txs::Tx, warp};
use proposervm::block::ParsedBlock;

fn gives_back<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = unmarshal::<T>(bytes) {
        assert_eq!(marshal(&value), bytes);
    }
}

/// Blocks, transactions, genesis states and warp messages are refused or given back byte for byte.
pub(crate) fn block(bytes: &[u8]) {
    gives_back::<Block>(bytes);
    gives_back::<Tx>(bytes);
    gives_back::<Genesis>(bytes);
    gives_back::<avm::block::Block>(bytes);
    gives_back::<avm::txs::Tx>(bytes);
    gives_back::<avm::genesis::Genesis>(bytes);
    gives_back::<warp::Payload>(bytes);
    gives_back::<warp::PChainMessage>(bytes);
    if let Ok(message) = warp::Message::parse(bytes) {
        assert_eq!(message.bytes(), bytes);
    }
    if let Ok(vertex) = avm::vertex::Vertex::parse(bytes) {
        assert_eq!(vertex.bytes(), bytes);
    }
    if let Ok(wrapper) = ParsedBlock::parse_without_verification(bytes) {
        assert_eq!(wrapper.block().bytes(), bytes);
    }
}

/// Frames and messages are refused or given back; nothing longer than a message comes out of one.
pub(crate) fn message(bytes: &[u8]) {
    let _ = frame::split(bytes);
    if let Ok(filter) = Filter::parse(bytes) {
        assert_eq!(filter.to_bytes(), bytes);
    }
    assert!(message::decompressed_len(bytes).is_none_or(|len| len <= MAX_MESSAGE_LEN));
    if let Ok(body) = message::decode(bytes) {
        assert!(body.encoded_len() <= MAX_MESSAGE_LEN.max(bytes.len()));
        assert_eq!(message::decode(&message::encode(body.clone())).ok(), Some(body));
    }
}

/// A certificate is refused or names a node.
pub(crate) fn certificate(bytes: &[u8]) {
    if let Ok(certificate) = Certificate::parse(bytes) {
        assert_eq!(certificate.node_id(), Certificate::parse(bytes).expect("as before").node_id());
        assert!(certificate.check_signature(bytes, &[0; 64]).is_err());
    }
}
