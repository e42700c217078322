//! Exit codes, stable error codes, and the one form in which a fatal error is printed. It is not the error type of
//! libraries: those have their own enums, and become a [`Report`] where an operator must be told what to do.

use std::{
    error::Error,
    fmt::{self, Display, Write as _},
    process::ExitCode,
};

/// Exit codes of every daemon (sysexits where one fits). The service unit names those that forbid a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Clean stop; help; version.
    Clean = 0,
    /// Failed for a reason without a code of its own, or `--check` is not met.
    Failed = 1,
    /// Bad command line.
    Usage = 2,
    /// Data is damaged and cannot be repaired automatically.
    Damaged = 65,
    /// An input file named by the user is missing or unreadable.
    NoInput = 66,
    /// A port is in use, or a required service is unreachable.
    Unavailable = 69,
    /// Internal error: a panic.
    Internal = 70,
    /// The data directory cannot be created or written.
    CannotCreate = 73,
    /// I/O error or full disk.
    Io = 74,
    /// The data directory is locked by another process.
    Locked = 75,
    /// Data belongs to another network, program or newer format.
    Foreign = 76,
    /// Unsafe permissions on a secret, or not permitted.
    Permission = 77,
    /// Configuration error.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// One stable error code: what it means and what an operator does about it. `help E0401` prints it.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// `E` and four digits; the first two are the class: 01 command line and configuration, 02 data directory,
    /// 03 store, 04 disk, 05 network, 06 consensus data, 07 RPC, 08 keys, 09 internal.
    pub id: &'static str,
    /// How a process ends that fails with it.
    pub exit: Exit,
    /// One line.
    pub title: &'static str,
    /// A paragraph: cause and cure.
    pub text: &'static str,
}

macro_rules! codes {
    ($($name:ident $id:literal $exit:ident $title:literal $text:literal;)*) => {
        $(#[doc = $title] pub const $name: Code =
            Code { id: $id, exit: Exit::$exit, title: $title, text: $text };)*
        /// Codes of the frame; a daemon adds its own through `Daemon::CODES`.
        pub const CODES: &[Code] = &[$($name),*];
    };
}

codes! {
    BAD_USAGE "E0101" Usage "the command line is not understood"
        "An option, a value or a command is unknown. The message names the nearest one; `--help` lists all.";
    UNKNOWN_KEY "E0102" Config "a configuration key is unknown"
        "Nothing was opened. The message names the source and line and the nearest known key; `config default` prints every key.";
    BAD_VALUE "E0103" Config "a configuration value is wrong"
        "The value does not have the type or range of its key. The message names where it was set; `config show --origin` shows the rest.";
    DUPLICATE_KEY "E0104" Config "a configuration key is given twice"
        "Only one of the two can be meant: remove the other.";
    UNKNOWN_ENV "E0105" Config "an environment variable with our prefix is unknown"
        "A misspelt variable would be ignored silently otherwise. Rename or unset it.";
    CONFIG_FILE "E0106" Config "the configuration file is missing or cannot be read"
        "A file named with --config must exist. The default places may be empty.";
    CONFIG_SYNTAX "E0107" Config "the configuration file has a syntax error"
        "The message names the line. `config check FILE` validates without starting.";
    NO_INPUT "E0108" NoInput "an input file is missing or cannot be read"
        "A file named on the command line does not exist, or this user may not read it.";
    FEW_FILES "E0109" Config "too few open files are allowed"
        "Stores, peers and clients each need file descriptors. Raise the limit: `ulimit -n 65536`, or LimitNOFILE in the unit.";
    DATA_LOCKED "E0201" Locked "the data directory is in use by another process"
        "Two processes must never share one data directory. Stop the other one (its pid is in the message), or use --instance N or --data-dir.";
    DATA_FOREIGN "E0202" Foreign "the data directory belongs to another network, program or newer format"
        "Nothing was written. Use another --data-dir, the right --network, or the newer program.";
    DATA_CREATE "E0203" CannotCreate "the data directory cannot be created or written"
        "Check that the path is a directory, that this user owns it, and that the file system is not read-only.";
    UNSAFE_PERMISSIONS "E0204" Permission "a secret file can be read by others"
        "Keys and cookies must belong to this user alone: `chmod 600` the file, and replace a symbolic link by the file.";
    DATA_DAMAGED "E0205" Damaged "a small file of the data directory is damaged"
        "The message names the file. If VERSION.json is lost, move keys/ away, remove the rest and sync again.";
    DISK_FULL "E0401" Io "the disk that holds the data directory is full"
        "Free space, or remove the file `reserve` in the data directory to win 64 MiB, then start again. Nothing that was acknowledged is lost.";
    IO_ERROR "E0402" Io "reading or writing a file failed"
        "The disk, the file system or the permissions are at fault. See the kernel log before starting again.";
    PORT_IN_USE "E0501" Unavailable "a port is in use"
        "Another process listens on the address. Stop it, change the setting named in the message, or use --instance N.";
    NOT_REACHABLE "E0502" Unavailable "the running node does not answer"
        "The node is not running, or its address is another one: see --ops-addr, --rpc-addr and --url.";
    BIND_DENIED "E0503" Permission "listening on a port is not permitted"
        "Ports below 1024 need a privilege that this program should not have. Choose a port above.";
    RPC_FAILED "E0701" Failed "the node answered with an error"
        "The call reached the node, which refused it. Code and text are the node's own.";
    PANIC "E0901" Internal "an internal error stopped the process"
        "This is a defect. All data written before is safe; the service manager starts the node again. Please report the id and the lines of the log before it.";
    UNEXPECTED "E0902" Failed "the operation failed"
        "The message holds the chain of causes; -v prints all of them.";
    NOT_BUILT "E0903" Failed "this part does not exist yet"
        "The program is honest about what it cannot do. See its README for what exists.";
}

