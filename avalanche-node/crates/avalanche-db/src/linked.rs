//! A list in a store: keys in the reverse order of their first insertion, each removed without a search.
//! Mirrors `database/linkeddb`; the layout of nodes is the reference's.

use avalanche_codec::{MAX_SLICE_LEN, VERSION, marshal, unmarshal_versioned, wire_struct};

use crate::{Batch, Database, DbError, Entry, Result};

const HEAD_KEY: &[u8] = &[1];
const NODE_PREFIX: u8 = 0;

/// An element and its neighbours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// The element's value.
    pub value: Vec<u8>,
    /// True when `next` counts.
    pub has_next: bool,
    /// Key of the element inserted before this one.
    pub next: Vec<u8>,
    /// True when `previous` counts.
    pub has_previous: bool,
    /// Key of the element inserted after this one.
    pub previous: Vec<u8>,
}
wire_struct!(Node { value, has_next, next, has_previous, previous });

impl Node {
    /// Reads a node.
    ///
    /// # Errors
    /// The bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Ok(unmarshal_versioned(VERSION, bytes, MAX_SLICE_LEN)?)
    }

    /// The encoding.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        marshal(self)
    }

    /// Where the node of a list's key lies in the store.
    #[must_use]
    pub fn store_key(key: &[u8]) -> Vec<u8> {
        [&[NODE_PREFIX], key].concat()
    }
}

/// A list that has a store, or a part of one, to itself.
#[derive(Debug, Clone)]
pub struct Linked<D> {
    inner: D,
}

impl<D: Database> Linked<D> {
    /// The list in this store.
    pub const fn new(inner: D) -> Self {
        Self { inner }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The store failed or holds something else.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.node(key)?.map(|node| node.value))
    }

    /// The first key: the one inserted last.
    ///
    /// # Errors
    /// The store failed.
    pub fn head_key(&self) -> Result<Option<Vec<u8>>> {
        self.inner.get(HEAD_KEY)
    }

    /// Sets a value: in place when the key is in the list, else at its head.
    ///
    /// # Errors
    /// The store failed or the list is broken.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut batch = Batch::new();
        if let Some(node) = self.node(key)? {
            put_node(&mut batch, key, &Node { value: value.to_vec(), ..node });
            return self.inner.write(&batch);
        }
        let mut head = Node { value: value.to_vec(), ..Node::default() };
        if let Some(old_key) = self.head_key()? {
            let old = self.linked(&old_key)?;
            put_node(&mut batch, &old_key, &Node { has_previous: true, previous: key.to_vec(), ..old });
            head.has_next = true;
            head.next = old_key;
        }
        put_node(&mut batch, key, &head);
        batch.put(HEAD_KEY, key);
        self.inner.write(&batch)
    }

    /// Removes a key; nothing happens when it is not in the list.
    ///
    /// # Errors
    /// The store failed or the list is broken.
    pub fn delete(&self, key: &[u8]) -> Result<()> {
        let Some(node) = self.node(key)? else { return Ok(()) };
        let mut batch = Batch::new();
        batch.delete(&Node::store_key(key));
        if node.has_next {
            let next = self.linked(&node.next)?;
            let (has_previous, previous) = (node.has_previous, node.previous.clone());
            put_node(&mut batch, &node.next, &Node { has_previous, previous, ..next });
        }
        if node.has_previous {
            let previous = self.linked(&node.previous)?;
            let (has_next, next) = (node.has_next, node.next);
            put_node(&mut batch, &node.previous, &Node { has_next, next, ..previous });
        } else if node.has_next {
            batch.put(HEAD_KEY, &node.next);
        } else {
            batch.delete(HEAD_KEY);
        }
        self.inner.write(&batch)
    }

    /// The elements from the head on, or from `start` on when it is in the list. Changes during the iteration show.
    pub fn iterate(&self, start: Option<&[u8]>) -> impl Iterator<Item = Result<Entry>> + '_ {
        let mut next = match start.map(|start| self.node(start).map(|node| node.map(|_| start.to_vec()))) {
            Some(Ok(Some(start))) => Ok(Some(start)),
            Some(Err(error)) => Err(error),
            Some(Ok(None)) | None => self.head_key(),
        };
        std::iter::from_fn(move || {
            let step = std::mem::replace(&mut next, Ok(None)).and_then(|key| {
                let Some(key) = key else { return Ok(None) };
                Ok(self.node(&key)?.map(|node| (key, node)))
            });
            let (key, node) = match step {
                Ok(found) => found?,
                Err(error) => return Some(Err(error)),
            };
            next = Ok(node.has_next.then_some(node.next));
            Some(Ok((key, node.value)))
        })
    }

    fn node(&self, key: &[u8]) -> Result<Option<Node>> {
        self.inner.get(&Node::store_key(key))?.map(|bytes| Node::parse(&bytes)).transpose()
    }

    /// A node that another one links to.
    fn linked(&self, key: &[u8]) -> Result<Node> {
        self.node(key)?.ok_or(DbError::BrokenList)
    }
}

fn put_node(batch: &mut Batch, key: &[u8], node: &Node) {
    batch.put(&Node::store_key(key), &node.bytes());
}
