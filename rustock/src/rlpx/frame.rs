//! Frames: a 3-byte size, header-data, a header MAC, the encrypted body padded to 16 bytes, a body MAC.
//!
//! We send each message as one frame. Peers of p2p version 5 split long messages; [`Reassembly`] puts them together.
//! Mirrors `FrameCodec.java` and `MessageCodec.java` of rskj. Not the meaning of message codes.

use aes::Aes256;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use shared_vendor::bytes::{ReadError, Reader, Writer};

use super::secrets::{MacState, Secrets};
use crate::codec::rlp::Items;

/// Largest frame body, and largest reassembled message, that we accept: all that the 3-byte size can express.
pub const MAX_FRAME_BYTES: usize = 0x00ff_ffff;
/// Largest frame body that we send: rskj reads the first byte of the size as signed and loses its place above this.
pub const MAX_SENT_FRAME_BYTES: usize = 0x007f_ffff;

/// Bytes of an encrypted header and its MAC.
const HEADER_BYTES: usize = 32;
/// What precedes a whole message: the list of capability id 0 alone.
const WHOLE_MESSAGE: [u8; 13] = [0xc1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Why a frame was refused. After any of these the stream has lost its place and must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than [`FrameCodec::needed`] were given.
    #[error("frame is cut short")]
    Short(#[from] ReadError),
    /// The header was altered, reordered or made with other keys.
    #[error("header MAC differs")]
    HeaderMac,
    /// The body was altered or made with other keys.
    #[error("body MAC differs")]
    BodyMac,
    /// The body is empty or does not start with a message code below 128.
    #[error("frame without a message code")]
    NoCode,
    /// A message is too long to send or to reassemble.
    #[error("message of {len} bytes is above the limit of {limit}")]
    TooLong {
        /// Length of the message.
        len: usize,
        /// The limit of this direction.
        limit: usize,
    },
    /// Chunks do not add up to the size that the first one announced, or two messages are mixed.
    #[error("chunks do not form one message")]
    Chunks,
}

/// One decrypted frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Message code, before any offset is taken off.
    pub code: u8,
    /// What follows the code, without padding.
    pub payload: Vec<u8>,
    /// The 13 bytes after the size in the header.
    pub header_data: [u8; 13],
}

/// A whole message, reassembled where it came in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Message code, before any offset is taken off.
    pub code: u8,
    /// Encoded body.
    pub payload: Vec<u8>,
}

/// Both directions of one connection after the handshake.
#[derive(Debug)]
pub struct FrameCodec {
    seal: Sealer,
    open: Opener,
}

impl FrameCodec {
    /// A codec at the start of both streams.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        let cipher = || Ctr128BE::<Aes256>::new(&secrets.aes.into(), &[0; 16].into());
        Self {
            seal: Sealer { cipher: cipher(), mac: secrets.egress },
            open: Opener { cipher: cipher(), mac: secrets.ingress, header: None },
        }
    }

    /// Encrypts one message as one frame.
    ///
    /// # Errors
    /// The message is longer than [`MAX_SENT_FRAME_BYTES`].
    pub fn seal(&mut self, code: u8, payload: &[u8]) -> Result<Vec<u8>, FrameError> {
        self.seal.seal(code, payload)
    }

    /// How many bytes [`FrameCodec::advance`] takes next.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.open.needed()
    }

    /// Takes the next [`FrameCodec::needed`] bytes of the stream; a frame comes out when its body is complete.
    ///
    /// # Errors
    /// A MAC differs or the body holds no message; the connection cannot go on.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
        self.open.advance(bytes)
    }

    /// The two directions, for a connection whose ends are driven by different tasks.
    #[must_use]
    pub fn split(self) -> (Sealer, Opener) {
        (self.seal, self.open)
    }
}

/// The sending direction.
pub struct Sealer {
    cipher: Ctr128BE<Aes256>,
    mac: MacState,
}

