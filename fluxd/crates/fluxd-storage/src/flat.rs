//! Blocks and their undo data in numbered files that the C++ node can read. Mirrors `WriteBlockToDisk`, `UndoWriteToDisk`,
//! `FindBlockPos` and `LoadExternalBlockFile` of `src/main.cpp`, without its preallocation.
//!
//! `blkNNNNN.dat` repeats: magic 4, size u32, block. `revNNNNN.dat` repeats: magic 4, size u32, undo data, checksum 32;
//! it belongs to the block file of its number. What is behind the length that the database recorded is a torn tail: it
//! is never read, and the next record overwrites it. Files that the database does not know are never written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use fluxd_primitives::{
    Block, BlockHash, Codec,
    codec::{MAX_SIZE, Writer},
};

use crate::{
    Result,
    error::{RecordError, RowError, StoreError},
    schema::{FileInfo, Position},
    undo::{BlockUndo, checksum},
};

/// A block file is full before it reaches this many bytes.
const MAX_FILE: u32 = 128 << 20;
/// Bytes before the payload: magic and size.
const PREFIX: u32 = 8;
/// Smallest and largest block that a scan looks at.
const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 80..=2_000_000;

/// Reads flat files; can be cloned and sent to other threads.
#[derive(Debug, Clone)]
pub(crate) struct FlatReader {
    dir: PathBuf,
    magic: [u8; 4],
}

/// The one writer of the flat files.
#[derive(Debug)]
pub(crate) struct FlatFiles {
    reader: FlatReader,
    infos: BTreeMap<u32, FileInfo>,
    /// The file that new blocks go to.
    current: u32,
    /// Files whose rows must be written again.
    changed: BTreeSet<u32>,
    /// Files that were written since the last sync.
    unsynced: BTreeMap<PathBuf, File>,
    /// A file was created since the last sync.
    created: bool,
}

impl FlatReader {
    pub(crate) fn block(&self, position: Position) -> Result<Block> {
        let path = self.block_path(position.file);
        self.payload(&path, position.offset, *BLOCK_SIZES.end(), 0)
            .and_then(|(bytes, _)| Block::from_bytes(&bytes).map_err(|error| RowError::from(error).into()))
            .map_err(|source| record_error(path, position.offset, source))
    }

    pub(crate) fn undo(&self, position: Position, parent: &BlockHash) -> Result<BlockUndo> {
        let path = self.undo_path(position.file);
        let limit = u32::try_from(MAX_SIZE).unwrap_or(u32::MAX);
        self.payload(&path, position.offset, limit, 32)
            .and_then(|(bytes, sum)| {
                if sum != checksum(parent, &bytes) {
                    return Err(RecordError::Checksum.into());
                }
                Ok(BlockUndo::from_bytes(&bytes)?)
            })
            .map_err(|source| record_error(path, position.offset, source))
    }

    /// The numbers of all block files that exist.
    pub(crate) fn numbers(&self) -> Result<BTreeSet<u32>> {
        let entries = fs::read_dir(&self.dir).map_err(|source| file_error(&self.dir, source))?;
        let mut numbers = BTreeSet::new();
        for entry in entries {
            let name = entry.map_err(|source| file_error(&self.dir, source))?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_prefix("blk")?.strip_suffix(".dat"));
            numbers.extend(
                digits.filter(|digits| digits.len() >= 5).and_then(|digits| digits.parse::<u32>().ok()),
            );
        }
        Ok(numbers)
    }

    pub(crate) fn scan(&self, number: u32) -> Result<Scan> {
        let path = self.block_path(number);
        let file = File::open(&path).map_err(|source| file_error(&path, source))?;
        Ok(Scan { file: BufReader::with_capacity(1 << 20, file), path, magic: self.magic, number, offset: 0 })
    }

    /// The payload of a record and what stands behind it.
    fn payload(
        &self,
        path: &Path,
        offset: u32,
        limit: u32,
        trailer: usize,
    ) -> std::result::Result<(Vec<u8>, Vec<u8>), ReadFailure> {
        let start = offset.checked_sub(PREFIX).ok_or(RecordError::Magic)?;
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(u64::from(start)))?;
        let (mut magic, mut size) = ([0; 4], [0; 4]);
        file.read_exact(&mut magic)?;
        file.read_exact(&mut size)?;
        if magic != self.magic {
            return Err(RecordError::Magic.into());
        }
        let size = u32::from_le_bytes(size);
        if size > limit {
            return Err(RecordError::Size(size).into());
        }
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let mut payload = vec![0; length];
        file.read_exact(&mut payload)?;
        let mut behind = vec![0; trailer];
        file.read_exact(&mut behind)?;
        Ok((payload, behind))
    }

    fn block_path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("blk{number:05}.dat"))
    }

    fn undo_path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("rev{number:05}.dat"))
    }

    fn record(&self, payload: &[u8], trailer: &[u8]) -> Result<Vec<u8>> {
        let size = u32::try_from(payload.len()).map_err(|_| StoreError::RecordTooLong(payload.len()))?;
        let mut writer = Writer::with_capacity(payload.len().saturating_add(40));
        writer.put(&self.magic).u32_le(size).put(payload).put(trailer);
        Ok(writer.into_vec())
    }
}

