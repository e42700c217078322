//! Key layouts of the database helpers.

use avalanche_db::{Node, join_prefixes, make_prefix};
use serde::Deserialize;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

use crate::{Shape, basics::bytes};

pub(crate) fn claim(_file: &File<'_>, shape: &Shape) -> Option<Claim> {
    if shape.has(&["head_key", "nodes"]) {
        Some(Claim::Run(linked))
    } else if shape.has(&["make_prefix_vm", "join_prefix_make_a_b"]) {
        Some(Claim::Run(prefixes))
    } else {
        None
    }
}

#[derive(Deserialize)]
struct Linked {
    head_key: String,
    nodes: Vec<ListNode>,
}

#[derive(Deserialize)]
struct ListNode {
    name: String,
    encoded: String,
    node_key_for_logical: String,
    value: String,
    has_next: bool,
    next: String,
    has_previous: bool,
    previous: String,
}

fn linked(file: &File<'_>, cases: &mut Cases) {
    let vectors: Linked = file.parse();
    let store = avalanche_db::Memory::new();
    avalanche_db::Linked::new(&store).put(b"key", b"").expect("memory does not fail");
    let head = avalanche_db::Database::get(&store, &bytes(&vectors.head_key)).expect("memory does not fail");
    cases.equal("head key", &head.as_deref(), &Some(&b"key"[..]));
    for vector in vectors.nodes {
        let node = Node {
            value: bytes(&vector.value),
            has_next: vector.has_next,
            next: bytes(&vector.next),
            has_previous: vector.has_previous,
            previous: bytes(&vector.previous),
        };
        cases.equal(format!("{} encoding", vector.name), &hex::encode(node.bytes()), &vector.encoded);
        cases.equal(format!("{} back", vector.name), &Node::parse(&bytes(&vector.encoded)).ok(), &Some(node));
        cases.equal(
            format!("{} key", vector.name),
            &hex::encode(Node::store_key(b"logical")),
            &vector.node_key_for_logical,
        );
    }
}

fn prefixes(file: &File<'_>, cases: &mut Cases) {
    #[derive(Deserialize)]
    struct Vector {
        make_prefix_vm: String,
        make_prefix_a: String,
        join_prefix_make_a_b: String,
    }
    let vector: Vector = file.parse();
    cases.equal("vm", &hex::encode(make_prefix(b"vm")), &vector.make_prefix_vm);
    cases.equal("a", &hex::encode(make_prefix(b"a")), &vector.make_prefix_a);
    cases.equal(
        "b in a",
        &hex::encode(join_prefixes(&make_prefix(b"a"), b"b")),
        &vector.join_prefix_make_a_b,
    );
}
