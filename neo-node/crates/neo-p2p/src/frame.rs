//! A message in the stream: `flags u8 | command u8 | var-bytes payload`, the payload compressed when bit 0 of the flags
//! is set. Mirrors `Network/P2P/Message.cs`.

use std::borrow::Cow;

use neo_base::codec::write_var_bytes;
use shared_vendor::bytes::{Reader, Writer};

/// Largest payload, compressed or not.
pub const MAX_PAYLOAD: usize = 0x0200_0000;
/// Payloads up to this size are never compressed.
const COMPRESSION_MIN: usize = 128;
/// What compression must save at least.
const COMPRESSION_GAIN: usize = 64;
/// LZ4 cannot say more than this many bytes with one.
const LZ4_MAX_RATIO: usize = 255;

const COMPRESSED: u8 = 1;

/// Why a stream cannot be read on, or a payload is none. Each is a reason to drop the peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The claimed payload is above [`MAX_PAYLOAD`].
    #[error("a message claims a payload of {0} bytes")]
    TooLong(u64),
    /// The compressed payload claims more than it can hold, or more than [`MAX_PAYLOAD`].
    #[error("a compressed payload of {compressed} bytes claims to hold {claimed}")]
    Bomb {
        /// Bytes in the message.
        compressed: usize,
        /// Bytes it is said to hold.
        claimed: u32,
    },
    /// The compressed payload is damaged.
    #[error("a compressed payload is damaged")]
    Compression,
}

/// One message as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    flags: u8,
    command: u8,
    payload: Cow<'a, [u8]>,
}

impl<'a> Frame<'a> {
    /// The first message of a stream and its length in bytes; `None` while it is incomplete.
    ///
    /// # Errors
    /// The claimed length is above the limit; nothing is reserved for it.
    pub fn decode(stream: &'a [u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let mut reader = Reader::new(stream);
        let (Ok(flags), Ok(command), Ok(first)) = (reader.u8(), reader.u8(), reader.u8()) else {
            return Ok(None);
        };
        let length = match first {
            0xfd => reader.u16_le().map(u64::from),
            0xfe => reader.u32_le().map(u64::from),
            0xff => reader.u64_le(),
            short => Ok(u64::from(short)),
        };
        let Ok(length) = length else { return Ok(None) };
        let Some(fits) = usize::try_from(length).ok().filter(|fits| *fits <= MAX_PAYLOAD) else {
            return Err(FrameError::TooLong(length));
        };
        match reader.take(fits) {
            Ok(payload) => Ok(Some((Self { flags, command, payload: payload.into() }, reader.offset()))),
            Err(_) => Ok(None),
        }
    }

    /// A message of ours: compressed where the receiver allows it, the kind of message is worth it, and it pays.
    #[must_use]
    pub fn new(command: u8, payload: Vec<u8>, compress: bool) -> Frame<'static> {
        if compress && payload.len() > COMPRESSION_MIN {
            let packed = lz4_flex::block::compress_prepend_size(&payload);
            if packed.len().saturating_add(COMPRESSION_GAIN) < payload.len() {
                return Frame { flags: COMPRESSED, command, payload: packed.into() };
            }
        }
        Frame { flags: 0, command, payload: payload.into() }
    }

    /// Which message it is.
    #[must_use]
    pub fn command(&self) -> u8 {
        self.command
    }

    /// The payload, decompressed.
    ///
    /// # Errors
    /// The compressed bytes are damaged, or claim too much.
    pub fn payload(&self) -> Result<Cow<'_, [u8]>, FrameError> {
        if self.flags & COMPRESSED == 0 || self.payload.is_empty() {
            return Ok(Cow::Borrowed(&self.payload));
        }
        let mut reader = Reader::new(&self.payload);
        let claimed = reader.u32_le().map_err(|_| FrameError::Compression)?;
        let packed = reader.rest();
        let bound = MAX_PAYLOAD.min(packed.len().saturating_mul(LZ4_MAX_RATIO));
        let size = usize::try_from(claimed).ok().filter(|size| *size <= bound);
        let size = size.ok_or(FrameError::Bomb { compressed: packed.len(), claimed })?;
        let payload = lz4_flex::block::decompress(packed, size).map_err(|_| FrameError::Compression)?;
        if payload.len() == size { Ok(Cow::Owned(payload)) } else { Err(FrameError::Compression) }
    }

    /// The bytes for the stream.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(self.payload.len().saturating_add(11));
        out.u8(self.flags).u8(self.command);
        write_var_bytes(&mut out, &self.payload);
        out.into_vec()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_claim_above_the_limit_is_refused_before_its_bytes_arrive() {
        let at = |length: &[u8]| [&[0, 0x2c][..], length].concat();
        assert_eq!(Frame::decode(&at(&[0xfe, 0, 0, 0, 2])), Ok(None));
        assert_eq!(Frame::decode(&at(&[0xfe, 1, 0, 0, 2])), Err(FrameError::TooLong(0x0200_0001)));
        assert_eq!(Frame::decode(&at(&[0xff; 9])), Err(FrameError::TooLong(u64::MAX)));
        assert_eq!(Frame::decode(&at(&[0xff; 8])), Ok(None));
    }

    #[test]
    fn a_decompression_bomb_is_refused_from_its_claim() {
        let bomb = |claimed: u32, packed: &[u8]| {
            let payload = [&claimed.to_le_bytes()[..], packed].concat();
            Frame { flags: 1, command: 0x2c, payload: payload.into() }.payload().map(Cow::into_owned)
        };
        assert!(matches!(bomb(u32::MAX, &[0; 100_000]), Err(FrameError::Bomb { .. })));
        assert!(matches!(bomb(0x0200_0001, &[0; 1_000_000]), Err(FrameError::Bomb { .. })));
        assert!(matches!(bomb(2551, &[0; 10]), Err(FrameError::Bomb { .. })));
        assert_eq!(bomb(100, &[0x1f, b'a', 1, 0, 255]), Err(FrameError::Compression));
        assert_eq!(bomb(3, &[0x20, b'a', b'b']), Err(FrameError::Compression), "holds less than it claims");
    }

    #[test]
    fn only_what_pays_is_compressed() {
        assert_eq!(Frame::new(0x2c, vec![7; 128], true).flags, 0);
        assert_eq!(Frame::new(0x2c, vec![7; 129], true).flags, 1);
        assert_eq!(Frame::new(0x2c, vec![7; 129], false).flags, 0);
    }

    proptest! {
        #[test]
        fn what_is_sent_is_read(payload in prop::collection::vec(0_u8..3, 0..600), compress: bool, cut in 0_usize..40) {
            let frame = Frame::new(0x2b, payload.clone(), compress);
            let bytes = frame.encode();
            let (read, length) = Frame::decode(&bytes).unwrap().expect("it is complete");
            prop_assert_eq!(length, bytes.len());
            prop_assert_eq!(read.payload().unwrap(), &payload[..]);
            let short = &bytes[..bytes.len() - cut.clamp(1, bytes.len())];
            prop_assert_eq!(Frame::decode(short), Ok(None));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Some((frame, _))) = Frame::decode(&bytes) {
                let _ = frame.payload();
            }
        }
    }
}