impl FlatFiles {
    /// Opens the folder, whose files must hold at least what was recorded.
    pub(crate) fn open(dir: PathBuf, magic: [u8; 4], infos: BTreeMap<u32, FileInfo>) -> Result<Self> {
        fs::create_dir_all(&dir).map_err(|source| file_error(&dir, source))?;
        let reader = FlatReader { dir, magic };
        for (number, info) in &infos {
            require_length(reader.block_path(*number), info.size)?;
            require_length(reader.undo_path(*number), info.undo_size)?;
        }
        Ok(Self {
            reader,
            current: infos.last_key_value().map_or(0, |(number, _)| *number),
            infos,
            changed: BTreeSet::new(),
            unsynced: BTreeMap::new(),
            created: false,
        })
    }

    pub(crate) fn reader(&self) -> &FlatReader {
        &self.reader
    }

    /// Appends a block.
    pub(crate) fn append_block(&mut self, block: &Block, height: u32) -> Result<Position> {
        let record = self.reader.record(&block.to_bytes(), &[])?;
        let length = u32::try_from(record.len()).map_err(|_| StoreError::RecordTooLong(record.len()))?;
        let number = self.file_with_room(length)?;
        let mut info = self.infos.get(&number).copied().unwrap_or_default();
        self.write(self.reader.block_path(number), info.size, &record)?;
        let position = Position { file: number, offset: info.size.saturating_add(PREFIX) };
        info.size = info.size.saturating_add(length);
        info.add_block(height, block.header.time);
        self.note(number, info);
        Ok(position)
    }

    /// Appends the undo data of a block that lies in this file.
    pub(crate) fn append_undo(&mut self, number: u32, undo: &BlockUndo, parent: &BlockHash) -> Result<u32> {
        let mut info = self.infos.get(&number).copied().ok_or(StoreError::UnknownFile(number))?;
        let bytes = undo.to_bytes();
        let record = self.reader.record(&bytes, &checksum(parent, &bytes))?;
        let end = u32::try_from(record.len()).ok().and_then(|length| info.undo_size.checked_add(length));
        let end = end.ok_or(StoreError::RecordTooLong(record.len()))?;
        self.write(self.reader.undo_path(number), info.undo_size, &record)?;
        let offset = info.undo_size.saturating_add(PREFIX);
        info.undo_size = end;
        self.note(number, info);
        Ok(offset)
    }

    /// Takes a block over that a scan found.
    pub(crate) fn adopt_block(&mut self, position: Position, block: &Block, height: u32) {
        let mut info = self.infos.get(&position.file).copied().unwrap_or_default();
        let length = u32::try_from(block.to_bytes().len()).unwrap_or(u32::MAX);
        info.size = info.size.max(position.offset.saturating_add(length));
        info.add_block(height, block.header.time);
        self.note(position.file, info);
        self.current = self.current.max(position.file);
    }

    pub(crate) fn infos(&self) -> Vec<(u32, FileInfo)> {
        self.infos.iter().map(|(number, info)| (*number, *info)).collect()
    }

    /// Forgets files; the one that new blocks go to is not among them.
    pub(crate) fn forget(&mut self, numbers: &[u32]) {
        for number in numbers.iter().filter(|number| **number != self.current) {
            self.infos.remove(number);
            self.changed.remove(number);
        }
    }

