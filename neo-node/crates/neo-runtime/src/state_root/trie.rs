//! A trie that reads nodes on demand, changes in memory, and hashes what was changed once, at the commit.

use neo_base::UInt256;

use super::node::{
    Body, CHILDREN, MAX_KEY_BYTES, MAX_VALUE_BYTES, Node, NodeError, VALUE, nibbles, node_hash,
};

/// Where stored nodes come from.
pub trait NodeSource {
    /// The bytes stored under a node's hash.
    fn node(&self, hash: &UInt256) -> Option<Vec<u8>>;
}

impl<F: Fn(&UInt256) -> Option<Vec<u8>>> NodeSource for F {
    fn node(&self, hash: &UInt256) -> Option<Vec<u8>> {
        self(hash)
    }
}

/// A key and its value.
pub type TrieEntry = (Vec<u8>, Box<[u8]>);

/// Why the trie could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrieError {
    /// The store has no node of this hash: it is damaged, or the root is not one of its roots.
    #[error("trie node {0} is missing")]
    Missing(UInt256),
    /// The store's bytes are no node.
    #[error("trie node {hash} is damaged")]
    Damaged {
        /// Hash of the node.
        hash: UInt256,
        /// What is wrong with its bytes.
        source: NodeError,
    },
    /// A key is empty or longer than [`MAX_KEY_BYTES`].
    #[error("a trie key has {0} bytes")]
    Key(usize),
    /// A value is longer than [`MAX_VALUE_BYTES`].
    #[error("a trie value has {0} bytes")]
    Value(usize),
}

type Result<T> = std::result::Result<T, TrieError>;

/// What a commit changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// The new root; zero for an empty trie.
    pub root: UInt256,
    /// New nodes, children before parents: hash and bytes. A hash may occur twice: each is one more reference.
    pub added: Vec<(UInt256, Vec<u8>)>,
    /// Stored nodes that were replaced, one entry for each reference that went away.
    pub removed: Vec<UInt256>,
}

/// The trie of one root and the changes made to it since.
#[derive(Debug)]
pub struct Trie<S> {
    root: Node,
    source: S,
    removed: Vec<UInt256>,
}

impl<S: NodeSource> Trie<S> {
    /// The trie with this root; zero is the empty trie. Nodes are read when they are needed.
    pub fn new(root: UInt256, source: S) -> Self {
        let root = if root == UInt256::ZERO { Node::Empty } else { Node::Hash(root) };
        Self { root, source, removed: Vec::new() }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The key is empty or too long, or the store is damaged.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Box<[u8]>>> {
        let path = checked_path(key)?;
        let Self { root, source, .. } = self;
        get(root, &path, source)
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// Key or value out of bounds, or the store is damaged; the trie must not be used further after the latter.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let path = checked_path(key)?;
        if value.len() > MAX_VALUE_BYTES {
            return Err(TrieError::Value(value.len()));
        }
        let old = std::mem::take(&mut self.root);
        self.root = self.put_below(old, &path, value)?;
        Ok(())
    }

    /// Removes a key, if it is there.
    ///
    /// # Errors
    /// As [`Trie::put`].
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        let path = checked_path(key)?;
        // Looking first keeps the nodes of an absent key unchanged.
        if self.get(key)?.is_some() {
            let old = std::mem::take(&mut self.root);
            self.root = self.delete_below(old, &path)?;
        }
        Ok(())
    }

    /// Hashes what was changed. The trie goes on from the new root with its nodes in memory.
    pub fn commit(&mut self) -> Commit {
        let mut added = Vec::new();
        hash_below(&mut self.root, &mut added);
        let root = self.root.stored().unwrap_or_default();
        Commit { root, added, removed: std::mem::take(&mut self.removed) }
    }

    /// The next entry in the order of keys whose key starts with `prefix`: the one behind `after`, or the first.
    /// `backward` reverses the order.
    ///
    /// # Errors
    /// The store is damaged.
    pub fn seek(&mut self, prefix: &[u8], after: Option<&[u8]>, backward: bool) -> Result<Option<TrieEntry>> {
        let Self { root, source, .. } = self;
        let search = Search { prefix: nibbles(prefix), after: after.map(nibbles), backward, source };
        let mut path = Vec::new();
        let found = search.enter(root, &mut path)?;
        Ok(found.map(|value| (from_nibbles(&path), value)))
    }

    /// Forgets the nodes below a depth, counted in nodes from the root; they are read again when they are needed.
    /// Call it after a commit is stored.
    pub fn collapse(&mut self, depth: usize) {
        collapse(&mut self.root, depth);
    }

