//! One field of the state as an array that clones of the state share until one of them writes to it.

use std::{ops::Deref, sync::Arc};

/// An array with cheap clones; the first write after a clone copies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column<T>(Arc<Vec<T>>);

impl<T> Column<T> {
    /// The item at a protocol index (validator, or position in a ring).
    #[must_use]
    pub fn at(&self, index: u64) -> Option<&T> {
        self.0.get(usize::try_from(index).ok()?)
    }

    /// Whether both share the same memory: then they are equal.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: Clone> Column<T> {
    /// The array for writing.
    pub fn make_mut(&mut self) -> &mut Vec<T> {
        Arc::make_mut(&mut self.0)
    }

    /// The item at a protocol index, for writing.
    pub fn at_mut(&mut self, index: u64) -> Option<&mut T> {
        let index = usize::try_from(index).ok()?;
        if index < self.0.len() { self.make_mut().get_mut(index) } else { None }
    }
}

impl<T> Deref for Column<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> From<Vec<T>> for Column<T> {
    fn from(items: Vec<T>) -> Self {
        Self(Arc::new(items))
    }
}