impl Sealer {
    /// As [`FrameCodec::seal`].
    ///
    /// # Errors
    /// The message is longer than [`MAX_SENT_FRAME_BYTES`].
    pub fn seal(&mut self, code: u8, payload: &[u8]) -> Result<Vec<u8>, FrameError> {
        let size = payload.len().saturating_add(1);
        let too_long = FrameError::TooLong { len: size, limit: MAX_SENT_FRAME_BYTES };
        let size_bytes = match u32::try_from(size).map(u32::to_be_bytes) {
            Ok([0, high, mid, low]) if high < 0x80 => [high, mid, low],
            _ => return Err(too_long),
        };
        let mut header = [0; 16];
        for (to, from) in header.iter_mut().zip(size_bytes.iter().chain(&WHOLE_MESSAGE)) {
            *to = *from;
        }
        self.cipher.apply_keystream(&mut header);

        let padded = size.next_multiple_of(16);
        let mut body = Vec::with_capacity(padded);
        body.push(if code == 0 { 0x80 } else { code });
        body.extend_from_slice(payload);
        body.resize(padded, 0);
        self.cipher.apply_keystream(&mut body);

        let mut out = Writer::with_capacity(padded.saturating_add(HEADER_BYTES + 16));
        out.put(&header).put(&self.mac.header(&header)).put(&body).put(&self.mac.body(&body));
        Ok(out.into_vec())
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

/// The receiving direction.
pub struct Opener {
    cipher: Ctr128BE<Aes256>,
    mac: MacState,
    header: Option<Header>,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    size: usize,
    data: [u8; 13],
}

impl Header {
    fn padded(&self) -> usize {
        self.size.next_multiple_of(16)
    }
}

impl Opener {
    /// As [`FrameCodec::needed`].
    #[must_use]
    pub fn needed(&self) -> usize {
        self.header.map_or(HEADER_BYTES, |header| header.padded().saturating_add(16))
    }

    /// As [`FrameCodec::advance`].
    ///
    /// # Errors
    /// As [`FrameCodec::advance`].
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
        let mut reader = Reader::new(bytes);
        match self.header.take() {
            None => {
                let mut header: [u8; 16] = reader.array()?;
                if self.mac.header(&header) != reader.array()? {
                    return Err(FrameError::HeaderMac);
                }
                self.cipher.apply_keystream(&mut header);
                let mut plain = Reader::new(&header);
                let [high, mid, low] = plain.array()?;
                let size = u32::from_be_bytes([0, high, mid, low]);
                self.header =
                    Some(Header { size: usize::try_from(size).unwrap_or(usize::MAX), data: plain.array()? });
                Ok(None)
            }
            Some(header) => {
                let body = reader.take(header.padded())?;
                if self.mac.body(body) != reader.array()? {
                    return Err(FrameError::BodyMac);
                }
                let mut plain = body.to_vec();
                self.cipher.apply_keystream(&mut plain);
                plain.truncate(header.size);
                let code = match plain.first().copied() {
                    Some(0x80) => 0,
                    Some(code) if code < 0x80 => code,
                    _ => return Err(FrameError::NoCode),
                };
                plain.drain(..1);
                Ok(Some(Frame { code, payload: plain, header_data: header.data }))
            }
        }
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}

/// Puts chunked messages together: the first chunk announces a context id and the total size (codes not counted), the
/// later ones repeat the id. One message at a time, as rskj sends them.
#[derive(Debug, Default)]
pub struct Reassembly {
    open: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    context: u64,
    total: usize,
    message: Message,
}

impl Reassembly {
    /// Takes the next frame; a message comes out when it is complete. Header-data that is no chunk description is
    /// ignored, as rskj does.
    ///
    /// # Errors
    /// The chunks announce more than [`MAX_FRAME_BYTES`], or do not form one message.
    pub fn push(&mut self, frame: Frame) -> Result<Option<Message>, FrameError> {
        let Frame { code, payload, header_data } = frame;
        let partial = match (chunk(&header_data), self.open.take()) {
            (None | Some((_, None)), None) => return Ok(Some(Message { code, payload })),
            (Some((context, Some(total))), None) => {
                let total = usize::try_from(total).unwrap_or(usize::MAX);
                if total > MAX_FRAME_BYTES {
                    return Err(FrameError::TooLong { len: total, limit: MAX_FRAME_BYTES });
                }
                Partial { context, total, message: Message { code, payload } }
            }
            (Some((context, None)), Some(mut open))
                if open.context == context && open.message.code == code =>
            {
                open.message.payload.extend_from_slice(&payload);
                open
            }
            (_, Some(_)) => return Err(FrameError::Chunks),
        };
        match partial.message.payload.len().cmp(&partial.total) {
            std::cmp::Ordering::Less => {
                self.open = Some(partial);
                Ok(None)
            }
            std::cmp::Ordering::Equal => Ok(Some(partial.message)),
            std::cmp::Ordering::Greater => Err(FrameError::Chunks),
        }
    }
}

/// Context id and, in the first chunk, total size; `None` when the header-data describes no chunk.
fn chunk(header_data: &[u8; 13]) -> Option<(u64, Option<u64>)> {
    let mut list = Items::new(header_data).list().ok()?;
    let _capability = list.u64().ok()?;
    let context = list.u64().ok()?;
    let total = if list.is_empty() { None } else { Some(list.u64().ok()?) };
    Some((context, total))
}
