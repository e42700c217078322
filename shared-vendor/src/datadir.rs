//! The data directory of one network: its lock, its identity, its modes, and files that are written whole or not at
//! all. It knows nothing of what a daemon stores in `db/`.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    exit::{self, Report},
};

/// Bytes of the file `reserve`, freed by hand when the disk is full.
pub const RESERVE: u64 = 64 << 20;

/// Least free bytes to start with.
pub const LEAST_FREE: u64 = 512 << 20;

/// Whose data a directory holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Name of the program.
    pub daemon: String,
    /// Name of the network.
    pub network: String,
    /// Number of the network, where the protocol has one.
    pub network_id: u64,
    /// Hash of the first block, as the chain's users write it.
    pub genesis: String,
    /// Format of the database; a newer one is refused.
    pub format: u32,
}

/// `VERSION.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    #[serde(flatten)]
    identity: Identity,
    created_by: String,
    last_writer: String,
    clean_stop: bool,
}

/// An open, locked data directory. Dropping it releases the lock.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    version: Mutex<Version>,
    /// How the process before this one stopped; true for a new directory.
    pub was_clean: bool,
    /// Format of the data before this start: lower than the identity's where a migration is due.
    pub found_format: u32,
    _lock: File,
}

impl DataDir {
    /// Locks the directory, creating it if need be, and checks that it is ours. When it is refused nothing in it has
    /// been written.
    ///
    /// # Errors
    /// Not creatable or writable (73), locked (75), of another network, program or newer format (76), damaged (65),
    /// secrets readable by others (77), too little space (74).
    pub fn open(root: &Path, identity: Identity, program: &str, clock: &dyn Clock) -> Result<Self, Report> {
        let cannot = |err: io::Error| create_error(root, &err);
        private_dir(root).map_err(cannot)?;
        check_identity(root, read_version(root)?.as_ref(), &identity)?;
        let lock = lock(root)?;
        let found = read_version(root)?; // again, now that nobody else can write it
        check_identity(root, found.as_ref(), &identity)?;
        check_secrets(&root.join("keys"))?;
        check_space(root, LEAST_FREE)?;
        for folder in ["db", "keys", "tmp"] {
            private_dir(&root.join(folder)).map_err(cannot)?;
        }
        write_lock(&lock, &identity.daemon, clock).map_err(cannot)?;
        empty(&root.join("tmp")).map_err(cannot)?;
        reserve(&root.join("reserve"))
            .map_err(|err| io_error("cannot reserve space", &root.join("reserve"), &err))?;
        let was_clean = found.as_ref().is_none_or(|version| version.clean_stop);
        let found_format = found.as_ref().map_or(identity.format, |version| version.identity.format);
        let created_by = found.map_or_else(|| program.to_owned(), |version| version.created_by);
        let identity = Identity { format: found_format, ..identity };
        let version = Version { identity, created_by, last_writer: program.to_owned(), clean_stop: false };
        let dir = Self {
            root: root.to_path_buf(),
            version: Mutex::new(version),
            was_clean,
            found_format,
            _lock: lock,
        };
        dir.write_version()?;
        Ok(dir)
    }

    /// The directory of this network.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Free bytes on its disk for this user.
    ///
    /// # Errors
    /// The file system does not say.
    pub fn free(&self) -> io::Result<u64> {
        free_space(&self.root)
    }

    /// Records a clean stop: the last thing a daemon writes.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn close(&self) -> Result<(), Report> {
        self.version.lock().clean_stop = true;
        self.write_version()
    }

    /// Writes a small file whole or not at all: `tmp/`, fsync, rename, fsync of the directory. Mode 0600.
    ///
    /// # Errors
    /// I/O; the old content is untouched.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), Report> {
        let target = self.root.join(name);
        self.replace(&target, content).map_err(|err| io_error("cannot write", &target, &err))
    }

    /// Creates a secret file (0600, never over an existing one) and syncs it.
    ///
    /// # Errors
    /// It exists already, or I/O.
    pub fn create_secret(&self, name: &str, content: &[u8]) -> Result<(), Report> {
        let target = self.root.join(name);
        create_new(&target, content).map_err(|err| io_error("cannot create", &target, &err))
    }

    /// Reads a secret file after checking that nobody else can.
    ///
    /// # Errors
    /// Readable by others or a link (77), or I/O.
    pub fn read_secret(&self, name: &str) -> Result<Vec<u8>, Report> {
        let path = self.root.join(name);
        check_secret(&path)?;
        fs::read(&path).map_err(|err| io_error("cannot read", &path, &err))
    }

    fn replace(&self, target: &Path, content: &[u8]) -> io::Result<()> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let draft = self.root.join("tmp").join(name);
        let _ = fs::remove_file(&draft);
        create_new(&draft, content)?;
        fs::rename(&draft, target)?;
        sync_parent(target)
    }

    fn write_version(&self) -> Result<(), Report> {
        let mut text = serde_json::to_vec_pretty(&*self.version.lock()).unwrap_or_default();
        text.push(b'\n');
        self.write("VERSION.json", &text)
    }
}

