//! The command line that all daemons share: global settings as flags, the verbs that are equal in all five, and their
//! help, completions and man pages. What a verb of a chain does is the daemon's own business.

mod bundle;
mod console;
pub mod doctor;
mod remote;
mod view;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, Subcommand, error::ErrorKind};
use clap_complete::Shell;

pub use bundle::Bundle;
pub use console::Console;
pub use remote::{Node, method_help, methods, page, rpc, status};

use crate::{
    config::{Entry, Key, Listen, Literal, Origin},
    exit::{self, Report},
    settings,
};

settings! {
    /// The settings that every daemon has.
    pub struct Common {
        /// Network to join.
        network: String = ["network"],
        /// Where data is kept, in a folder per network.
        data_dir: PathBuf = ["data-dir"],
        /// Adds N*100 to each port and -N to the data directory, for several nodes on one machine (0 to 99).
        instance: u16 = ["instance", "0"],
        /// Defaults for small, usual or large machines: low, default or high.
        profile: Profile = ["profile", "default"],
        /// Only warnings and errors are logged.
        quiet: bool = ["quiet", "false"],
        /// error, warn, info, debug or trace; or a list such as info,sync=debug.
        log_level: String = ["log.level", "info"],
        /// text, json, or auto: text on a terminal and under journald, else JSON.
        log_format: LogFormat = ["log.format", "auto"],
        /// File that gets every log line too; HUP opens it anew.
        log_file: Option<PathBuf> = ["log.file"],
        /// Address of the operations server: health, metrics, status page.
        ops_addr: Listen = ["ops.addr"],
        /// Address of the RPC server.
        rpc_addr: Listen = ["rpc.addr"],
        /// Address for peers.
        p2p_addr: Listen = ["p2p.addr"],
        /// Most peers at one time.
        peers_max: usize = ["peers.max", "50"],
    }
}

/// Declares an enum of words that is a [`Setting`](crate::config::Setting).
///
/// ```
/// shared_vendor::choice! {
///     /// How much history is kept.
///     pub enum History("all or recent") { All = "all", Recent = "recent" }
/// }
/// # fn main() { use shared_vendor::config::Setting; assert!(History::parse(&["some".into()]).is_err()); }
/// ```
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* $vis:vis enum $name:ident($expected:literal) { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $(#[doc = concat!("`", $word, "`")] $variant),+ }

        impl $name {
            /// The word that is typed.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl $crate::config::Setting for $name {
            const KIND: $crate::config::Kind = $crate::config::Kind::text($expected);

            fn parse(texts: &[String]) -> Result<Self, String> {
                match texts {
                    $([word] if word == $word => Ok(Self::$variant),)+
                    _ => Err($expected.to_owned()),
                }
            }
        }
    };
}

choice! {
    /// Defaults for the size of the machine.
    pub enum Profile("low, default or high") { Low = "low", Default = "default", High = "high" }
}

choice! {
    /// How log lines are written.
    pub enum LogFormat("text, json or auto") { Text = "text", Json = "json", Auto = "auto" }
}

