//! Values of the protocol: hashes, numbers, and the block header. No bytes are parsed here (`codec`), and no rule of
//! the chain is checked here (`verify`).

mod blame;
mod hash;
mod header;
mod number;

pub use blame::Blame;
pub use hash::{BlockHash, Hash32, ParseHashError};
pub use header::{FORK_DETECTION_DATA_LEN, Fields, ForkDetectionData, Header, MiningFields, Span};
pub use number::{BlockNumber, Difficulty, Timestamp};
