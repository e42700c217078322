//! One suite for every store: whatever wraps or implements [`Database`] behaves like an ordered map.

#![allow(clippy::unwrap_used)] // a store that fails here ends the test

use std::collections::BTreeMap;

use avalanche_db::{Batch, Database, Linked, Memory, Prefixed, Rocks, Versioned};
use proptest::{collection::vec, prelude::*};

type Change = (Vec<u8>, Option<Vec<u8>>);

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Change>),
    Iterate { start: Vec<u8>, prefix: Vec<u8> },
}

/// Short keys over few bytes collide often; 255 tests the end of a prefix.
fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0_u8), Just(1), Just(255)], 0..4)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (key(), proptest::option::of(vec(any::<u8>(), 0..3)));
    let step = prop_oneof![
        vec(change, 0..6).prop_map(Step::Write),
        (key(), key()).prop_map(|(start, prefix)| Step::Iterate { start, prefix }),
    ];
    vec(step, 1..24)
}

fn behaves_like_an_ordered_map(store: &dyn Database, steps: &[Step]) {
    let mut model = BTreeMap::new();
    for step in steps {
        match step {
            Step::Write(changes) => {
                let mut batch = Batch::new();
                for (key, value) in changes {
                    match value {
                        Some(value) => {
                            batch.put(key, value);
                            model.insert(key.clone(), value.clone());
                        }
                        None => {
                            batch.delete(key);
                            model.remove(key);
                        }
                    }
                }
                store.write(&batch).unwrap();
                for (key, _) in changes {
                    assert_eq!(store.get(key).unwrap().as_ref(), model.get(key));
                    assert_eq!(store.has(key).unwrap(), model.contains_key(key));
                }
            }
            Step::Iterate { start, prefix } => {
                let found: Vec<_> = store.iterate(start, prefix).map(Result::unwrap).collect();
                let expected: Vec<_> = model
                    .iter()
                    .filter(|(key, _)| *key >= start && key.starts_with(prefix))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                assert_eq!(found, expected);
            }
        }
    }
}

fn iterators_see_the_past(store: &dyn Database) {
    store.put(b"a", b"1").unwrap();
    store.put(b"b", b"2").unwrap();
    let mut entries = store.iterate(b"", b"");
    store.put(b"c", b"3").unwrap();
    store.delete(b"b").unwrap();
    assert_eq!(entries.next().unwrap().unwrap(), (b"a".to_vec(), b"1".to_vec()));
    assert_eq!(entries.next().unwrap().unwrap(), (b"b".to_vec(), b"2".to_vec()));
    assert!(entries.next().is_none());
}

/// Runs `test` on each kind of store.
fn on_each(test: impl Fn(&dyn Database)) {
    test(&Memory::new());
    let shared = Memory::new();
    Prefixed::new(&shared, b"other").put(b"\0", b"not mine").unwrap();
    test(&Prefixed::new(&shared, b"mine"));
    test(&Prefixed::new(&shared, b"outer").part(b"inner"));
    test(&Versioned::new(Memory::new()));
    test(&Versioned::new(Prefixed::new(Memory::new(), b"part")));
    let folder = tempfile::tempdir().unwrap();
    test(&Rocks::open(folder.path()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    test(&Versioned::new(Prefixed::new(Rocks::open(folder.path()).unwrap(), b"part")));
}

#[test]
fn an_iterator_does_not_see_later_writes() {
    on_each(iterators_see_the_past);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_store_is_an_ordered_map(steps in steps()) {
        on_each(|store| behaves_like_an_ordered_map(store, &steps));
    }

    #[test]
    fn what_is_committed_equals_what_was_seen_before(first in vec((key(), proptest::option::of(key())), 0..8), second in vec((key(), proptest::option::of(key())), 0..8)) {
        let base = Memory::new();
        let write = |store: &dyn Database, changes: &[Change]| {
            for (key, value) in changes {
                match value {
                    Some(value) => store.put(key, value).unwrap(),
                    None => store.delete(key).unwrap(),
                }
            }
        };
        let all = |store: &dyn Database| store.iterate(b"", b"").map(Result::unwrap).collect::<Vec<_>>();
        write(&base, &first);
        let before = all(&base);
        let versioned = Versioned::new(&base);
        write(&versioned, &second);
        let seen = all(&versioned);
        prop_assert_eq!(all(&base), before);
        versioned.commit().unwrap();
        prop_assert_eq!(&all(&base), &seen);
        write(&versioned, &first);
        versioned.abort();
        prop_assert_eq!(all(&versioned), seen);
    }

    #[test]
    fn a_list_keeps_the_order_of_first_insertion(changes in vec((key(), proptest::option::of(key())), 0..24)) {
        let store = Memory::new();
        let list = Linked::new(&store);
        let mut model: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for (key, value) in changes {
            let position = model.iter().position(|(found, _)| *found == key);
            match (value, position) {
                (Some(value), Some(position)) => {
                    list.put(&key, &value).unwrap();
                    model[position].1 = value;
                }
                (Some(value), None) => {
                    list.put(&key, &value).unwrap();
                    model.insert(0, (key, value));
                }
                (None, position) => {
                    list.delete(&key).unwrap();
                    position.map(|position| model.remove(position));
                }
            }
            let found: Vec<_> = list.iterate(None).map(Result::unwrap).collect();
            prop_assert_eq!(&found, &model);
            prop_assert_eq!(list.head_key().unwrap(), model.first().map(|(key, _)| key.clone()));
        }
        for (position, (key, value)) in model.iter().enumerate() {
            prop_assert_eq!(list.get(key).unwrap(), Some(value.clone()));
            let rest: Vec<_> = list.iterate(Some(key)).map(Result::unwrap).collect();
            prop_assert_eq!(&rest, &model[position..]);
        }
        if model.is_empty() {
            prop_assert_eq!(store.iterate(b"", b"").count(), 0);
        }
    }
}

#[test]
fn a_store_on_disk_is_there_after_reopening_and_open_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Rocks::open(folder.path()).unwrap();
    store.put(b"key", b"value").unwrap();
    store.sync().unwrap();
    assert!(Rocks::open(folder.path()).is_err());
    drop(store);
    assert_eq!(Rocks::open(folder.path()).unwrap().get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
}

#[test]
fn parts_do_not_see_each_other() {
    let store = Memory::new();
    let (left, right) = (Prefixed::new(&store, b"left"), Prefixed::new(&store, b"right"));
    left.put(b"key", b"value").unwrap();
    assert_eq!(right.get(b"key").unwrap(), None);
    assert_eq!(left.part(b"key").get(b"").unwrap(), None);
    assert_eq!(right.iterate(b"", b"").count(), 0);
    assert_eq!(store.iterate(b"", b"").count(), 1);
}
