//! Files of headers, ascending: one line `number hash hashForMergedMining headerRlp` each, hexadecimal without prefix;
//! or, compactly, the RLP of the headers as bytes, one after another. Both are read with a bound, so that a wrong file
//! cannot fill the memory.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use rayon::prelude::*;
use shared_vendor::{
    exit::{self, Report},
    hex,
};

use crate::{
    codec::{DecodeError, decode_headers, hash_for_merged_mining},
    params::Params,
    types::{BlockHash, Hash32, Header},
};

/// Headers decoded and checked together on one core: enough to fill the lanes of the hash.
pub(super) const AT_ONCE: usize = 64;

/// Longest entry, in bytes; as a line it is a header of half a mebibyte.
const MAX_ENTRY: u64 = 1 << 20;

/// Why a line is not a header of the network.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    /// The entry has another form.
    #[error("neither a line `number hash hashForMergedMining headerRlp` nor an RLP list")]
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

/// One header of a file, not read yet.
pub(super) enum Entry {
    /// A line of text.
    Line(String),
    /// The RLP of a header, or what is there instead.
    Rlp(Vec<u8>),
}

/// A header file that is being read.
pub(super) struct Lines {
    input: Box<dyn BufRead>,
    path: PathBuf,
}

impl Lines {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Self, Report> {
        let input: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(path).map_err(|err| unreadable(path, &err))?))
        };
        Ok(Self { input, path: path.to_path_buf() })
    }

    /// Up to `count` more entries; none at the end of the file.
    pub(super) fn next(&mut self, count: usize) -> Result<Vec<Entry>, Report> {
        let mut entries = Vec::new();
        while entries.len() < count {
            match self.entry().map_err(|err| unreadable(&self.path, &err))? {
                Some(entry) => entries.push(entry),
                None => break,
            }
        }
        Ok(entries)
    }

    fn entry(&mut self) -> io::Result<Option<Entry>> {
        let Some(first) = self.input.fill_buf()?.first().copied() else { return Ok(None) };
        if first >= 0xc0 {
            return self.rlp().map(Some);
        }
        let mut line = Vec::new();
        self.input.by_ref().take(MAX_ENTRY).read_until(b'\n', &mut line)?;
        Ok(Some(Entry::Line(String::from_utf8_lossy(&line).into_owned())))
    }

    /// The list that begins here; what cannot be one is left to the decoder to refuse.
    fn rlp(&mut self) -> io::Result<Entry> {
        let mut bytes = Vec::new();
        self.input.by_ref().take(1).read_to_end(&mut bytes)?;
        let short = u64::from(bytes.first().map_or(0, |first| first & 0x3f));
        let len = match short.checked_sub(55) {
            None | Some(0) => short,
            Some(digits) => {
                self.input.by_ref().take(digits).read_to_end(&mut bytes)?;
                let digits = bytes.get(1..).unwrap_or_default();
                digits
                    .iter()
                    .fold(0_u64, |len, digit| len.saturating_mul(256).saturating_add(u64::from(*digit)))
            }
        };
        self.input.by_ref().take(len.min(MAX_ENTRY)).read_to_end(&mut bytes)?;
        Ok(Entry::Rlp(bytes))
    }
}

/// The headers of entries; what a line states must be what its header is.
pub(super) fn parse(params: &Params, entries: &[Entry]) -> Vec<Result<Header, LineError>> {
    entries.par_chunks(AT_ONCE).flat_map_iter(|entries| parse_chunk(params, entries)).collect()
}