/// The verbs equal in all daemons.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Run in the foreground (also without any command)
    #[command(alias = "start")]
    Run,
    /// Show, check or print configuration
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Ask the running node how it is
    Status {
        /// Print the node's status document
        #[arg(long)]
        json: bool,
        /// Exit 0 if the node is that, else 1
        #[arg(long, value_name = "WHAT", value_parser = ["live", "ready", "synced"])]
        check: Option<String>,
        /// Ask again every two seconds until interrupted
        #[arg(long)]
        watch: bool,
    },
    /// Call a method of the running node
    #[command(disable_help_flag = true)]
    Rpc {
        /// Method name
        #[arg(required_unless_present_any = ["list", "help"])]
        method: Option<String>,
        /// Parameters: JSON; bare words become strings
        #[arg(allow_negative_numbers = true)]
        params: Vec<String>,
        /// Print the whole reply as received
        #[arg(long)]
        raw: bool,
        /// Where the node is, instead of its configured address
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// List the methods
        #[arg(long)]
        list: bool,
        /// Print help, with a method the help on that method
        #[arg(short, long)]
        help: bool,
    },
    /// Call methods of the running node, line by line
    Console {
        /// Where the node is, instead of its configured address
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Check disk, memory, clock, ports and permissions before a start
    Doctor,
    /// Pack what helps to find a fault, without secrets
    SupportBundle {
        /// File to write, `-` for stdout [default: NAME-support-TIME.tar.gz]
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Leave the addresses of peers in
        #[arg(long)]
        with_addresses: bool,
    },
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, or write all of them
    Man {
        /// Directory for all pages
        #[arg(short, long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Print the OpenRPC document
    Openrpc,
    /// Print version and build
    Version {
        /// As one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Explain a command, an error code (help E0401), or all codes (help errors)
    Help {
        /// Command, error code, or `errors`
        topic: Vec<String>,
    },
}

/// `config ...`.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print the effective values
    Show {
        /// With the source of each value
        #[arg(long)]
        origin: bool,
        /// As one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Validate the configuration without opening anything
    Check {
        /// File to check instead of the configured one
        file: Option<PathBuf>,
    },
    /// Print a commented file with every key
    Default,
}

/// A command line, understood.
#[derive(Debug)]
pub struct Parsed<C> {
    /// The settings given as flags.
    pub flags: Vec<Entry>,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--config-format`.
    pub config_format: Option<String>,
    /// What to do.
    pub action: Action<C>,
}

/// What to do.
#[derive(Debug)]
pub enum Action<C> {
    /// A verb of the frame.
    Shared(Verb),
    /// A verb of the daemon.
    Own(C),
}

/// The parser: the frame's verbs, the daemon's, and every key as a flag.
#[must_use]
pub fn command<C: Subcommand>(
    name: &'static str,
    version: &'static str,
    about: &'static str,
    prefix: &str,
    keys: &[Key],
) -> Command {
    let settings = "Settings (also in the file and the environment)";
    let mut command = Command::new(name)
        .version(version)
        .after_long_help(format!(
            "Examples:\n  {name}                              run with the defaults\n  {name} --network NAME --instance 1  \
             a second node beside it\n  {name} config show --origin         every setting and its source\n  \
             {name} status --watch               follow the running node\n  {name} help E0201                   explain an error\n"
        ))
        .term_width(80)
        .max_term_width(80)
        .disable_help_subcommand(true)
        .infer_long_args(false)
        .arg(flag("config", "Configuration file (TOML or a native format)").value_name("FILE"))
        .arg(flag("config-format", "Format of the file, where its name does not tell").value_name("NAME"))
        .arg(flag("verbose", "Print all causes of an error").short('v').action(ArgAction::SetTrue));
    for key in keys {
        let first = key.help.first().map(|line| line.trim().trim_end_matches('.')).unwrap_or_default();
        let id = leak(key.flag());
        let default = key.default.map(|text| format!("\n[default: {text}]")).unwrap_or_default();
        let long = key.help.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n");
        let arg = flag(id, first)
            .help_heading(settings)
            .long_help(format!("{long}{default}\n[env: {}]", key.env(prefix)));
        command = match key.kind.literal {
            Literal::Boolean => {
                let arg =
                    arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("BOOL");
                command.arg(arg).arg(flag(leak(format!("no-{id}")), "").hide(true).action(ArgAction::SetTrue))
            }
            _ if key.kind.list => command.arg(arg.action(ArgAction::Append).value_name("VALUE,...")),
            _ => command.arg(arg.value_name("VALUE")),
        };
    }
    // The enums' own descriptions would replace the daemon's.
    C::augment_subcommands(Verb::augment_subcommands(command)).about(about)
}

fn flag(name: &'static str, help: &str) -> Arg {
    Arg::new(name).long(name).help(help.to_owned()).global(true)
}

/// Flag names are made from keys once per process and live as long as it.
fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// Understands a command line.
///
/// # Errors
/// `Ok(Err(text))` is help or version, to be printed. A report is a usage error.
pub fn parse<C: Subcommand>(
    command: Command,
    keys: &[Key],
    args: Vec<OsString>,
) -> Result<Result<Parsed<C>, String>, Report> {
    let matches = match command.try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(err) if matches!(err.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Ok(Err(err.render().to_string()));
        }
        Err(err) => return Err(usage(&err)),
    };
    let action = match matches.subcommand() {
        None => Action::Shared(Verb::Run),
        Some((name, _)) if Verb::has_subcommand(name) => {
            Action::Shared(Verb::from_arg_matches(&matches).map_err(|err| usage(&err))?)
        }
        Some(_) => Action::Own(C::from_arg_matches(&matches).map_err(|err| usage(&err))?),
    };
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    Ok(Ok(Parsed {
        flags: keys.iter().flat_map(|key| entries(key, &matches)).collect(),
        config: text("config").map(PathBuf::from),
        config_format: text("config-format"),
        action,
    }))
}

fn entries(key: &Key, matches: &ArgMatches) -> Vec<Entry> {
    let name = key.flag();
    let given = matches.get_many::<String>(&name).into_iter().flatten();
    let origin = |name: &str| Origin::Flag(format!("--{name}"));
    let mut entries: Vec<_> = given.map(|text| Entry::plain(key.name, text, origin(&name))).collect();
    let negated = format!("no-{name}");
    if key.kind.literal == Literal::Boolean && matches.get_flag(&negated) {
        entries.push(Entry::plain(key.name, "false", origin(&negated)));
    }
    entries
}

/// clap's message in our form: what is wrong, and its suggestion as advice.
fn usage(err: &clap::Error) -> Report {
    let text = err.render().to_string();
    let mut what = Vec::new();
    let mut advice = None;
    for line in text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")) {
        match line.strip_prefix("tip: ") {
            Some(tip) => {
                advice = advice
                    .or_else(|| tip.rsplit_once(": ").map(|(_, names)| format!("did you mean {names}?")))
            }
            None if line.is_empty() || line.starts_with("For more information") => {}
            None => what.push(line.strip_prefix("error: ").unwrap_or(line)),
        }
    }
    Report::new(exit::BAD_USAGE, what.join(" ")).advice(advice.unwrap_or_else(|| "see --help".to_owned()))
}

/// What `version` prints.
#[must_use]
pub fn version(name: &str, version: &str, json: bool) -> String {
    let (commit, rustc) = build();
    match json {
        true => format!(
            "{}\n",
            serde_json::json!({ "name": name, "version": version, "commit": commit, "rustc": rustc })
        ),
        false => format!("{name} {version} (commit {commit}, rustc {rustc})\n"),
    }
}

/// Commit and compiler, as far as the build was told (`BUILD_COMMIT`, `BUILD_RUSTC`).
#[must_use]
pub fn build() -> (&'static str, &'static str) {
    (option_env!("BUILD_COMMIT").unwrap_or("unknown"), option_env!("BUILD_RUSTC").unwrap_or("unknown"))
}

/// The completions of a shell.
#[must_use]
pub fn completions(mut command: Command, shell: Shell) -> String {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The manual page of the daemon; with a directory, every page is written there and their number is the text.
///
/// # Errors
/// The directory cannot be written.
pub fn man(command: Command, out: Option<&Path>) -> Result<String, Report> {
    let failed = |err: io::Error| {
        let place = out.unwrap_or_else(|| Path::new("-"));
        crate::datadir::io_error("cannot write manual pages to", place, &err)
    };
    if let Some(dir) = out {
        std::fs::create_dir_all(dir).map_err(failed)?;
        clap_mangen::generate_to(command, dir).map_err(failed)?;
        return Ok(String::new());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// The long help of a command path, or nothing if there is no such command.
#[must_use]
pub fn help(mut command: Command, topic: &[String]) -> Option<String> {
    command.build();
    let found = topic.iter().try_fold(&mut command, |at, name| at.find_subcommand_mut(name))?;
    Some(found.render_long_help().to_string())
}

/// Writes a result to stdout. A closed pipe is the reader's choice, not an error.
///
/// # Errors
/// Any other I/O error.
pub fn print(text: &str) -> Result<(), Report> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(err) if err.kind() != io::ErrorKind::BrokenPipe => {
            Err(Report::new(exit::IO_ERROR, "cannot write to stdout").because(&err))
        }
        _ => Ok(()),
    }
}
