//! Whose fault an error is.

/// Whose fault an error is; scoring of peers looks at nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The remote side broke a rule that every honest node keeps.
    Peer,
    /// This node could not do its part.
    Local,
    /// Nobody did wrong: a clock may differ, a connection may break.
    Nobody,
}