fn parse_chunk(params: &Params, entries: &[Entry]) -> Vec<Result<Header, LineError>> {
    let (wires, stated): (Vec<_>, Vec<_>) = entries
        .iter()
        .map(|entry| match entry {
            Entry::Rlp(bytes) => (Bytes::copy_from_slice(bytes), Ok(None)),
            Entry::Line(line) => match Stated::read(line) {
                Ok((wire, stated)) => (wire, Ok(Some(stated))),
                Err(error) => (Bytes::new(), Err(error)),
            },
        })
        .unzip();
    let headers = decode_headers(params, wires);
    let pairs = headers.into_iter().zip(stated);
    pairs
        .map(|(header, stated)| {
            let (stated, header) = (stated?, header?);
            if let Some(stated) = stated {
                stated.check(params, &header)?;
            }
            Ok(header)
        })
        .collect()
}

/// What a line says about its header.
struct Stated {
    number: u64,
    hash: BlockHash,
    mining: Hash32,
}

impl Stated {
    fn read(line: &str) -> Result<(Bytes, Self), LineError> {
        let mut words = line.trim_ascii_end().split(' ');
        let mut word = || words.next().ok_or(LineError::Form);
        let (number, hash, mining, rlp) = (word()?, word()?, word()?, word()?);
        if words.next().is_some() {
            return Err(LineError::Form);
        }
        let wire = hex::decode(rlp).map_err(|_| LineError::Form)?;
        let stated = Self {
            number: number.parse().map_err(|_| LineError::Form)?,
            hash: hash.parse().map_err(|_| LineError::Form)?,
            mining: mining.parse().map_err(|_| LineError::Form)?,
        };
        Ok((wire.into(), stated))
    }

    fn check(&self, params: &Params, header: &Header) -> Result<(), LineError> {
        if header.number().0 != self.number {
            return Err(LineError::Stated("number"));
        }
        if header.hash() != self.hash {
            return Err(LineError::Stated("hash"));
        }
        if hash_for_merged_mining(params, header).is_some_and(|actual| actual != self.mining) {
            return Err(LineError::Stated("hash for merged mining"));
        }
        Ok(())
    }
}

/// The line of a header.
pub(super) fn write(params: &Params, header: &Header, out: &mut String) {
    let mining = hash_for_merged_mining(params, header).unwrap_or(header.fields().merged_mining_base);
    let rlp = hex::encode(header.wire());
    // writing to a string cannot fail
    let _ = writeln!(out, "{} {} {mining} {rlp}", header.number(), header.hash());
}

fn unreadable(path: &Path, err: &io::Error) -> Report {
    Report::new(exit::NO_INPUT, "cannot read the file of headers").at(path.display().to_string()).because(err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::genesis;

    fn read(bytes: &'static [u8]) -> Vec<Entry> {
        Lines { input: Box::new(bytes), path: PathBuf::new() }.next(10).unwrap()
    }

    #[test]
    fn a_line_reads_back_and_states_what_the_header_is() {
        let params = Params::regtest();
        let header = genesis(&params).unwrap();
        let mut line = String::new();
        write(&params, &header, &mut line);
        let parse = |line: String| super::parse(&params, &[Entry::Line(line)]).remove(0);
        assert_eq!(parse(line.clone()).unwrap(), header);
        let stated = |from: &str, to: &str| parse(line.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(stated("0 ", "1 ").contains("number"));
        assert!(stated("8ea789", "8ea788").contains("the hash of"));
        assert!(stated(" f901d6", " ").contains("RLP"));
        assert!(stated(" f", " ").contains("line"), "odd number of digits");
        assert!(matches!(parse(String::new()), Err(LineError::Form)));
    }

    #[test]
    fn lists_without_separators_are_cut_at_their_lengths() {
        let lens = |bytes| -> Vec<usize> {
            let entries = read(bytes);
            entries.iter().map(|entry| if let Entry::Rlp(bytes) = entry { bytes.len() } else { 0 }).collect()
        };
        assert_eq!(lens(b"\xc0\xc2\x01\x02\xc1\x01"), [1, 3, 2]);
        assert_eq!(lens(b"\xf9\xff\xff\x00"), [4], "cut short: left to the decoder");
        assert_eq!(lens(b"7 x\n\xc0"), [0, 1]);
    }
}