    /// Forgets the nodes in memory; they are read again when they are needed. Call it after a commit is stored.
    pub fn release(&mut self) {
        if let Some(hash) = self.root.stored() {
            self.root = Node::Hash(hash);
        }
    }

    fn put_below(&mut self, node: Node, path: &[u8], value: &[u8]) -> Result<Node> {
        match self.take(node)? {
            Node::Empty | Node::Hash(_) => Ok(Node::extension(path, Node::leaf(value))),
            Node::Leaf(old) if path.is_empty() => {
                drop(old);
                Ok(Node::leaf(value))
            }
            Node::Leaf(old) => {
                let mut children: [Node; CHILDREN] = Default::default();
                children[VALUE] = Node::Leaf(old);
                self.put_child(&mut children, path, value)?;
                Ok(Node::branch(children))
            }
            Node::Extension(Body { content: (own, child), .. }) => {
                let common = own.iter().zip(path).take_while(|(a, b)| a == b).count();
                let (shared, rest) = path.split_at(common);
                let below = match own.get(common..) {
                    Some([turn, after @ ..]) => {
                        let mut children: [Node; CHILDREN] = Default::default();
                        children[usize::from(*turn)] = Node::extension(after, *child);
                        self.put_child(&mut children, rest, value)?;
                        Node::branch(children)
                    }
                    _ => self.put_below(*child, rest, value)?,
                };
                Ok(Node::extension(shared, below))
            }
            Node::Branch(mut body) => {
                self.put_child(&mut body.content, path, value)?;
                Ok(Node::Branch(body))
            }
        }
    }

    fn put_child(&mut self, children: &mut [Node; CHILDREN], path: &[u8], value: &[u8]) -> Result<()> {
        let (slot, rest) = slot(path);
        let old = std::mem::take(&mut children[slot]);
        children[slot] = self.put_below(old, rest, value)?;
        Ok(())
    }

    /// The key is known to be there.
    fn delete_below(&mut self, node: Node, path: &[u8]) -> Result<Node> {
        match self.take(node)? {
            Node::Empty | Node::Hash(_) | Node::Leaf(_) => Ok(Node::Empty),
            Node::Extension(Body { content: (own, child), .. }) => {
                let rest = path.get(own.len()..).unwrap_or_default();
                let below = self.delete_below(*child, rest)?;
                self.join(&own, below)
            }
            Node::Branch(mut body) => {
                let (slot, rest) = slot(path);
                let old = std::mem::take(&mut body.content[slot]);
                body.content[slot] = self.delete_below(old, rest)?;
                let mut left =
                    body.content.iter_mut().enumerate().filter(|(_, child)| **child != Node::Empty);
                match (left.next(), left.next()) {
                    (Some((VALUE, only)), None) => Ok(std::mem::take(only)),
                    (Some((turn, only)), None) => {
                        let only = std::mem::take(only);
                        self.join(&[u8::try_from(turn).unwrap_or_default()], only)
                    }
                    _ => Ok(Node::Branch(body)),
                }
            }
        }
    }

    /// An extension over `child`, merged with it where that is an extension too.
    fn join(&mut self, path: &[u8], child: Node) -> Result<Node> {
        if child == Node::Empty {
            return Ok(Node::Empty);
        }
        let child = load(child, &self.source)?;
        if let Node::Extension(Body { stored, content: (more, below) }) = child {
            self.removed.extend(stored);
            return Ok(Node::extension(&[path, &more].concat(), *below));
        }
        Ok(Node::extension(path, child))
    }

    /// Reads a node in order to change it: what was stored is no longer referred to from here.
    fn take(&mut self, node: Node) -> Result<Node> {
        let mut node = load(node, &self.source)?;
        let stored = match &mut node {
            Node::Empty | Node::Hash(_) => None,
            Node::Leaf(body) => body.stored.take(),
            Node::Extension(body) => body.stored.take(),
            Node::Branch(body) => body.stored.take(),
        };
        self.removed.extend(stored);
        Ok(node)
    }
}

/// A search for the next key.
struct Search<'a, S> {
    prefix: Vec<u8>,
    after: Option<Vec<u8>>,
    backward: bool,
    source: &'a S,
}

