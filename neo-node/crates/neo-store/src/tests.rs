//! The tables against a sorted map.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;
type ChangeList = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn changes() -> impl Strategy<Value = ChangeList> {
    let key = prop::collection::vec(prop::sample::select(vec![0, 1, 254, 255]), 0..4);
    prop::collection::vec((key, prop::option::of(prop::collection::vec(any::<u8>(), 0..3))), 0..30)
}

fn write_set(changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> WriteSet {
    let mut set = WriteSet::default();
    for (key, value) in changes {
        set.set(Table::Storage, key.clone(), value.clone().map(Bytes::from));
    }
    set
}

fn apply(model: &mut Model, changes: &[(Vec<u8>, Option<Vec<u8>>)]) {
    for (key, value) in changes {
        match value {
            Some(value) => model.insert(key.clone(), value.clone()),
            None => model.remove(key),
        };
    }
}

/// All rows below a prefix, one step at a time.
fn walk(view: &View<'_>, prefix: &[u8], backward: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    loop {
        let after = rows.last().map(|(key, _)| key.as_slice());
        match view.seek(Table::Storage, prefix, after, backward).expect("readable") {
            Some((key, value)) => rows.push((key, value.to_vec())),
            None => return rows,
        }
    }
}

fn check(database: &Database, sets: &[ChangeList]) {
    let mut model = Model::new();
    let (stored, layers) = sets.split_first().expect("at least one set");
    database.write(&write_set(stored)).expect("writable");
    apply(&mut model, stored);
    let mut view = database.view().expect("readable");
    for layer in layers {
        view = view.with(Arc::new(write_set(layer)));
        apply(&mut model, layer);
    }
    for prefix in [&[][..], &[0], &[255], &[255, 255], &[1, 0]] {
        let mut expected: Vec<_> = model
            .iter()
            .filter(|(k, _)| k.starts_with(prefix))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        assert_eq!(walk(&view, prefix, false), expected);
        expected.reverse();
        assert_eq!(walk(&view, prefix, true), expected);
    }
    for (key, _) in sets.iter().flatten() {
        let found = view.get(Table::Storage, key).expect("readable");
        assert_eq!(found.as_deref(), model.get(key).map(Vec::as_slice));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn layers_over_memory_read_like_one_sorted_map(sets in prop::collection::vec(changes(), 1..4)) {
        check(&Database::in_memory(), &sets);
    }
}

#[test]
fn layers_over_rocksdb_read_like_one_sorted_map() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(6));
    runner
        .run(&prop::collection::vec(changes(), 1..4), |sets| {
            let folder = tempfile::tempdir().expect("a folder");
            check(&Database::open(folder.path()).expect("a database"), &sets);
            Ok(())
        })
        .expect("no difference");
}

#[test]
fn a_view_does_not_see_later_writes_and_a_second_opening_finds_the_first_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    {
        let database = Database::open(folder.path()).expect("a database");
        let view = database.view().expect("readable");
        database.write(&write_set(&[(vec![1], Some(vec![2]))])).expect("writable");
        assert_eq!(view.get(Table::Storage, &[1]).expect("readable"), None);
    }
    let database = Database::open(folder.path()).expect("a database");
    let found = database.view().expect("readable").get(Table::Storage, &[1]).expect("readable");
    assert_eq!(found.as_deref(), Some(&[2][..]));
}
