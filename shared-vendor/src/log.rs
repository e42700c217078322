//! Logs on stderr (and in a file, if asked), in UTC: text for people, JSON for machines, priorities under journald.
//! One layer does formatting, escaping and suppression of repeated warnings.

mod format;

use std::{
    collections::{HashMap, VecDeque},
    error::Error,
    fmt::{self, Debug, Display},
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tracing::{Event, Level, Subscriber, span};
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    reload,
};

use crate::{
    clock::{Clock, SystemClock, Time},
    exit::{self, Report},
};
use format::{Fields, Line, Style};

/// How often the same warning is written.
const REPEAT: Duration = Duration::from_secs(60);

/// Different warnings remembered for suppression.
const REMEMBERED: usize = 1024;

/// Bytes of the newest lines that are kept in memory.
const RECENT: usize = 256 << 10;

/// How to log.
#[derive(Clone, Debug)]
pub struct LogConfig<'a> {
    /// `info`, or `info,sync=debug`.
    pub level: &'a str,
    /// `text`, `json` or `auto` (JSON unless stderr is a terminal or journald).
    pub format: &'a str,
    /// A file that gets every line too.
    pub file: Option<&'a Path>,
    /// Name of the daemon's crate, left out of targets: `rustock::sync` is written as `sync`.
    pub crate_name: &'static str,
}

/// Changes logging at run time. Clones are the same log.
#[derive(Clone, Debug)]
pub struct LogHandle {
    filter: Option<reload::Handle<Targets, Registry>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    style: Style,
    crate_name: &'static str,
    path: Option<PathBuf>,
    file: Mutex<Option<File>>,
    clock: SystemClock,
    repeated: Mutex<HashMap<String, (Time, u64)>>,
    counts: [AtomicU64; 5],
    recent: Recent,
}

/// The newest lines of the log. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<VecDeque<u8>>>);

impl Recent {
    fn push(&self, line: &str) {
        let mut bytes = self.0.lock();
        bytes.extend(line.as_bytes());
        if bytes.len() > RECENT {
            let least = bytes.len() - RECENT;
            let line_end = bytes.range(least..).position(|byte| *byte == b'\n').map_or(RECENT, |end| end + 1);
            bytes.drain(..least + line_end);
        }
    }

    /// The lines, oldest first.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.0.lock().make_contiguous()).into_owned()
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// A level that is not understood, a file that cannot be opened, or logging was started before.
pub fn init(config: &LogConfig<'_>) -> Result<LogHandle, Report> {
    let style = match config.format {
        "text" => Style::Text { colour: false },
        "json" => Style::Json,
        _ if under_journald() => Style::Journal,
        _ if io::stderr().is_terminal() => Style::Text { colour: std::env::var_os("NO_COLOR").is_none() },
        _ => Style::Json,
    };
    let (filter, handle) = reload::Layer::new(targets(config.level, config.crate_name)?);
    let shared = Arc::new(Shared {
        style,
        crate_name: config.crate_name,
        path: config.file.map(Path::to_path_buf),
        file: Mutex::default(),
        clock: SystemClock::default(),
        repeated: Mutex::default(),
        counts: Default::default(),
        recent: Recent::default(),
    });
    let log = LogHandle { filter: Some(handle), shared: Arc::clone(&shared) };
    log.reopen()?;
    let subscriber = tracing_subscriber::registry().with(filter).with(Sink(shared));
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|err| Report::new(exit::UNEXPECTED, "logging was started twice").because(&err))?;
    Ok(log)
}

impl LogHandle {
    /// Changes the level: `debug`, or `info,sync=trace`.
    ///
    /// # Errors
    /// The text is not a level.
    pub fn set_level(&self, level: &str) -> Result<(), Report> {
        let targets = targets(level, self.shared.crate_name)?;
        if let Some(filter) = &self.filter {
            filter
                .reload(targets)
                .map_err(|err| Report::new(exit::UNEXPECTED, "cannot change the log level").because(&err))?;
        }
        Ok(())
    }

    /// Opens the log file anew, after logrotate has moved it.
    ///
    /// # Errors
    /// The file cannot be opened; the old one stays in use.
    pub fn reopen(&self) -> Result<(), Report> {
        let Some(path) = &self.shared.path else { return Ok(()) };
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(|err| {
            Report::new(exit::BAD_VALUE, "cannot open the log file")
                .at(path.display().to_string())
                .because(&err)
        })?;
        *self.shared.file.lock() = Some(file);
        Ok(())
    }

    /// The newest lines that were written.
    #[must_use]
    pub fn recent(&self) -> Recent {
        self.shared.recent.clone()
    }

    /// Lines written so far per level, suppressed ones included: error, warn, info, debug, trace.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 5] {
        let names = ["error", "warn", "info", "debug", "trace"];
        std::array::from_fn(|i| (names[i], self.shared.counts[i].load(Ordering::Relaxed)))
    }
}

