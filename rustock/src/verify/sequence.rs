//! A run of headers that starts anywhere: at genesis, or at a header that is trusted as a checkpoint.

use super::{Checked, ForkWindow, Rule, fork_data, link};
use crate::{params::Params, types::Header};

/// The end of a run of verified headers.
///
/// The first header is the starting point. At height 0 it must be the network's genesis. Anywhere else it is trusted
/// to be on the chain: its own proof of work is checked, its relation to its parent is not. Fork-detection data can
/// then only be compared once 449 ancestors have been seen, that is from the 450th header on.
#[derive(Debug, Clone)]
pub struct Sequence {
    last: Header,
    window: ForkWindow,
}

impl Sequence {
    /// Starts at genesis.
    ///
    /// # Errors
    /// The header is not the network's genesis.
    pub fn at_genesis(params: &Params, header: Header) -> Result<Self, Rule> {
        if params.genesis.as_ref().map(|genesis| genesis.hash) != Some(header.hash()) {
            return Err(Rule::Genesis);
        }
        let window = ForkWindow::new(header.number(), [super::fork_detection::Mark::of(&header)]);
        Ok(Self { last: header, window })
    }

    /// Starts at a header that is trusted to be on the chain.
    #[must_use]
    pub fn at_checkpoint(checkpoint: Checked) -> Self {
        let window = ForkWindow::new(checkpoint.header().number(), [checkpoint.mark()]);
        Self { last: checkpoint.into_header(), window }
    }

    /// Verifies the next header against the run.
    ///
    /// # Errors
    /// The rule that is broken; the run is unchanged.
    pub fn push(&mut self, params: &Params, next: Checked) -> Result<(), Rule> {
        link(params, next.header(), &self.last)?;
        if self.window.is_full() {
            fork_data(params, next.header(), &self.window)?;
        }
        self.window.push(next.mark());
        self.last = next.into_header();
        Ok(())
    }

    /// The last header.
    #[must_use]
    pub fn last(&self) -> &Header {
        &self.last
    }

    /// The marks of the newest headers, for the fork-detection data of the next one.
    #[must_use]
    pub fn window(&self) -> &ForkWindow {
        &self.window
    }
}
