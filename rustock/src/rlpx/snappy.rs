//! Raw Snappy blocks with a bounded decompressor, kept for a capability between our own nodes: Rootstock nodes never
//! compress, whatever their p2p version says.

use snap::raw::{Decoder, Encoder, decompress_len};

/// Largest message a compressed block may unpack to, in bytes.
pub const MAX_UNPACKED_BYTES: usize = 16 * 1024 * 1024;

/// Why a block was refused.
#[derive(Debug, thiserror::Error)]
pub enum SnappyError {
    /// The declared length is above [`MAX_UNPACKED_BYTES`]; nothing was allocated.
    #[error("declares {declared} bytes, at most {MAX_UNPACKED_BYTES} are allowed")]
    TooLong {
        /// What the block declares.
        declared: usize,
    },
    /// The block is damaged.
    #[error("damaged snappy block")]
    Damaged(#[from] snap::Error),
}

/// Unpacks one raw block.
///
/// # Errors
/// The block is damaged, or declares more than [`MAX_UNPACKED_BYTES`].
pub fn decompress(block: &[u8]) -> Result<Vec<u8>, SnappyError> {
    let declared = decompress_len(block)?;
    if declared > MAX_UNPACKED_BYTES {
        return Err(SnappyError::TooLong { declared });
    }
    Ok(Decoder::new().decompress_vec(block)?)
}

/// Packs `raw` into one raw block.
///
/// # Errors
/// `raw` is longer than Snappy can express (4 GiB).
pub fn compress(raw: &[u8]) -> Result<Vec<u8>, SnappyError> {
    Ok(Encoder::new().compress_vec(raw)?)
}
