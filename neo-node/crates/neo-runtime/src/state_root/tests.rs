use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use neo_base::UInt256;
use proptest::prelude::*;

use super::{node::node_hash, proof, *};

/// A store that keeps nodes by reference count, as a node that keeps the latest state only would.
#[derive(Debug, Default)]
struct Counted(RefCell<HashMap<UInt256, (Vec<u8>, i64)>>);

impl NodeSource for &Counted {
    fn node(&self, hash: &UInt256) -> Option<Vec<u8>> {
        self.0.borrow().get(hash).map(|(bytes, _)| bytes.clone())
    }
}

impl Counted {
    fn apply(&self, commit: Commit) -> UInt256 {
        let mut nodes = self.0.borrow_mut();
        for (hash, bytes) in commit.added {
            nodes.entry(hash).or_insert((bytes, 0)).1 += 1;
        }
        for hash in commit.removed {
            nodes.get_mut(&hash).expect("only stored nodes are removed").1 -= 1;
        }
        nodes.retain(|_, (_, count)| *count > 0);
        commit.root
    }
}

fn root_of(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> UInt256 {
    let mut trie = Trie::new(UInt256::ZERO, |_: &UInt256| None);
    for (key, value) in entries {
        trie.put(key, value).unwrap();
    }
    trie.commit().root
}

#[test]
fn one_entry_is_an_extension_to_a_leaf() {
    let mut trie = Trie::new(UInt256::ZERO, |_: &UInt256| None);
    trie.put(&[0xac], b"v").unwrap();
    let commit = trie.commit();
    let leaf = vec![2, 1, b'v'];
    let leaf_hash = node_hash(&leaf);
    let mut extension = vec![1, 2, 0xa, 0xc, 3];
    extension.extend(leaf_hash.as_bytes());
    assert_eq!(commit.added, [(leaf_hash, leaf), (commit.root, extension)]);
}

#[test]
fn keys_and_values_out_of_bounds_are_refused() {
    let mut trie = Trie::new(UInt256::ZERO, |_: &UInt256| None);
    assert_eq!(trie.put(&[], b"v"), Err(TrieError::Key(0)));
    assert_eq!(trie.put(&[0; MAX_KEY_BYTES + 1], b"v"), Err(TrieError::Key(MAX_KEY_BYTES + 1)));
    assert_eq!(trie.put(&[1], &vec![0; MAX_VALUE_BYTES + 1]), Err(TrieError::Value(MAX_VALUE_BYTES + 1)));
    assert_eq!(trie.commit().root, UInt256::ZERO);
}

#[test]
fn a_missing_and_a_damaged_node_are_named() {
    let hash = UInt256([7; 32]);
    assert_eq!(Trie::new(hash, |_: &UInt256| None).get(&[1]), Err(TrieError::Missing(hash)));
    for bytes in
        [vec![], vec![5], vec![1, 0, 4], vec![1, 1, 16, 4], vec![2, 0, 0], vec![0; 40], vec![2, 0xff, 1]]
    {
        let damaged = Trie::new(hash, move |_: &UInt256| Some(bytes.clone())).get(&[1]);
        assert!(matches!(damaged, Err(TrieError::Damaged { .. })), "{damaged:?}");
    }
}

proptest! {
    /// Short keys over few nibbles make every shape: values at branches, splits, merges.
    #[test]
    fn any_history_gives_the_root_of_what_is_left(
        batches in prop::collection::vec(
            prop::collection::vec((prop::collection::vec(0_u8..4, 1..4), prop::option::of(prop::collection::vec(any::<u8>(), 0..3))), 1..12),
            1..6,
        )
    ) {
        let store = Counted::default();
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut root = UInt256::ZERO;
        for batch in batches {
            let mut trie = Trie::new(root, &store);
            for (key, value) in batch {
                match value {
                    Some(value) => {
                        trie.put(&key, &value).unwrap();
                        model.insert(key, value);
                    }
                    None => {
                        trie.delete(&key).unwrap();
                        model.remove(&key);
                    }
                }
            }
            root = store.apply(trie.commit());
            prop_assert_eq!(root, root_of(&model));
            let kept = store.0.borrow().len();
            prop_assert_eq!(kept == 0, model.is_empty());
            let source = &store;
            let found: BTreeMap<_, _> = proof::find(root, &[], usize::MAX, &source).unwrap()
                .into_iter().map(|(key, value)| (key, value.into_vec())).collect();
            prop_assert_eq!(&found, &model);
            for (key, value) in &model {
                let nodes = proof::prove(root, key, &source).unwrap().expect("the key is there");
                let proven = proof::verify(root, key, &nodes).unwrap();
                prop_assert_eq!(proven.as_deref(), Some(&value[..]));
                prop_assert!(proof::verify(root, key, &nodes[1..]).is_err());
            }
        }
    }
}