fn targets(text: &str, crate_name: &str) -> Result<Targets, Report> {
    let wrong = || {
        Report::new(exit::BAD_VALUE, format!("`{text}` is not a log level"))
            .at("log.level")
            .advice("use error, warn, info, debug or trace, or a list such as info,sync=debug")
    };
    let mut targets = Targets::new().with_default(LevelFilter::INFO);
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (target, level) = part.split_once('=').unwrap_or(("", part));
        let level: LevelFilter = level.parse().map_err(|_| wrong())?;
        targets = match target {
            "" => targets.with_default(level),
            name => targets.with_target(format!("{crate_name}::{name}"), level).with_target(name, level),
        };
    }
    Ok(targets)
}

/// Whether stderr is journald's socket: the variable names its device and inode.
fn under_journald() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|meta| stream == format!("{}:{}", meta.dev(), meta.ino()))
}

struct Sink(Arc<Shared>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Sink {
    fn on_new_span(&self, attrs: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        attrs.record(&mut fields);
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in ctx.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.extend(outer);
            }
        }
        self.0.log(*event.metadata().level(), event.metadata().target(), fields);
    }
}

impl Shared {
    fn log(&self, level: Level, target: &str, mut fields: Fields) {
        let index = match level {
            Level::ERROR => 0,
            Level::WARN => 1,
            Level::INFO => 2,
            Level::DEBUG => 3,
            Level::TRACE => 4,
        };
        self.counts[index].fetch_add(1, Ordering::Relaxed);
        let target = [self.crate_name, "shared_vendor"]
            .iter()
            .find_map(|name| target.strip_prefix(name)?.strip_prefix("::"))
            .unwrap_or(target);
        if level == Level::WARN {
            match self.suppress(&format!("{target} {}", fields.message), self.clock.now()) {
                None => return,
                Some(0) => {}
                Some(count) => fields.push("suppressed", count.to_string(), true),
            }
        }
        let line = Line { time: self.clock.wall(), level, target, fields: &fields };
        let _ = io::stderr().lock().write_all(line.render(self.style).as_bytes());
        let style = if self.style == Style::Json { Style::Json } else { Style::Text { colour: false } };
        let plain = line.render(style);
        if let Some(file) = &mut *self.file.lock() {
            let _ = file.write_all(plain.as_bytes());
        }
        self.recent.push(&plain);
    }

    /// How many equal warnings were held back since the last one written, or nothing when this one is held back too.
    fn suppress(&self, key: &str, now: Time) -> Option<u64> {
        let mut repeated = self.repeated.lock();
        if let Some((last, count)) = repeated.get_mut(key) {
            if now.since(*last) < REPEAT {
                *count += 1;
                return None;
            }
            *last = now;
            return Some(std::mem::take(count));
        }
        if repeated.len() >= REMEMBERED {
            repeated.retain(|_, (last, _)| now.since(*last) < REPEAT);
            if repeated.len() >= REMEMBERED {
                repeated.clear();
            }
        }
        repeated.insert(key.to_owned(), (now, 0));
        Some(0)
    }
}

/// An error with all its causes: `outer: middle: root`.
#[derive(Clone, Copy)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// A value that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, where it is used.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Shared {
        Shared {
            style: Style::Json,
            crate_name: "demo",
            path: None,
            file: Mutex::default(),
            clock: SystemClock::default(),
            repeated: Mutex::default(),
            counts: Default::default(),
            recent: Recent::default(),
        }
    }

    #[test]
    fn the_newest_lines_are_kept_whole() {
        let recent = Recent::default();
        for i in 0..40_000 {
            recent.push(&format!("line {i}\n"));
        }
        let text = recent.text();
        assert!(text.len() <= RECENT && text.len() > RECENT - 20, "{}", text.len());
        assert!(text.starts_with("line ") && text.ends_with("\nline 39999\n"));
    }

    #[test]
    fn the_same_warning_is_written_once_a_minute_with_a_count() {
        let shared = shared();
        let at = |secs: u64| Time::from_millis(secs * 1000);
        assert_eq!(shared.suppress("a", at(0)), Some(0));
        assert_eq!(shared.suppress("b", at(1)), Some(0));
        assert_eq!(shared.suppress("a", at(1)), None);
        assert_eq!(shared.suppress("a", at(59)), None);
        assert_eq!(shared.suppress("a", at(61)), Some(2));
        assert_eq!(shared.suppress("a", at(62)), None);
        for i in 0..2 * REMEMBERED {
            shared.suppress(&i.to_string(), at(70));
        }
        assert!(shared.repeated.lock().len() <= REMEMBERED);
    }

    #[test]
    fn levels_are_for_all_or_for_a_target() {
        let targets = targets("warn,sync=debug", "demo").unwrap();
        assert!(targets.would_enable("demo::sync::headers", &Level::DEBUG));
        assert!(!targets.would_enable("demo::rpc", &Level::INFO));
        assert!(super::targets("loud", "demo").is_err());
    }

    #[test]
    fn a_secret_prints_nothing_and_a_chain_prints_all() {
        assert_eq!(format!("{:?}", Secret::new("key")), "***");
        let err = io::Error::other(Report::new(exit::UNEXPECTED, "inner"));
        assert_eq!(Chain(&err).to_string(), "inner");
    }
}