    /// Deletes the files below the lowest that is known: they were forgotten.
    pub(crate) fn delete_forgotten(&mut self) -> Result<()> {
        let Some((lowest, _)) = self.infos.first_key_value() else { return Ok(()) };
        for number in self.reader.numbers()?.range(..lowest) {
            for path in [self.reader.block_path(*number), self.reader.undo_path(*number)] {
                self.unsynced.remove(&path);
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(file_error(&path, error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Makes everything that was appended survive a power failure, and returns the rows that say so.
    pub(crate) fn sync(&mut self) -> Result<Vec<(u32, FileInfo)>> {
        while let Some((path, file)) = self.unsynced.pop_first() {
            file.sync_all().map_err(|source| file_error(&path, source))?;
        }
        if self.created {
            let synced = File::open(&self.reader.dir).and_then(|dir| dir.sync_all());
            synced.map_err(|source| file_error(&self.reader.dir, source))?;
            self.created = false;
        }
        let changed = std::mem::take(&mut self.changed);
        Ok(changed.into_iter().filter_map(|number| Some((number, *self.infos.get(&number)?))).collect())
    }

    fn file_with_room(&mut self, length: u32) -> Result<u32> {
        if length >= MAX_FILE {
            return Err(StoreError::RecordTooLong(usize::try_from(length).unwrap_or(usize::MAX)));
        }
        loop {
            let has_room = match self.infos.get(&self.current) {
                Some(info) => info.size.saturating_add(length) < MAX_FILE,
                None => {
                    is_empty(&self.reader.block_path(self.current))?
                        && is_empty(&self.reader.undo_path(self.current))?
                }
            };
            if has_room {
                return Ok(self.current);
            }
            self.current = self.current.saturating_add(1);
        }
    }

    fn write(&mut self, path: PathBuf, at: u32, record: &[u8]) -> Result<()> {
        let written = || -> io::Result<(File, bool)> {
            let created = !path.exists();
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            file.seek(SeekFrom::Start(u64::from(at)))?;
            file.write_all(record)?;
            Ok((file, created))
        };
        let (file, created) = written().map_err(|source| file_error(&path, source))?;
        self.created |= created;
        self.unsynced.insert(path, file);
        Ok(())
    }

    fn note(&mut self, number: u32, info: FileInfo) {
        self.infos.insert(number, info);
        self.changed.insert(number);
    }
}

/// All blocks of a file, found without the database: bytes that are no block are skipped.
#[derive(Debug)]
pub struct Scan {
    file: BufReader<File>,
    path: PathBuf,
    magic: [u8; 4],
    number: u32,
    /// Where the next byte of `file` lies.
    offset: u64,
}

impl Iterator for Scan {
    type Item = Result<(Position, Block)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().map_err(|source| file_error(&self.path, source)).transpose()
    }
}

impl Scan {
    fn advance(&mut self) -> io::Result<Option<(Position, Block)>> {
        let [first, ..] = self.magic;
        loop {
            let (skipped, found) = skip_to(&mut self.file, first)?;
            self.offset += skipped;
            if !found {
                return Ok(None);
            }
            let start = self.offset;
            let mut prefix = [0; 8];
            if !read_whole(&mut self.file, &mut prefix)? {
                self.file.seek(SeekFrom::Start(start + 1))?;
            } else if let Some(size) = self.block_size(prefix) {
                if let Some(block) = self.block(size)?
                    && let Ok(offset) = u32::try_from(start + u64::from(PREFIX))
                {
                    self.offset = start + u64::from(PREFIX) + u64::from(size);
                    return Ok(Some((Position { file: self.number, offset }, block)));
                }
                self.file.seek(SeekFrom::Start(start + 1))?;
            } else {
                self.file.seek_relative(1 - i64::from(PREFIX))?;
            }
            self.offset = start + 1;
        }
    }

    fn block_size(&self, prefix: [u8; 8]) -> Option<u32> {
        let [a, b, c, d, size @ ..] = prefix;
        let size = u32::from_le_bytes(size);
        ([a, b, c, d] == self.magic && BLOCK_SIZES.contains(&size)).then_some(size)
    }

    fn block(&mut self, size: u32) -> io::Result<Option<Block>> {
        let mut payload = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        let whole = read_whole(&mut self.file, &mut payload)?;
        Ok(Block::from_bytes(&payload).ok().filter(|_| whole))
    }
}

/// Moves to the next byte of this value without taking it; says how many bytes were skipped and whether it is there.
fn skip_to(file: &mut impl BufRead, byte: u8) -> io::Result<(u64, bool)> {
    let mut skipped = 0;
    loop {
        let buffer = file.fill_buf()?;
        if buffer.is_empty() {
            return Ok((skipped, false));
        }
        let place = buffer.iter().position(|candidate| *candidate == byte);
        let step = place.unwrap_or(buffer.len());
        file.consume(step);
        skipped += u64::try_from(step).unwrap_or(u64::MAX);
        if place.is_some() {
            return Ok((skipped, true));
        }
    }
}

/// False at the end of the file.
fn read_whole(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The two ways in which a record cannot be read.
enum ReadFailure {
    Io(io::Error),
    Record(RecordError),
}

impl From<io::Error> for ReadFailure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Record(RecordError::Short),
            _ => Self::Io(error),
        }
    }
}

impl From<RecordError> for ReadFailure {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<RowError> for ReadFailure {
    fn from(error: RowError) -> Self {
        Self::Record(error.into())
    }
}

fn record_error(path: PathBuf, offset: u32, failure: ReadFailure) -> StoreError {
    match failure {
        ReadFailure::Io(source) => StoreError::File { path, source },
        ReadFailure::Record(source) => StoreError::Record { path, offset, source },
    }
}

fn file_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::File { path: path.to_owned(), source }
}

fn length_of(path: &Path) -> Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(file_error(path, source)),
    }
}

fn is_empty(path: &Path) -> Result<bool> {
    Ok(length_of(path)? == 0)
}

fn require_length(path: PathBuf, recorded: u32) -> Result<()> {
    let (found, recorded) = (length_of(&path)?, u64::from(recorded));
    if found < recorded { Err(StoreError::FileTooShort { path, found, recorded }) } else { Ok(()) }
}
