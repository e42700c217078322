//! The envelope of a message: magic, command, length, checksum. Says nothing about what the payload means. Mirrors
//! `CMessageHeader` of `src/protocol.cpp` and `CNode::ReceiveMsgBytes`.

use fluxd_primitives::{codec::Writer, sha256d};
use shared_vendor::bytes::Reader;

/// Bytes before a payload.
pub const HEADER_BYTES: usize = 24;
/// The longest payload (`MAX_PROTOCOL_MESSAGE_LENGTH`).
pub const MAX_PAYLOAD: usize = 2 * 1024 * 1024;

/// One message as it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Name of the message, as `getdata`.
    pub command: String,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// What a look at received bytes gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// More bytes are needed.
    Incomplete,
    /// A whole message; so many bytes are done with.
    Frame(Frame, usize),
    /// A message whose command or checksum is wrong: the reference drops it and goes on.
    Dropped(usize),
}

/// Bytes after which nothing more can be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first four bytes are not those of the network.
    #[error("message does not begin with the magic of the network")]
    Magic,
    /// The length is above [`MAX_PAYLOAD`].
    #[error("message of {0} bytes is too long")]
    TooLong(u32),
}

/// Looks for one message at the start of `bytes`.
///
/// # Errors
/// The connection cannot go on; see [`FrameError`].
pub fn next(magic: [u8; 4], bytes: &[u8]) -> Result<Next, FrameError> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else { return Ok(Next::Incomplete) };
    let mut reader = Reader::new(header);
    let fields = (|| {
        Ok::<_, shared_vendor::bytes::ReadError>((
            reader.array::<4>()?,
            reader.array::<12>()?,
            reader.u32_le()?,
            reader.array::<4>()?,
        ))
    })();
    let Ok((found, command, length, checksum)) = fields else { return Ok(Next::Incomplete) };
    if found != magic {
        return Err(FrameError::Magic);
    }
    let wanted = usize::try_from(length).ok().filter(|length| *length <= MAX_PAYLOAD);
    let wanted = wanted.ok_or(FrameError::TooLong(length))?;
    let Some(payload) = rest.get(..wanted) else { return Ok(Next::Incomplete) };
    let taken = HEADER_BYTES.saturating_add(wanted);
    match command_text(&command) {
        Some(command) if sha256d(payload).starts_with(&checksum) => {
            Ok(Next::Frame(Frame { command, payload: payload.to_vec() }, taken))
        }
        _ => Ok(Next::Dropped(taken)),
    }
}

/// The bytes of a message. A command has at most 12 letters; more are cut.
#[must_use]
pub fn encode(magic: [u8; 4], command: &str, payload: &[u8]) -> Vec<u8> {
    let mut name = [0; 12];
    for (place, letter) in name.iter_mut().zip(command.bytes()) {
        *place = letter;
    }
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut writer = Writer::with_capacity(HEADER_BYTES.saturating_add(payload.len()));
    writer.put(&magic).put(&name).u32_le(length);
    writer.put(sha256d(payload).get(..4).unwrap_or_default()).put(payload);
    writer.into_vec()
}

/// Printable letters, then zeros.
fn command_text(bytes: &[u8; 12]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (name, padding) = bytes.split_at_checked(end)?;
    let valid = name.iter().all(|byte| (b' '..=b'~').contains(byte)) && padding.iter().all(|byte| *byte == 0);
    valid.then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: [u8; 4] = [0x24, 0xe9, 0x27, 0x64];

    #[test]
    fn a_message_is_found_when_its_last_byte_has_come() {
        let bytes = encode(MAGIC, "ping", &[1, 2, 3]);
        for end in 0..bytes.len() {
            assert_eq!(next(MAGIC, &bytes[..end]), Ok(Next::Incomplete));
        }
        let frame = Frame { command: "ping".into(), payload: vec![1, 2, 3] };
        assert_eq!(next(MAGIC, &bytes), Ok(Next::Frame(frame, bytes.len())));
    }

    #[test]
    fn wrong_checksums_and_commands_are_dropped_wrong_magic_and_length_end_the_connection() {
        let good = encode(MAGIC, "tx", &[7; 9]);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            next(MAGIC, &bytes)
        };
        assert_eq!(with(20, !good[20]), Ok(Next::Dropped(33)));
        assert_eq!(with(4, 0x07), Ok(Next::Dropped(33)));
        assert_eq!(with(15, b'x'), Ok(Next::Dropped(33)));
        assert_eq!(with(0, 0), Err(FrameError::Magic));
        assert_eq!(with(19, 1), Err(FrameError::TooLong(0x0100_0009)));
    }
}