fn private_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Ok(()) if path.is_dir() => Ok(()),
        Ok(()) => Err(io::ErrorKind::NotADirectory.into()),
        Err(err) => Err(err),
    }
}

fn create_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?
        } else {
            fs::remove_file(entry.path())?
        }
    }
    Ok(())
}

fn lock(root: &Path) -> Result<File, Report> {
    let path = root.join("LOCK");
    let options =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = options.map_err(|err| create_error(root, &err))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let pid = holder.lines().next().filter(|line| !line.is_empty()).unwrap_or("unknown").to_owned();
            Err(Report::new(
                exit::DATA_LOCKED,
                format!("the data directory is in use by the process with pid {pid}"),
            )
            .at(root.display().to_string())
            .state("nothing was written")
            .advice("stop that process, or use another --data-dir or --instance N"))
        }
        Err(TryLockError::Error(err)) => Err(io_error("cannot lock", &path, &err)),
    }
}

fn write_lock(mut file: &File, daemon: &str, clock: &dyn Clock) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(format!("{}\n{daemon}\n{}\n", std::process::id(), clock.wall()).as_bytes())
}

fn read_version(root: &Path) -> Result<Option<Version>, Report> {
    let path = root.join("VERSION.json");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(err) if err.kind() == io::ErrorKind::NotFound && !holds_data(root) => return Ok(None),
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            return Err(Report::new(
                exit::DATA_FOREIGN,
                "the directory is not empty and holds no VERSION.json: it is not ours",
            )
            .at(root.display().to_string())
            .state("nothing was written")
            .advice("name an empty or new directory with --data-dir"));
        }
        Err(err) => return Err(io_error("cannot read", &path, &err)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|err| {
        Report::new(exit::DATA_DAMAGED, "VERSION.json is damaged")
            .at(path.display().to_string())
            .because(&err)
            .state("nothing was written")
            .advice("restore it from a backup, or keep keys/ and remove the rest to sync again")
    })
}

/// Whether something is there that a first start that was cut short cannot have left.
fn holds_data(root: &Path) -> bool {
    let unwritten = |name: &str| match name {
        "LOCK" | "tmp" | "reserve" | "keys" => true,
        "db" => fs::read_dir(root.join("db")).is_ok_and(|mut entries| entries.next().is_none()),
        _ => false,
    };
    fs::read_dir(root).is_ok_and(|entries| {
        entries.flatten().any(|entry| !entry.file_name().to_str().is_some_and(unwritten))
    })
}

fn check_identity(root: &Path, found: Option<&Version>, ours: &Identity) -> Result<(), Report> {
    let Some(Version { identity: found, .. }) = found else { return Ok(()) };
    let same = Identity { format: ours.format, ..found.clone() } == *ours;
    if same && found.format <= ours.format {
        return Ok(());
    }
    let name = |id: &Identity| {
        format!(
            "{} {} (id {}, genesis {}, format {})",
            id.daemon, id.network, id.network_id, id.genesis, id.format
        )
    };
    Err(Report::new(
        exit::DATA_FOREIGN,
        format!("the data directory belongs to {}, not to {}", name(found), name(ours)),
    )
    .at(root.display().to_string())
    .state("nothing was written")
    .advice("use another --data-dir, the right --network, or the newer program"))
}

fn check_secrets(folder: &Path) -> Result<(), Report> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    entries.flatten().filter(|entry| !entry.path().is_dir()).try_for_each(|entry| check_secret(&entry.path()))
}

/// Refuses a secret that is a link, or that group or others can touch.
///
/// # Errors
/// 77 with the command that cures it.
pub fn check_secret(path: &Path) -> Result<(), Report> {
    let meta = fs::symlink_metadata(path).map_err(|err| io_error("cannot read", path, &err))?;
    let place = path.display().to_string();
    if meta.file_type().is_symlink() {
        return Err(Report::new(exit::UNSAFE_PERMISSIONS, "a secret file is a symbolic link")
            .at(&place)
            .advice("replace the link by the file itself"));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(Report::new(
            exit::UNSAFE_PERMISSIONS,
            format!("a secret file has mode {:o}", meta.mode() & 0o777),
        )
        .at(&place)
        .advice(format!("run `chmod 600 {place}`")));
    }
    Ok(())
}

/// Refuses to go on with less than `least` free bytes.
///
/// # Errors
/// 74 with both figures.
pub fn check_space(path: &Path, least: u64) -> Result<(), Report> {
    let free = free_space(path).map_err(|err| io_error("cannot measure free space", path, &err))?;
    if free >= least {
        return Ok(());
    }
    Err(Report::new(exit::DISK_FULL, exit::DISK_FULL.title)
        .at(format!("{} ({} MiB free, at least {} MiB needed)", path.display(), free >> 20, least >> 20))
        .state("all data written before is safe on disk")
        .advice(format!("free space, or remove {}, then start again", path.join("reserve").display())))
}

