//! The genesis header of a network, built from its parameters. Mirrors `org/ethereum/core/GenesisHeader.java`.

use super::{
    header::{self, EMPTY_TRIE_ROOT, EMPTY_UNCLES_HASH},
    rlp,
};
use crate::{params::Params, types::Header};

const COINBASE: [u8; 20] = [0x33; 20];

/// The header at height 0, or `None` for a network whose genesis is not known.
///
/// # Panics
/// Never for the built-in networks: a test decodes them all.
#[must_use]
pub fn genesis(params: &Params) -> Option<Header> {
    let genesis = params.genesis.as_ref()?;
    let wire = rlp::encode_list(|list| {
        list.string(&[0; 32])
            .string(&EMPTY_UNCLES_HASH)
            .string(&COINBASE)
            .string(&genesis.state_root)
            .string(&EMPTY_TRIE_ROOT)
            .string(&EMPTY_TRIE_ROOT)
            .string(&[0; 256])
            .string(genesis.difficulty)
            .u64(0) // number
            .string(genesis.gas_limit)
            .u64(0) // gas used
            .u64(genesis.timestamp)
            .string(genesis.extra_data)
            .u64(0) // paid fees
            .string(genesis.minimum_gas_price)
            .u64(0) // uncle count
            .string(&[0]) // the three merged-mining fields
            .string(&[0])
            .string(&[0]);
    });
    header::decode_header(params, wire.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Network;

    #[test]
    fn every_published_genesis_hashes_to_the_known_value() {
        for network in Network::ALL {
            let params = Params::of(network);
            let known = params.genesis.as_ref().map(|genesis| genesis.hash);
            assert_eq!(genesis(&params).map(|header| header.hash()), known, "{network}");
        }
    }
}
