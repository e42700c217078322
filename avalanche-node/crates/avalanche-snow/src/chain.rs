//! What consensus asks of a chain, in plain values. The chain decides what a block means and keeps it; the engines
//! decide which blocks are asked for, verified and accepted. Mirrors `snow/engine/snowman/block/vm.go` and
//! `snow/consensus/snowman/block.go`.

use std::sync::Arc;

use avalanche_ids::Id;

/// A block as consensus sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its name.
    pub id: Id,
    /// The block it builds on.
    pub parent: Id,
    /// One more than its parent's.
    pub height: u64,
    /// As peers exchange it.
    pub bytes: Arc<[u8]>,
}

/// What a chain is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Blocks that the network accepted are executed; signatures need no check.
    Bootstrapping,
    /// Blocks are verified in full.
    NormalOp,
}

/// A block or its bytes that cannot be used. Whoever sent them may be at fault; the chain goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// The chain cannot go on: its store failed or contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// Why a block was not verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It breaks a rule.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It could not be judged.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A chain below consensus. Calls come from one thread, in the order of the protocol: a block is verified after its
/// parent, accepted after its parent, and accepted or rejected at most once.
pub trait Chain {
    /// The last accepted block and its height.
    fn last_accepted(&self) -> (Id, u64);

    /// Reads a block that a peer sent, without judging it.
    ///
    /// # Errors
    /// The bytes are no block of this chain.
    fn parse(&mut self, bytes: &[u8]) -> Result<Block, Refused>;

    /// The same for a block that may be one the network accepted: what its id does not cover, a signature, is left to
    /// [`check`](Self::check).
    ///
    /// # Errors
    /// The bytes are no block of this chain.
    fn link(&mut self, bytes: &[u8]) -> Result<Block, Refused> {
        self.parse(bytes)
    }

    /// Checks what [`link`](Self::link) left out, of many blocks at once.
    ///
    /// # Errors
    /// One of them is not as its proposer signed it.
    fn check(&mut self, blocks: &[Block]) -> Result<(), Refused> {
        let _ = blocks;
        Ok(())
    }

    /// A block that is stored, or verified and not decided.
    fn block(&mut self, id: Id) -> Option<Block>;

    /// The accepted block at a height.
    fn accepted_at(&mut self, height: u64) -> Option<Id>;

    /// Judges a block whose parent is accepted or was verified. Answers its options, in order of preference, when it
    /// asks a question, else nothing.
    ///
    /// # Errors
    /// It breaks a rule, or the store failed.
    fn verify(&mut self, block: &Block) -> Result<Vec<Block>, Unverified>;

    /// The options of the last accepted block, when it asks a question.
    fn open_options(&mut self) -> Vec<Block>;

    /// A verified block is final.
    ///
    /// # Errors
    /// It could not be stored.
    fn accept(&mut self, id: Id) -> Result<(), Fault>;

    /// A verified block lost.
    ///
    /// # Errors
    /// The store failed.
    fn reject(&mut self, id: Id) -> Result<(), Fault>;

    /// New blocks are to be built on this one.
    fn prefer(&mut self, id: Id);

    /// Builds a block on the preferred one.
    ///
    /// # Errors
    /// There is nothing to build, or not yet.
    fn build(&mut self) -> Result<Block, Refused>;

    /// Bootstrapping starts or is over.
    ///
    /// # Errors
    /// The store failed.
    fn set_state(&mut self, state: State) -> Result<(), Fault>;

    /// Keeps fetched blocks, by height, until they are executed; survives a restart.
    ///
    /// # Errors
    /// The store failed.
    fn stash(&mut self, blocks: &[Block]) -> Result<(), Fault>;

    /// A kept block.
    fn stashed(&mut self, height: u64) -> Option<Block>;

    /// Forgets kept blocks at these heights.
    ///
    /// # Errors
    /// The store failed.
    fn unstash(&mut self, heights: std::ops::RangeInclusive<u64>) -> Result<(), Fault>;

    /// Heights of all kept blocks, ascending.
    fn stashed_heights(&mut self) -> Vec<u64>;
}
