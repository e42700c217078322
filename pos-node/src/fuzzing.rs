//! Bodies of the fuzz targets: what must hold for any bytes from outside. `fuzz/targets/` only calls these, and a test
//! below replays the seed corpora, so that every build checks them.

use crate::{
    config::{Interop, Trusted},
    consensus::{
        chain::checkpoint::{Anchor, StatePiece},
        finality::{SignerList, verify_cert},
        light::{EntryProof, TxProof},
    },
    crypto::keystore::Keystore,
    network::{
        message::Gossip,
        request::{Answer, Protocol, Request},
        topic::Topic,
    },
    node::genesis,
    slashing_protection::{
        interchange::Interchange,
        rules::{Protection, Rule},
    },
    state::{State, encoding, transition::tx::Prepared, tree::Node},
    storage::StateRow,
    types::{
        address,
        block::{Body, SignedBlock},
        codec::{Wire, decode, encode},
        operation::FinalityCert,
        params::Params,
        primitives::Root,
        ssz::TreeHash,
        transaction::{Receipt, Tx},
    },
};

/// Name and body of a target.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("gossip", gossip),
    ("request", request),
    ("block", block),
    ("state", state),
    ("proof", proof),
    ("text", text),
];

/// Decodes, and checks that a value has no other encoding than the one it came from.
fn canonical<T: Wire>(bytes: &[u8]) -> Option<T> {
    let value = decode(bytes, usize::MAX).ok()?;
    assert!(encode(&value) == bytes, "a value has one encoding");
    Some(value)
}

/// The first byte chooses among so many; the rest is what is decoded.
fn choose<'a, T: Copy>(bytes: &'a [u8], of: &[T]) -> Option<(T, &'a [u8])> {
    let (first, rest) = bytes.split_first()?;
    Some((*of.get(usize::from(*first).checked_rem(of.len())?)?, rest))
}

/// A message of any topic decodes within the topic's size to what encodes to the same bytes, or is refused.
pub fn gossip(bytes: &[u8]) {
    let Some((topic, bytes)) = choose(bytes, &Topic::ALL) else { return };
    if let Ok(message) = Gossip::decode(topic, bytes) {
        assert_eq!(message.topic(), topic, "a message belongs to its topic");
        assert!(message.encode() == bytes, "a message has one encoding");
        assert!(bytes.len() <= topic.max_bytes(), "a message fits its topic");
    }
}

/// A request decodes to what encodes to the same bytes, or is refused; an answer is read or refused, and what was read
/// is told again in the same way.
pub fn request(bytes: &[u8]) {
    let Some((protocol, bytes)) = choose(bytes, &Protocol::ALL) else { return };
    if let Ok(request) = Request::decode(protocol, bytes) {
        assert_eq!(request.protocol(), protocol, "a request belongs to its protocol");
        assert!(request.encode() == bytes, "a request has one encoding");
        let _ = (request.is_in_bounds(), request.cost()); // any verdict
    }
    if let Ok(answer) = Answer::decode(protocol, bytes) {
        assert_eq!(Answer::decode(protocol, &answer.encode()), Ok(answer), "an answer reads back");
    }
}

/// Blocks, transactions and receipts decode to what encodes to the same bytes, and hash.
pub fn block(bytes: &[u8]) {
    if let Some(block) = canonical::<SignedBlock>(bytes) {
        let _ = (block.root(), block.body_matches());
        if let Some(proof) = TxProof::new(block.header.header, &block.body, 0) {
            let matches = block.body_matches();
            assert_eq!(
                proof.verify(&block.root()).is_ok(),
                matches,
                "a proof holds for the block's own body"
            );
        }
    }
    if let Some(body) = canonical::<Body>(bytes) {
        let _ = body.tree_root();
    }
    if let Some(tx) = canonical::<Tx>(bytes) {
        let prepared = Prepared::new(&tx);
        assert_eq!(prepared.bytes, bytes.len(), "a transaction is as long as its bytes");
        let _ = (crate::state::transition::tx::check_static(&prepared), tx.auth.signers());
    }
    if let Some(receipt) = canonical::<Receipt>(bytes) {
        let _ = receipt.hash();
    }
}

/// A consensus state, whole or in pieces, and everything that a checkpoint brings.
pub fn state(bytes: &[u8]) {
    let params = Params::minimal();
    if let Some(state) = canonical::<State>(bytes)
        && state.is_well_formed(&params)
    {
        let rows = encoding::rows(&state, None);
        assert!(
            encoding::from_rows(&rows).is_ok_and(|again| again == state),
            "a state is made of its pieces"
        );
        let _ = state.consensus_root(&params);
    }
    let mut rows: Vec<StateRow> = Vec::new();
    let mut rest = bytes;
    while let Some(([part, piece, len], after)) = rest.split_first_chunk::<3>() {
        let (row, after) = after.split_at(usize::from(*len).min(after.len()));
        rows.push((u32::from(*part), u32::from(*piece), row.to_vec()));
        rest = after;
    }
    let _ = encoding::from_rows(&rows);
    let _ = canonical::<Anchor>(bytes);
    let _ = canonical::<Node>(bytes);
}

/// Proofs from anywhere are refused without a panic, or hold for the root they lead to.
pub fn proof(bytes: &[u8]) {
    if let Some(proof) = canonical::<EntryProof>(bytes) {
        let trusted = Root(proof.header.tree_root());
        let _ = proof.verify(&trusted, b"any key");
        assert!(proof.verify(&Root::ZERO, b"any key").is_err(), "another block's proof");
    }
    if let Some(proof) = canonical::<TxProof>(bytes) {
        let _ = proof.verify(&Root(proof.header.tree_root()));
        assert!(proof.verify(&Root::ZERO).is_err(), "another block's proof");
    }
    if let Some(piece) = canonical::<StatePiece>(bytes) {
        assert!(piece.verify(&Root::ZERO, &[0; 32]).is_err(), "nothing hashes to zero");
    }
    if let Some(cert) = canonical::<FinalityCert>(bytes) {
        let nobody = SignerList::default();
        assert!(verify_cert(&cert, &nobody, [0; 4], Root::ZERO).is_err(), "nobody cannot sign");
    }
    let _ = canonical::<SignerList>(bytes);
}

/// Files and settings that people write: genesis, key files, interchange files, addresses, checkpoints, ranges.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = genesis::parse(text);
    if let Ok(keystore) = Keystore::parse(text) {
        assert!(serde_json::to_string(&keystore).is_ok(), "a key file can be written again");
    }
    if let Ok(file) = serde_json::from_str::<Interchange>(text) {
        let mut record = Protection::new(Rule::Complete, file.metadata.genesis_validators_root);
        let _ = record.import(&file);
    }
    for prefix in [address::MAINNET_PREFIX, address::TESTNET_PREFIX] {
        if let Ok(found) = address::from_text(text, prefix) {
            let written = address::to_text(&found, prefix);
            assert_eq!(written, text.to_lowercase(), "an address has one text in each case");
        }
    }
    let _ = (text.parse::<Trusted>(), text.parse::<Interop>(), text.parse::<Root>());
}

#[cfg(test)]
mod tests;
