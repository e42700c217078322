//! What to ask of whom: headers first, then bodies from many peers at once. Two machines that know no chain: the node
//! tells them what its chain made of what came. Mirrors `SendMessages` and `FindNextBlocksToDownload` of `src/main.cpp`.

pub mod blocks;
pub mod headers;

/// Number of a connection.
pub type PeerKey = u64;

#[cfg(test)]
mod tests;
