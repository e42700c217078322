//! A WebSocket client for tests: blocking, text messages, one frame each. It trusts its server.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use serde_json::Value;

use super::node::PATIENCE;

/// A connection. No read takes longer than [`PATIENCE`].
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
}

/// What the server sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A JSON text.
    Json(Value),
    /// The connection was closed with this code; 1006 when without one.
    Closed(u16),
}

impl Socket {
    /// Connects and upgrades.
    ///
    /// # Errors
    /// I/O, or `InvalidData` with the first line of an answer other than 101.
    pub fn connect(address: SocketAddr, path: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        match head.lines().next() {
            Some(line) if line.contains(" 101 ") => Ok(Self { stream }),
            line => Err(io::Error::new(io::ErrorKind::InvalidData, line.unwrap_or_default().to_owned())),
        }
    }

    /// Sends a text.
    ///
    /// # Errors
    /// I/O.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        let mut frame = vec![0x81];
        match (u8::try_from(text.len()), u16::try_from(text.len())) {
            (Ok(length @ ..126), _) => frame.push(0x80 | length),
            (_, Ok(length)) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((text.len() as u64).to_be_bytes());
            }
        }
        // A mask of zeros leaves the text as it is.
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.stream.write_all(&frame)
    }

    /// The next message; pings are passed over.
    ///
    /// # Errors
    /// I/O, or a text that is not JSON.
    pub fn receive(&mut self) -> io::Result<Received> {
        loop {
            let mut head = [0; 2];
            if let Err(err) = self.stream.read_exact(&mut head) {
                return if err.kind() == io::ErrorKind::UnexpectedEof {
                    Ok(Received::Closed(1006))
                } else {
                    Err(err)
                };
            }
            let length = match head[1] {
                126 => u64::from(u16::from_be_bytes(self.bytes()?)),
                127 => u64::from_be_bytes(self.bytes()?),
                short => u64::from(short),
            };
            let mut payload = Vec::new();
            (&mut self.stream).take(length).read_to_end(&mut payload)?;
            match head[0] & 0x0f {
                1 => return Ok(Received::Json(serde_json::from_slice(&payload)?)),
                8 => {
                    let code = payload.first_chunk().map_or(1006, |code| u16::from_be_bytes(*code));
                    return Ok(Received::Closed(code));
                }
                _ => {}
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
