//! Bodies of the fuzz targets: what must hold for any bytes from outside. `fuzz/targets/` only calls these, and a test
//! below replays the seed corpora, so that every build checks them.

use bytes::Bytes;

use crate::{
    codec::{
        Extension, decode_full, decode_header, decode_headers, encode_full,
        header::{block_preimage, merged_mining_preimage},
        keccak::keccak256,
        rlp::{self, Item, Items},
        unitrie::Node,
    },
    params::{Network, Params},
    verify::{self, receipt::verify_receipt},
};

/// Name and body of a target.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 3] = [("header", header), ("rlp", rlp), ("proof", proof)];

/// A header of any network decodes or is refused, and what decodes encodes and hashes to the same, alone and in a run.
pub fn header(bytes: &[u8]) {
    let Some((network, wire)) = network(bytes) else { return };
    let params = Params::of(network);
    let wire = Bytes::copy_from_slice(wire);
    let alone = decode_header(&params, wire.clone());
    let run = decode_headers(&params, [wire.clone(), Bytes::new(), wire]);
    assert!(run.iter().step_by(2).all(|header| *header == alone), "a run decodes as its headers do");
    if let Ok(header) = alone {
        assert_eq!(
            decode_header(&params, header.wire().clone()).as_ref(),
            Ok(&header),
            "wire form reads back"
        );
        assert_eq!(keccak256(&[&block_preimage(&params, &header)]), header.hash().0, "hash of the preimage");
        if header.umm_root().unwrap_or_default().is_empty() {
            let base = keccak256(&[&merged_mining_preimage(&header)]);
            assert_eq!(base, header.fields().merged_mining_base.0, "hash of the merged-mining preimage");
        }
        // any verdict, no panic
        let _ = verify::check(&params, header, None);
    }
    if let Ok((header, extension)) = decode_full(&params, bytes.get(1..).unwrap_or_default()) {
        let full = encode_full(&header, extension.as_ref());
        let again = full.and_then(|full| decode_full(&params, &full).ok());
        // a header of version 1 drops the base event of its height, and lacks it then
        assert!(again.is_none_or(|again| again == (header, extension)), "full form reads back");
    }
    if let Ok(extension) = Extension::decode(bytes) {
        assert_eq!(extension.encode(), bytes, "an extension has one encoding");
    }
}

/// RLP is read or refused, within its depth, and every accepted item has that one encoding.
pub fn rlp(bytes: &[u8]) {
    let accepted = rlp::check(bytes, 16).is_ok();
    let mut items = Items::new(bytes);
    if let Ok(item) = items.item() {
        let mut encoder = rlp::Encoder::new();
        match item {
            Item::String(content) => encoder.string(content),
            Item::List(content) => encoder.list_of(content),
        };
        assert!(bytes.starts_with(encoder.as_slice()), "an item has one encoding");
    } else {
        assert!(!accepted, "what is checked can be read");
    }
    let mut numbers = Items::new(bytes);
    if let Ok(number) = numbers.u64() {
        let mut encoder = rlp::Encoder::new();
        encoder.u64(number);
        assert!(bytes.starts_with(encoder.as_slice()), "an integer has one encoding");
    }
}

/// Proofs of receipts from any bytes are refused without a panic; nodes are cut by a length byte each.
pub fn proof(bytes: &[u8]) {
    let mut nodes = Vec::new();
    let mut rest = bytes;
    while let Some((len, after)) = rest.split_first() {
        let (node, after) = after.split_at(usize::from(*len).min(after.len()));
        if let Ok(node) = Node::decode(node) {
            assert!(node.path().count() <= 8 * bytes.len(), "a path has its bits");
        }
        nodes.push(node);
        rest = after;
    }
    let root = nodes.last().map(|root| keccak256(&[root])).unwrap_or_default();
    for index in [0, 1, 128] {
        // any verdict: short values of a made-up trie may well be proven
        let _ = verify_receipt(&root, index, bytes, &nodes);
    }
}

fn network(bytes: &[u8]) -> Option<(Network, &[u8])> {
    let (selector, wire) = bytes.split_first()?;
    let network = Network::ALL.get(usize::from(*selector) % Network::ALL.len())?;
    Some((*network, wire))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_seed_corpora_pass() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, body) in TARGETS {
            let seeds: Vec<_> = std::fs::read_dir(root.join(name)).unwrap().flatten().collect();
            assert!(!seeds.is_empty(), "{name} has seeds");
            for seed in seeds {
                let bytes = std::fs::read(seed.path()).unwrap();
                body(&bytes);
                for cut in 0..bytes.len() {
                    body(&bytes[..cut]);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn mutated_headers_pass(at in 0_usize..1000, value in any::<u8>(), network in 0_u8..5) {
            let params = Params::of(Network::ALL[usize::from(network)]);
            if let Some(genesis) = crate::codec::genesis(&params) {
                let mut bytes = [&[network], &genesis.wire()[..]].concat();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
                header(&bytes);
            }
        }

        #[test]
        fn any_bytes_pass(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for (_, body) in TARGETS {
                body(&bytes);
            }
        }
    }
}
