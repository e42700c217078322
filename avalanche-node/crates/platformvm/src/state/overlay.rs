//! Changes on top of an ordered table, and the table as it would be with them: iterators that merge any number of layers.

use std::{
    collections::{BTreeMap, btree_map::Range},
    iter::Peekable,
    ops::RangeFrom,
};

/// New values by key; None removes.
pub type Changes<K, V> = BTreeMap<K, Option<V>>;

/// The entries of a table with changes on top, in ascending order.
#[derive(Debug)]
pub struct Merged<'a, K, V> {
    base: Peekable<Range<'a, K, V>>,
    layers: Vec<Peekable<Range<'a, K, Option<V>>>>,
}

impl<'a, K: Ord, V> Merged<'a, K, V> {
    /// The entries from a key on. `layers` come newest first.
    pub fn new(
        base: &'a BTreeMap<K, V>,
        layers: impl Iterator<Item = &'a Changes<K, V>>,
        from: Option<K>,
    ) -> Self
    where
        K: Clone,
    {
        let Some(from) = from else {
            return Self {
                base: base.range(..).peekable(),
                layers: layers
                    .filter(|layer| !layer.is_empty())
                    .map(|layer| layer.range(..).peekable())
                    .collect(),
            };
        };
        let range: RangeFrom<K> = from..;
        Self {
            base: base.range(range.clone()).peekable(),
            layers: layers
                .filter(|layer| !layer.is_empty())
                .map(|layer| layer.range(range.clone()).peekable())
                .collect(),
        }
    }
}

impl<'a, K: Ord, V> Iterator for Merged<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut least = self.base.peek().map(|(key, _)| *key);
            for layer in &mut self.layers {
                if let Some((key, _)) = layer.peek()
                    && least.is_none_or(|least| *key < least)
                {
                    least = Some(key);
                }
            }
            let key = least?;
            let mut newest = None;
            for layer in &mut self.layers {
                if let Some((_, value)) = layer.next_if(|(at, _)| *at == key) {
                    newest = newest.or(Some(value.as_ref()));
                }
            }
            if let Some((_, value)) = self.base.next_if(|(at, _)| *at == key) {
                newest = newest.or(Some(Some(value)));
            }
            if let Some(Some(value)) = newest {
                return Some((key, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_table_under_layers_is_the_table_with_the_changes_made(
            base: BTreeMap<u8, u8>,
            layers: Vec<Changes<u8, u8>>,
            from: Option<u8>,
        ) {
            let merged: Vec<_> =
                Merged::new(&base, layers.iter(), from).map(|(key, value)| (*key, *value)).collect();
            let mut changed = base;
            for layer in layers.iter().rev() {
                for (key, value) in layer {
                    match value {
                        Some(value) => changed.insert(*key, *value),
                        None => changed.remove(key),
                    };
                }
            }
            let expected: Vec<_> =
                changed.into_iter().filter(|(key, _)| from.is_none_or(|from| *key >= from)).collect();
            prop_assert_eq!(merged, expected);
        }
    }
}