impl<S: NodeSource> Search<'_, S> {
    /// The value of the next key at or below a node; `path` leads there, and to what was found in the end.
    fn enter(&self, node: &mut Node, path: &mut Vec<u8>) -> Result<Option<Box<[u8]>>> {
        if !self.may_hold(path) {
            return Ok(None);
        }
        *node = load(std::mem::take(node), self.source)?;
        let length = path.len();
        match node {
            Node::Empty | Node::Hash(_) => {}
            Node::Leaf(body) if self.is_behind(path) && path.starts_with(&self.prefix) => {
                return Ok(Some(body.content.clone()));
            }
            Node::Leaf(_) => {}
            Node::Extension(body) => {
                path.extend_from_slice(&body.content.0);
                if let Some(found) = self.enter(&mut body.content.1, path)? {
                    return Ok(Some(found));
                }
                path.truncate(length);
            }
            Node::Branch(body) => {
                // the value that ends here has the shortest key, so it comes first
                let mut order: Vec<usize> = std::iter::once(VALUE).chain(0..VALUE).collect();
                if self.backward {
                    order.reverse();
                }
                for turn in order {
                    path.extend(u8::try_from(turn).ok().filter(|_| turn != VALUE));
                    if let Some(found) = self.enter(&mut body.content[turn], path)? {
                        return Ok(Some(found));
                    }
                    path.truncate(length);
                }
            }
        }
        Ok(None)
    }

    /// False when no key that begins with the path can be the one.
    fn may_hold(&self, path: &[u8]) -> bool {
        let shorter = path.len().min(self.prefix.len());
        if path.get(..shorter) != self.prefix.get(..shorter) {
            return false;
        }
        let Some(after) = &self.after else { return true };
        let same = path.len().min(after.len());
        match path.get(..same).cmp(&after.get(..same)) {
            std::cmp::Ordering::Equal => !self.backward || path.len() < after.len(),
            order => order.is_lt() == self.backward,
        }
    }

    fn is_behind(&self, path: &[u8]) -> bool {
        let after =
            |after: &Vec<u8>| if self.backward { path < after.as_slice() } else { path > after.as_slice() };
        self.after.as_ref().is_none_or(after)
    }
}

fn from_nibbles(path: &[u8]) -> Vec<u8> {
    path.chunks(2).map(|pair| pair.iter().fold(0, |byte, nibble| (byte << 4) | nibble)).collect()
}

/// Replaces stored nodes below a depth by their hashes.
fn collapse(node: &mut Node, depth: usize) {
    let stored = node.stored();
    match (depth.checked_sub(1), stored) {
        (None, Some(hash)) => *node = Node::Hash(hash),
        (None, None) => {}
        (Some(below), _) => match node {
            Node::Extension(body) => collapse(&mut body.content.1, below),
            Node::Branch(body) => body.content.iter_mut().for_each(|child| collapse(child, below)),
            Node::Empty | Node::Hash(_) | Node::Leaf(_) => {}
        },
    }
}

fn checked_path(key: &[u8]) -> Result<Vec<u8>> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(TrieError::Key(key.len()));
    }
    Ok(nibbles(key))
}

/// The child that a path leads to, and the rest of the path.
fn slot(path: &[u8]) -> (usize, &[u8]) {
    match path {
        [] => (VALUE, &[]),
        [first, rest @ ..] => (usize::from(*first), rest),
    }
}

fn load(node: Node, source: &impl NodeSource) -> Result<Node> {
    let Node::Hash(hash) = node else { return Ok(node) };
    let bytes = source.node(&hash).ok_or(TrieError::Missing(hash))?;
    Node::decode(&bytes, hash).map_err(|source| TrieError::Damaged { hash, source })
}

/// Replaces hashes on the way by the nodes they stand for, so that a path is read once.
fn get(node: &mut Node, path: &[u8], source: &impl NodeSource) -> Result<Option<Box<[u8]>>> {
    *node = load(std::mem::take(node), source)?;
    match node {
        Node::Empty | Node::Hash(_) => Ok(None),
        Node::Leaf(body) => Ok(path.is_empty().then(|| body.content.clone())),
        Node::Extension(body) => match path.strip_prefix(&*body.content.0) {
            Some(rest) => get(&mut body.content.1, rest, source),
            None => Ok(None),
        },
        Node::Branch(body) => {
            let (slot, rest) = slot(path);
            get(&mut body.content[slot], rest, source)
        }
    }
}

fn hash_below(node: &mut Node, added: &mut Vec<(UInt256, Vec<u8>)>) {
    if node.stored().is_some() {
        return;
    }
    match node {
        Node::Empty | Node::Hash(_) => return,
        Node::Leaf(_) => {}
        Node::Extension(body) => hash_below(&mut body.content.1, added),
        Node::Branch(body) => body.content.iter_mut().for_each(|child| hash_below(child, added)),
    }
    let Some(bytes) = node.encode() else { return };
    let hash = node_hash(&bytes);
    match node {
        Node::Empty | Node::Hash(_) => {}
        Node::Leaf(body) => body.stored = Some(hash),
        Node::Extension(body) => body.stored = Some(hash),
        Node::Branch(body) => body.stored = Some(hash),
    }
    added.push((hash, bytes));
}
