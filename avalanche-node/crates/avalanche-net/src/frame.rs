//! The frame around a message: its length in four bytes, big-endian. Mirrors `network/peer/msg_length.go`.

/// Longest message, in bytes.
pub const MAX_MESSAGE_LEN: usize = 2 * 1024 * 1024;
/// Bytes of the length.
pub const LENGTH_LEN: usize = 4;

/// A length beyond [`MAX_MESSAGE_LEN`]; the connection cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message of {0} bytes is above the limit of {MAX_MESSAGE_LEN}")]
pub struct FrameTooLong(pub u64);

/// Length of the message that follows these bytes.
///
/// # Errors
/// It is too long.
pub fn message_len(prefix: [u8; LENGTH_LEN]) -> Result<usize, FrameTooLong> {
    let len = u32::from_be_bytes(prefix);
    usize::try_from(len).ok().filter(|len| *len <= MAX_MESSAGE_LEN).ok_or(FrameTooLong(u64::from(len)))
}

/// The message behind its length.
///
/// # Errors
/// It is too long.
pub fn encode(message: &[u8]) -> Result<Vec<u8>, FrameTooLong> {
    if message.len() > MAX_MESSAGE_LEN {
        return Err(FrameTooLong(u64::try_from(message.len()).unwrap_or(u64::MAX)));
    }
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX); // bounded just above
    let mut frame = Vec::with_capacity(message.len() + LENGTH_LEN);
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(message);
    Ok(frame)
}

/// A message and the bytes after it.
pub type Split<'a> = (&'a [u8], &'a [u8]);

/// The first message of a buffer and the bytes after its frame; None when the buffer does not hold it whole.
///
/// # Errors
/// Its length is too long.
pub fn split(buffer: &[u8]) -> Result<Option<Split<'_>>, FrameTooLong> {
    let Some((prefix, rest)) = buffer.split_first_chunk::<LENGTH_LEN>() else { return Ok(None) };
    Ok(rest.split_at_checked(message_len(*prefix)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_split_as_they_were_encoded() {
        let mut buffer = encode(b"one").unwrap();
        buffer.extend(encode(b"").unwrap());
        let (first, rest) = split(&buffer).unwrap().unwrap();
        assert_eq!(first, b"one");
        assert_eq!(split(rest), Ok(Some((&b""[..], &b""[..]))));
        assert_eq!(split(&buffer[..6]), Ok(None));
        assert_eq!(split(&buffer[..3]), Ok(None));
    }

    #[test]
    fn a_length_above_two_mebibytes_is_refused_before_anything_is_read() {
        assert_eq!(message_len([0, 0x20, 0, 0]), Ok(MAX_MESSAGE_LEN));
        assert_eq!(message_len([0, 0x20, 0, 1]), Err(FrameTooLong(2_097_153)));
        assert!(encode(&vec![0; MAX_MESSAGE_LEN + 1]).is_err());
    }
}
