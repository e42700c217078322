//! Drives a built daemon from outside: start in a data directory of its own, wait for what its log says, signal, kill,
//! read the exit code. Every wait has a deadline and ends with the log when it fails.

#![allow(clippy::panic)] // a test's failure is a panic

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;

use crate::clock::{Clock, SystemClock, Time};

/// How long a test waits for anything: far above what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Looks again and again until there is something; `None` when [`PATIENCE`] is over.
pub fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let clock = SystemClock::default();
    loop {
        let found = look();
        if found.is_some() || clock.now().since(Time::ZERO) >= PATIENCE {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until `look` finds something.
///
/// # Panics
/// It finds nothing in time.
pub fn wait<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually(look).unwrap_or_else(|| panic!("waited in vain for {what}"))
}

/// A folder that is removed at the end of the test.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// A new one; its path is short enough for a socket.
    ///
    /// # Panics
    /// It cannot be made.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("node-{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Self(path),
                // left by an earlier process of this number, which was killed
                Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(err) => panic!("no temporary folder {}: {err}", path.display()),
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A command of the daemon in a clean environment: no settings of the machine reach it, its home is `home`.
#[must_use]
pub fn command(binary: impl AsRef<Path>, home: &Path) -> Command {
    let mut command = Command::new(binary.as_ref());
    command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs one verb to its end.
///
/// # Panics
/// The binary cannot be started.
#[must_use]
pub fn run(binary: impl AsRef<Path>, home: &Path, args: &[&str]) -> Output {
    command(binary, home).args(args).output().expect("the daemon's binary starts")
}

/// A daemon that runs. Dropping it kills it.
#[derive(Debug)]
pub struct TestNode {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl TestNode {
    /// Starts `run` in `data_dir` with these arguments; all ports are free ones unless the arguments say otherwise.
    ///
    /// # Panics
    /// The binary cannot be started.
    #[must_use]
    pub fn start(binary: impl AsRef<Path>, data_dir: &Path, args: &[&str]) -> Self {
        let mut command = command(binary, data_dir);
        command.arg("run").arg("--data-dir").arg(data_dir).args(["--log-format", "text"]);
        for flag in ["--ops-addr", "--rpc-addr", "--p2p-addr"] {
            if !args.contains(&flag) {
                command.args([flag, "127.0.0.1:0"]);
            }
        }
        Self::spawn(command.args(args))
    }

    /// Starts any command and collects its stderr.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = Arc::new(Mutex::new(String::new()));
        let reader = child.stderr.take().map(|stderr| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let mut log = log.lock();
                    log.push_str(&line);
                    log.push('\n');
                }
            })
        });
        Self { child, log, reader }
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().clone()
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// It ends, or is not ready in time.
    pub fn ready(&mut self) -> &mut Self {
        self.wait_for(" app: ready\n")
    }

    /// Waits until the log holds a text.
    ///
    /// # Panics
    /// The process ends before, or time runs out.
    pub fn wait_for(&mut self, text: &str) -> &mut Self {
        self.poll(&format!("`{text}` in the log"), |node| {
            let ended = node.child.try_wait().is_ok_and(|status| status.is_some());
            if ended {
                node.reader.take().map(JoinHandle::join); // now the log is complete
            }
            if node.log.lock().contains(text) {
                return Some(());
            }
            assert!(!ended, "the daemon ended before `{text}`; its log:\n{}", node.log());
            None
        });
        self
    }

    /// An address that it logs, by name: `rpc`, `ops`, `p2p`.
    ///
    /// # Panics
    /// There is none in time.
    #[must_use]
    pub fn address(&self, name: &str) -> SocketAddr {
        let find = || {
            let log = self.log();
            let word = log.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
            word.rsplit('@').next()?.parse().ok() // some write an identity before it
        };
        eventually(find).unwrap_or_else(|| panic!("no address `{name}` in the log:\n{}", self.log()))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name: `TERM`, `HUP`, `USR1`.
    ///
    /// # Panics
    /// It has ended already.
    pub fn signal(&mut self, name: &str) -> &mut Self {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name}; its log:\n{}", self.log());
        self
    }

    /// Kills it with signal 9 and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end and returns the exit code, 128+n after a signal. The log is complete then.
    ///
    /// # Panics
    /// It does not end in time.
    pub fn exit_code(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let status = self.poll("the end", |node| node.child.try_wait().ok().flatten());
        self.reader.take().map(JoinHandle::join);
        status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(-1)
    }

    fn poll<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        eventually(|| look(self))
            .unwrap_or_else(|| panic!("waited in vain for {what}; its log:\n{}", self.log()))
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.kill();
    }
}
