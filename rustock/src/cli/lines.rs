//! Files of headers, ascending: one line `number hash hashForMergedMining headerRlp` each, hexadecimal without prefix;
//! or, compactly, the RLP of the headers as bytes, one after another. Both are read with a bound, so that a wrong file
//! cannot fill the memory.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use shared_vendor::{
    exit::{self, Report},
    hex,
};

use crate::{
    codec::{DecodeError, decode_header, hash_for_merged_mining},
    params::Params,
    types::Header,
};

/// Longest line, in bytes: a header of half a mebibyte.
const MAX_LINE: u64 = 1 << 20;

/// Why a line is not a header of the network.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    /// The line has another form.
    #[error("the line is not `number hash hashForMergedMining headerRlp`")]
    Form,
    /// The RLP is not a header.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The header's number or one of its hashes is not the stated one.
    #[error("the {0} of the header is not the one on the line")]
    Stated(&'static str),
}

impl LineError {
    /// A short stable name for output.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Form => "line-form",
            Self::Decode(_) => "decode",
            Self::Stated(_) => "line-hash",
        }
    }
}

/// A header file that is being read.
pub(super) struct Lines {
    input: Box<dyn BufRead>,
    /// The file holds bytes, not text: it begins with the prefix of an RLP list.
    binary: bool,
    path: PathBuf,
}

impl Lines {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Self, Report> {
        let mut input: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(path).map_err(|err| unreadable(path, &err))?))
        };
        let binary = input.fill_buf().map_err(|err| unreadable(path, &err))?.first() >= Some(&0xc0);
        Ok(Self { input, binary, path: path.to_path_buf() })
    }

    /// Up to `count` more lines; none at the end of the file. From bytes, each line is the RLP alone.
    pub(super) fn next(&mut self, count: usize) -> Result<Vec<String>, Report> {
        let mut lines = Vec::new();
        while lines.len() < count {
            if self.binary {
                match read_item(&mut self.input).map_err(|err| unreadable(&self.path, &err))? {
                    Some(item) => lines.push(hex::encode(item)),
                    None => break,
                }
                continue;
            }
            let mut line = String::new();
            let mut bounded = self.input.by_ref().take(MAX_LINE);
            if bounded.read_line(&mut line).map_err(|err| unreadable(&self.path, &err))? == 0 {
                break;
            }
            lines.push(line);
        }
        Ok(lines)
    }
}

/// The header of a line; what the line states must be what the header is.
pub(super) fn parse(params: &Params, line: &str) -> Result<Header, LineError> {
    let line = line.trim_ascii_end();
    if !line.is_empty() && !line.contains(' ') {
        return Ok(decode_header(params, hex::decode(line).map_err(|_| LineError::Form)?.into())?);
    }
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or(LineError::Form);
    let (number, hash, mining, rlp) = (word()?, word()?, word()?, word()?);
    let number: u64 = number.parse().map_err(|_| LineError::Form)?;
    let (hash, mining) =
        (hash.parse().map_err(|_| LineError::Form)?, mining.parse().map_err(|_| LineError::Form)?);
    if words.next().is_some() {
        return Err(LineError::Form);
    }
    let header = decode_header(params, hex::decode(rlp).map_err(|_| LineError::Form)?.into())?;
    if header.number().0 != number {
        return Err(LineError::Stated("number"));
    }
    if header.hash() != hash {
        return Err(LineError::Stated("hash"));
    }
    if hash_for_merged_mining(params, &header).is_some_and(|actual| actual != mining) {
        return Err(LineError::Stated("hash for merged mining"));
    }
    Ok(header)
}

/// The line of a header.
pub(super) fn write(params: &Params, header: &Header, out: &mut String) {
    let mining = hash_for_merged_mining(params, header).unwrap_or(header.fields().merged_mining_base);
    let rlp = hex::encode(header.wire());
    // writing to a string cannot fail
    let _ = writeln!(out, "{} {} {mining} {rlp}", header.number(), header.hash());
}

/// The next RLP list of the stream, whole; `None` at its end.
fn read_item(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let Some(first) = input.fill_buf()?.first().copied() else { return Ok(None) };
    let digits = usize::from(first.saturating_sub(0xf7));
    let mut item = vec![0; digits.saturating_add(1)];
    input.read_exact(&mut item)?;
    let length = match digits {
        0 => u64::from(first.saturating_sub(0xc0)),
        _ => item.iter().skip(1).fold(0, |length, digit| length << 8 | u64::from(*digit)),
    };
    if first < 0xc0 || length > MAX_LINE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not the RLP of a header"));
    }
    let whole = u64::try_from(item.len()).unwrap_or(u64::MAX).saturating_add(length);
    input.by_ref().take(length).read_to_end(&mut item)?;
    if u64::try_from(item.len()) == Ok(whole) {
        Ok(Some(item))
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn unreadable(path: &Path, err: &io::Error) -> Report {
    Report::new(exit::NO_INPUT, "cannot read the file of headers").at(path.display().to_string()).because(err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::genesis;

    #[test]
    fn headers_as_bytes_are_read_one_by_one_and_a_cut_or_foreign_file_is_refused() {
        let params = Params::regtest();
        let wire = genesis(&params).unwrap().wire().clone();
        let twice = [wire.as_ref(), &wire].concat();
        let mut input = twice.as_slice();
        assert_eq!(read_item(&mut input).unwrap().as_deref(), Some(wire.as_ref()));
        assert_eq!(read_item(&mut input).unwrap().as_deref(), Some(wire.as_ref()));
        assert_eq!(read_item(&mut input).unwrap(), None);
        assert_eq!(parse(&params, &hex::encode(&wire)).unwrap().wire(), &wire);
        assert!(read_item(&mut &twice[..100]).is_err());
        assert!(read_item(&mut &[0xff_u8; 20][..]).is_err());
    }

    #[test]
    fn a_line_reads_back_and_states_what_the_header_is() {
        let params = Params::regtest();
        let header = genesis(&params).unwrap();
        let mut line = String::new();
        write(&params, &header, &mut line);
        assert_eq!(parse(&params, &line).unwrap(), header);
        let stated =
            |from: &str, to: &str| parse(&params, &line.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(stated("0 ", "1 ").contains("number"));
        assert!(stated("8ea789", "8ea788").contains("the hash of"));
        assert!(stated(" f901d6", " ").contains("line"), "odd RLP");
        assert!(stated(" ", "").contains("line"));
        assert!(matches!(parse(&params, ""), Err(LineError::Form)));
    }
}
