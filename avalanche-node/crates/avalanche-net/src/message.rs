//! Bytes to messages and back, with at most one level of zstd around them. Mirrors `message/messages.go` and
//! `utils/compression`.

use std::io::{self, Read};

use avalanche_proto::p2p::{Body, Envelope};
use prost::Message as _;

use crate::frame::MAX_MESSAGE_LEN;

/// Largest window a compressed message may ask for (8 MiB); memory of a decoder is bounded by it.
const MAX_WINDOW_LOG: u32 = 23;
/// The first byte of a compressed message: number and type of its only field.
const COMPRESSED_TAG: u8 = 2 << 3 | 2;
const LEVEL: i32 = zstd::DEFAULT_COMPRESSION_LEVEL;

/// Why bytes are not a message. The connection goes on.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Not protobuf of the right shape.
    #[error("malformed message")]
    Protobuf(#[from] prost::DecodeError),
    /// Not zstd.
    #[error("malformed compression")]
    Zstd(#[source] io::Error),
    /// More than [`MAX_MESSAGE_LEN`] bytes come out of the compression.
    #[error("message decompresses to more than {MAX_MESSAGE_LEN} bytes")]
    TooLarge,
    /// No known message, or compression within compression.
    #[error("unknown message type")]
    UnknownType,
}

/// The bytes that come out of a compressed message, as it says itself, or the most that may; None for one that is not
/// compressed.
#[must_use]
pub fn decompressed_len(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes.strip_prefix(&[COMPRESSED_TAG])?;
    prost::encoding::decode_varint(&mut rest).ok()?;
    let stated = zstd::zstd_safe::get_frame_content_size(rest).ok().flatten();
    let stated = stated.and_then(|stated| usize::try_from(stated).ok()).unwrap_or(MAX_MESSAGE_LEN);
    Some(stated.min(MAX_MESSAGE_LEN))
}

/// Reads a message.
///
/// # Errors
/// As [`MessageError`] says.
pub fn decode(bytes: &[u8]) -> Result<Body, MessageError> {
    match Envelope::decode(bytes)?.body {
        // It must begin with what is compressed, or its size would not be seen before.
        Some(Body::CompressedZstd(compressed))
            if bytes.first() == Some(&COMPRESSED_TAG) && !compressed.is_empty() =>
        {
            match Envelope::decode(decompress(&compressed)?.as_slice())?.body {
                Some(Body::CompressedZstd(_)) | None => Err(MessageError::UnknownType),
                Some(body) => Ok(body),
            }
        }
        Some(Body::CompressedZstd(_)) | None => Err(MessageError::UnknownType),
        Some(body) => Ok(body),
    }
}

/// The bytes of a message, compressed where the network's convention says so and it makes them fewer.
#[must_use]
pub fn encode(body: Body) -> Vec<u8> {
    let compresses = is_compressed(&body);
    let plain = Envelope { body: Some(body) }.encode_to_vec();
    if !compresses {
        return plain;
    }
    match zstd::bulk::compress(&plain, LEVEL) {
        Ok(compressed) if compressed.len() < plain.len() => {
            Envelope { body: Some(Body::CompressedZstd(compressed)) }.encode_to_vec()
        }
        _ => plain,
    }
}

/// True for messages that are sent compressed; receivers take both forms of any.
#[must_use]
pub const fn is_compressed(body: &Body) -> bool {
    matches!(
        body,
        Body::GetPeerList(_)
            | Body::PeerList(_)
            | Body::StateSummaryFrontier(_)
            | Body::GetAcceptedStateSummary(_)
            | Body::AcceptedStateSummary(_)
            | Body::Ancestors(_)
            | Body::Put(_)
            | Body::PushQuery(_)
            | Body::AppRequest(_)
            | Body::AppResponse(_)
            | Body::AppGossip(_)
            | Body::AppError(_)
            | Body::Simplex(_)
    )
}

/// Decompresses at most [`MAX_MESSAGE_LEN`] bytes.
fn decompress(compressed: &[u8]) -> Result<Vec<u8>, MessageError> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed).map_err(MessageError::Zstd)?;
    decoder.window_log_max(MAX_WINDOW_LOG).map_err(MessageError::Zstd)?;
    let limit = u64::try_from(MAX_MESSAGE_LEN).unwrap_or(u64::MAX);
    let mut plain = Vec::new();
    decoder.take(limit.saturating_add(1)).read_to_end(&mut plain).map_err(MessageError::Zstd)?;
    if plain.len() > MAX_MESSAGE_LEN { Err(MessageError::TooLarge) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use avalanche_proto::p2p::{Ping, Put};

    use super::*;

    fn wrap(plain: &[u8]) -> Vec<u8> {
        let compressed = zstd::bulk::compress(plain, LEVEL).unwrap();
        Envelope { body: Some(Body::CompressedZstd(compressed)) }.encode_to_vec()
    }

    #[test]
    fn compression_is_undone_once_and_only_once() {
        let ping = Envelope { body: Some(Body::Ping(Ping { uptime: 3 })) }.encode_to_vec();
        assert_eq!(decode(&wrap(&ping)).unwrap(), Body::Ping(Ping { uptime: 3 }));
        assert!(matches!(decode(&wrap(&wrap(&ping))), Err(MessageError::UnknownType)));
    }

    #[test]
    fn a_compression_bomb_stops_at_the_limit() {
        assert!(matches!(decode(&wrap(&vec![0; MAX_MESSAGE_LEN + 1])), Err(MessageError::TooLarge)));
        assert!(wrap(&vec![0; 64 * MAX_MESSAGE_LEN]).len() < 100_000);
        assert!(matches!(decode(&wrap(&vec![0; 64 * MAX_MESSAGE_LEN])), Err(MessageError::TooLarge)));
    }

    #[test]
    fn what_comes_out_of_a_message_is_known_before_it_is_decompressed() {
        assert_eq!(decompressed_len(&wrap(&[7; 5000])), Some(5000));
        assert_eq!(decompressed_len(&wrap(&vec![0; 64 * MAX_MESSAGE_LEN])), Some(MAX_MESSAGE_LEN));
        assert_eq!(
            decompressed_len(&Envelope { body: Some(Body::Ping(Ping { uptime: 3 })) }.encode_to_vec()),
            None
        );
        let padded = [&[0x08, 0x01], wrap(&[7; 50]).as_slice()].concat();
        assert!(matches!(decode(&padded), Err(MessageError::UnknownType | MessageError::Protobuf(_))));
    }

    #[test]
    fn garbage_is_an_error_of_its_kind() {
        assert!(matches!(decode(&[]), Err(MessageError::UnknownType)));
        assert!(matches!(decode(&[0xff]), Err(MessageError::Protobuf(_))));
        let not_zstd = Envelope { body: Some(Body::CompressedZstd(vec![1, 2, 3])) }.encode_to_vec();
        assert!(matches!(decode(&not_zstd), Err(MessageError::Zstd(_))));
    }

    #[test]
    fn large_answers_travel_compressed() {
        let put = Put { container: vec![7; 10_000], ..Put::default() };
        let bytes = encode(Body::Put(put.clone()));
        assert!(bytes.len() < 1_000);
        assert_eq!(decode(&bytes).unwrap(), Body::Put(put));
    }
}