/// A fatal error as the operator sees it.
#[derive(Clone, Debug)]
pub struct Report(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    what: String,
    place: Option<String>,
    state: Option<String>,
    advice: Option<String>,
    causes: Vec<String>,
}

impl Report {
    /// `what` went wrong, in the operator's words.
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            what: what.into(),
            place: None,
            state: None,
            advice: None,
            causes: Vec::new(),
        }))
    }

    /// Where it happened: a file and line, a path, an address.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.0.place = Some(place.into());
        self
    }

    /// What is safe and what is not.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.0.state = Some(state.into());
        self
    }

    /// What to do now.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// The error behind it with all its sources, outermost first.
    #[must_use]
    pub fn because(mut self, cause: &(dyn Error + 'static)) -> Self {
        let mut next = Some(cause);
        while let Some(err) = next {
            self.0.causes.push(plain(err));
            next = err.source();
        }
        self
    }

    /// How the process ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.0.code.exit
    }

    /// The stable code, `E0401`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code.id
    }

    /// The text printed on stderr. `verbose` shows the whole chain of causes instead of the root one.
    #[must_use]
    pub fn render(&self, daemon: &str, verbose: bool) -> String {
        let inner = &*self.0;
        let mut text = format!("error[{}]: {}", inner.code.id, escape(&inner.what));
        let shown = if verbose {
            &inner.causes[..]
        } else {
            inner.causes.last().map_or(&[][..], std::slice::from_ref)
        };
        for cause in shown {
            let _ = write!(text, ": {}", escape(cause));
        }
        for (label, value) in [("where: ", &inner.place), ("state: ", &inner.state)] {
            if let Some(value) = value {
                let _ = write!(text, "\n  {label}{}", escape(value));
            }
        }
        let see = format!("see `{daemon} help {}`", inner.code.id);
        let advice =
            inner.advice.as_ref().map_or_else(|| see.clone(), |advice| format!("{}; {see}", escape(advice)));
        let _ = write!(text, "\n  do:    {advice}");
        text
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.what)?;
        self.0.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl Error for Report {}

/// Any other error: exit 1 unless it is, or was caused by, a report or a full disk.
impl From<Box<dyn Error + Send + Sync>> for Report {
    fn from(err: Box<dyn Error + Send + Sync>) -> Self {
        let err = match err.downcast::<Self>() {
            Ok(report) => return *report,
            Err(err) => err,
        };
        let mut next: Option<&(dyn Error + 'static)> = Some(&*err);
        while let Some(cause) = next {
            if let Some(report) = cause.downcast_ref::<Self>() {
                return report.clone();
            }
            if let Some(io) = cause.downcast_ref::<std::io::Error>()
                && io.kind() == std::io::ErrorKind::StorageFull
            {
                return Self::new(DISK_FULL, DISK_FULL.title).because(&*err);
            }
            next = cause.source();
        }
        let mut report = Self::new(UNEXPECTED, plain(&*err));
        if let Some(source) = err.source() {
            report = report.because(source);
        }
        report
    }
}

/// Text of `help E0401`, or nothing for an unknown code.
#[must_use]
pub fn explain(id: &str, own: &[Code]) -> Option<String> {
    let code = CODES.iter().chain(own).find(|code| code.id.eq_ignore_ascii_case(id))?;
    Some(format!("{}: {}\n\n{}\n\nExit code: {}\n", code.id, code.title, code.text, code.exit as u8))
}

/// `docs/errors.md` of a daemon: every code with its exit code, title and text.
#[must_use]
pub fn catalogue(daemon: &str, own: &[Code]) -> String {
    let mut codes: Vec<_> = CODES.iter().chain(own).collect();
    codes.sort_by_key(|code| code.id);
    let mut page = format!(
        "# Error codes of {daemon}\n\n| Code | Exit | Meaning | What to do |\n| --- | --- | --- | --- |\n"
    );
    for code in codes {
        let _ = writeln!(page, "| {} | {} | {} | {} |", code.id, code.exit as u8, code.title, code.text);
    }
    page
}

/// Text without control characters, so that a hostile or broken value cannot rewrite a terminal.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    clean
}

/// The error's own text without the operating system's number.
fn plain(err: &dyn Error) -> String {
    let text = err.to_string();
    match text.find(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_four_lines_in_order() {
        let report = Report::new(DISK_FULL, "the disk is full")
            .at("/var/lib/x")
            .state("all blocks up to 7 are safe on disk")
            .advice("free space");
        assert_eq!(
            report.render("demo", false),
            "error[E0401]: the disk is full\n  where: /var/lib/x\n  state: all blocks up to 7 are safe on disk\n  \
             do:    free space; see `demo help E0401`"
        );
    }

    #[test]
    fn the_root_cause_is_last_and_has_no_errno() {
        let io = std::io::Error::from_raw_os_error(28);
        let report = Report::new(IO_ERROR, "cannot write VERSION.json").because(&io);
        assert!(
            report
                .render("demo", false)
                .starts_with("error[E0402]: cannot write VERSION.json: No space left on device\n")
        );
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let report = Report::new(UNEXPECTED, "a\u{1b}[2Jb\n");
        assert!(!report.render("demo", false).lines().next().is_some_and(|line| line.contains('\u{1b}')));
    }

    #[test]
    fn codes_are_unique_and_listed() {
        let mut ids: Vec<_> = CODES.iter().map(|code| code.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), CODES.len());
        assert!(ids.is_sorted());
        assert!(catalogue("demo", &[]).contains("| E0401 | 74 |"));
        assert!(explain("e0401", &[]).is_some_and(|text| text.contains("Exit code: 74")));
    }
}