/// Free bytes for this user on the file system of `path`.
///
/// # Errors
/// The path does not exist.
pub fn free_space(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Allocates the reserve; where the file system cannot, the reserve is left out.
fn reserve(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => fs::remove_file(path),
        Err(err) => Err(err.into()),
    }
}

fn create_error(root: &Path, err: &io::Error) -> Report {
    if err.kind() == io::ErrorKind::StorageFull {
        return io_error("cannot create the data directory", root, err);
    }
    Report::new(exit::DATA_CREATE, "cannot create or write the data directory")
        .at(root.display().to_string())
        .because(err)
        .advice("check owner, mode and mount of the path, or use another --data-dir")
}

/// A report for an I/O error: E0401 for a full disk, else E0402.
#[must_use]
pub fn io_error(what: &str, path: &Path, err: &io::Error) -> Report {
    let code = if err.kind() == io::ErrorKind::StorageFull { exit::DISK_FULL } else { exit::IO_ERROR };
    Report::new(code, format!("{what} {}", path.file_name().unwrap_or(path.as_os_str()).display()))
        .at(path.display().to_string())
        .because(err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, exit::Exit};

    struct Temp(PathBuf);

    impl Temp {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("datadir-{}-{name}", std::process::id())))
        }

        fn open(&self, network: &str, format: u32) -> Result<DataDir, Report> {
            let identity = Identity {
                daemon: "demo".into(),
                network: network.into(),
                network_id: 7,
                genesis: "00ff".into(),
                format,
            };
            DataDir::open(&self.0, identity, "demo 0.1.0", &ManualClock::default())
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn it_is_made_private_and_tells_how_it_was_left() {
        let temp = Temp::new("new");
        let dir = temp.open("main", 1).unwrap();
        assert!(dir.was_clean);
        assert_eq!(fs::metadata(&temp.0).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(dir.join("VERSION.json")).unwrap().mode() & 0o777, 0o600);
        fs::write(dir.join("tmp/left"), "x").unwrap();
        drop(dir);
        let dir = temp.open("main", 2).unwrap();
        assert!(!dir.was_clean);
        assert_eq!(dir.found_format, 1);
        assert!(!dir.join("tmp/left").exists());
        dir.close().unwrap();
        drop(dir);
        assert!(temp.open("main", 1).unwrap().was_clean);
    }

    #[test]
    fn a_second_opener_is_told_the_pid_of_the_first() {
        let temp = Temp::new("locked");
        let _first = temp.open("main", 1).unwrap();
        let err = temp.open("main", 1).unwrap_err();
        assert_eq!(err.exit(), Exit::Locked);
        assert!(err.to_string().contains(&format!("pid {}", std::process::id())), "{err}");
    }

    #[test]
    fn data_of_others_is_refused_and_left_untouched() {
        let temp = Temp::new("foreign");
        drop(temp.open("main", 2).unwrap());
        let before = fs::read(temp.0.join("VERSION.json")).unwrap();
        assert_eq!(temp.open("test", 2).unwrap_err().exit(), Exit::Foreign);
        assert_eq!(temp.open("main", 1).unwrap_err().exit(), Exit::Foreign);
        assert_eq!(fs::read(temp.0.join("VERSION.json")).unwrap(), before);
        fs::write(temp.0.join("VERSION.json"), "{").unwrap();
        assert_eq!(temp.open("main", 2).unwrap_err().exit(), Exit::Damaged);
        let other = Temp::new("program");
        fs::create_dir_all(&other.0).unwrap();
        fs::write(other.0.join("wallet.dat"), "x").unwrap();
        assert_eq!(other.open("main", 2).unwrap_err().exit(), Exit::Foreign);
    }

    #[test]
    fn a_file_in_its_place_is_refused() {
        let temp = Temp::new("file");
        fs::write(&temp.0, "x").unwrap();
        assert_eq!(temp.open("main", 1).unwrap_err().exit(), Exit::CannotCreate);
        fs::remove_file(&temp.0).unwrap();
    }

    #[test]
    fn secrets_are_never_overwritten_and_never_shared() {
        let temp = Temp::new("secret");
        let dir = temp.open("main", 1).unwrap();
        dir.create_secret("keys/node", b"k").unwrap();
        assert!(dir.create_secret("keys/node", b"other").is_err());
        assert_eq!(dir.read_secret("keys/node").unwrap(), b"k");
        fs::set_permissions(dir.join("keys/node"), fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(dir.read_secret("keys/node").unwrap_err().exit(), Exit::Permission);
        drop(dir);
        assert_eq!(temp.open("main", 1).unwrap_err().exit(), Exit::Permission);
    }

    #[test]
    fn small_files_are_replaced_whole() {
        let temp = Temp::new("small");
        let dir = temp.open("main", 1).unwrap();
        dir.write("peers.json", b"[1]").unwrap();
        dir.write("peers.json", b"[2]").unwrap();
        assert_eq!(fs::read(dir.join("peers.json")).unwrap(), b"[2]");
        assert_eq!(fs::read_dir(dir.join("tmp")).unwrap().count(), 0);
        assert_eq!(check_space(&temp.0, u64::MAX).unwrap_err().exit(), Exit::Io);
    }
}
