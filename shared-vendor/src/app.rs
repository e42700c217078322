//! From `main` to an exit code: parse, layer, log, lock, run, drain. A daemon implements [`Daemon`] and its `main` is
//! one call of [`main`]. Rules of a chain, sockets and stores are the daemon's; this knows only their order.
//!
//! ```no_run
//! use shared_vendor::{app::{self, Context, Daemon, Loaded, NoCommand}, datadir::Identity, exit::Report};
//!
//! shared_vendor::settings! {
//!     /// Configuration of the demo.
//!     pub struct Config {
//!         /// Greeting that is logged.
//!         greeting: String = ["demo.greeting", "hello"],
//!     }
//! }
//!
//! struct Demo;
//!
//! impl Daemon for Demo {
//!     const NAME: &'static str = "demo";
//!     const PREFIX: &'static str = "DEMO";
//!     const METRICS: &'static str = "demo";
//!     const VERSION: &'static str = env!("CARGO_PKG_VERSION");
//!     const ABOUT: &'static str = "A daemon that greets and waits";
//!     const NETWORKS: &'static [&'static str] = &["main", "test"];
//!     type Config = Config;
//!     type Command = NoCommand;
//!
//!     fn defaults(network: &str) -> Vec<(&'static str, String)> {
//!         let port = if network == "main" { 7001 } else { 7101 };
//!         vec![
//!             ("rpc.addr", format!("127.0.0.1:{port}")),
//!             ("p2p.addr", format!("[::]:{}", port + 1)),
//!             ("ops.addr", "127.0.0.1:7009".into()),
//!         ]
//!     }
//!
//!     fn identity(loaded: &Loaded<Self>) -> Result<Identity, Report> {
//!         let network = loaded.common.network.clone();
//!         Ok(Identity { daemon: Self::NAME.into(), network, network_id: 1, genesis: "00".into(), format: 1 })
//!     }
//!
//!     async fn start(ctx: Context<Self>) -> Result<(), Report> {
//!         let listener = ctx.bind("rpc.addr", ctx.common.rpc_addr).await?;
//!         tracing::info!("{}", ctx.config.greeting);
//!         ctx.tasks.spawn("greeter", |stop| async move {
//!             let _open_until_the_end = listener;
//!             stop.wait().await;
//!             Ok(())
//!         });
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     app::main::<Demo>()
//! }
//! ```

mod panics;
mod run;
mod support;
mod watch;

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    net::Ipv4Addr,
    ops::Deref,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use clap::Subcommand;
use rand::TryRng;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::broadcast,
};

use crate::{
    cli::{self, Action, Common, ConfigVerb, Parsed, Verb, doctor},
    clock::{Clock, SystemClock},
    config::{self, Entry, Key, Listen, Origin, Plan, Settings, Source, Values},
    datadir::{DataDir, Identity},
    exit::{self, Code, Exit, Report},
    hex,
    http::Credential,
    log::LogHandle,
    metrics::{self, Registry},
    ops::{Phase, StatusCell},
    signal::{Service, Signal},
    tasks::Tasks,
};

/// The RPC secret of a run, in the data directory.
const COOKIE: &str = ".cookie";

/// What the frame needs to know about a daemon, and what it calls.
pub trait Daemon: Sized + Send + Sync + 'static {
    /// Name of the binary.
    const NAME: &'static str;
    /// Prefix of its environment variables, without the underscore.
    const PREFIX: &'static str;
    /// Prefix of its metrics, without the underscore.
    const METRICS: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// One line for `--help`.
    const ABOUT: &'static str;
    /// Names of its networks; the first is the default.
    const NETWORKS: &'static [&'static str];
    /// Its own error codes, beside the frame's.
    const CODES: &'static [Code] = &[];
    /// Environment variables with its prefix that are not settings.
    const FOREIGN_ENV: &'static [&'static str] = &[];
    /// The method that lists its peers, for `support-bundle`.
    const PEERS: Option<&'static str> = None;
    /// Words of `console` that its users know, and the words they stand for.
    const SHORTHANDS: &'static [(&'static str, &'static str)] = &[];
    /// Its own settings, beside [`Common`].
    type Config: Settings;
    /// Its own verbs, beside the frame's.
    type Command: Subcommand;

    /// Defaults that depend on the network: at least `rpc.addr`, `p2p.addr` and `ops.addr`.
    fn defaults(network: &str) -> Vec<(&'static str, String)>;

    /// Defaults of the profiles `low` and `high`.
    #[must_use]
    fn profile(_profile: &str) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Native configuration formats.
    #[must_use]
    fn sources() -> &'static [&'static dyn Source] {
        &[]
    }

    /// Turns option styles of the chain's users (`-datadir=X`, other names of the binary) into ours.
    #[must_use]
    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        args
    }

    /// Checks settings against each other, for `run` and `config check`.
    ///
    /// # Errors
    /// Exit 78, naming the settings.
    fn validate(_loaded: &Loaded<Self>) -> Result<(), Report> {
        Ok(())
    }

    /// Checks of `doctor` that only this daemon needs.
    #[must_use]
    fn checks(_loaded: &Loaded<Self>) -> Vec<doctor::Check> {
        Vec::new()
    }

    /// Path of its RPC server at which a method is called.
    #[must_use]
    fn rpc_path(_method: &str) -> &'static str {
        "/"
    }

    /// Where its RPC server listens, if settings of its own may say so.
    ///
    /// # Errors
    /// They say something that is no address.
    fn rpc_addr(loaded: &Loaded<Self>) -> Result<Listen, Report> {
        Ok(loaded.common.rpc_addr)
    }

    /// What `db stats` says of a stopped node, for `support-bundle`; nothing where there is no such verb.
    #[must_use]
    fn db_stats(_loaded: &Loaded<Self>) -> Option<Result<String, Report>> {
        None
    }

    /// Its OpenRPC document.
    #[must_use]
    fn openrpc() -> Value {
        json!({ "openrpc": "1.3.2", "info": { "title": Self::NAME, "version": Self::VERSION }, "methods": [] })
    }

    /// Whose data it keeps. `run` asks before it opens anything.
    ///
    /// # Errors
    /// What makes it impossible to say, as a genesis file that is missing.
    fn identity(loaded: &Loaded<Self>) -> Result<Identity, Report>;

    /// Carries out one of its own verbs. Results go to stdout through [`cli::print`].
    ///
    /// # Errors
    /// Whatever ends the process with a code other than 0.
    fn command(command: Self::Command, loaded: &Loaded<Self>) -> Result<(), Report> {
        let _ = (command, loaded);
        Ok(())
    }

    /// Opens what it needs, spawns its tasks, and returns when it serves. It then runs until a signal or a failure.
    fn start(ctx: Context<Self>) -> impl Future<Output = Result<(), Report>> + Send;
}

/// For daemons without verbs of their own.
#[derive(Clone, Copy, Debug)]
pub enum NoCommand {}

impl clap::FromArgMatches for NoCommand {
    fn from_arg_matches(_: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Err(clap::Error::new(clap::error::ErrorKind::InvalidSubcommand))
    }

    fn update_from_arg_matches(&mut self, _: &clap::ArgMatches) -> Result<(), clap::Error> {
        match *self {}
    }
}

impl Subcommand for NoCommand {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        command
    }

    fn has_subcommand(_: &str) -> bool {
        false
    }
}

/// The effective settings, for verbs and for the run.
#[derive(Debug)]
pub struct Loaded<D: Daemon> {
    /// Settings of every daemon.
    pub common: Common,
    /// Settings of this one.
    pub config: D::Config,
    /// All values with their origins.
    pub values: Values,
    /// Time.
    pub clock: Arc<SystemClock>,
}

impl<D: Daemon> Loaded<D> {
    /// The folder of the chosen network.
    #[must_use]
    pub fn network_dir(&self) -> PathBuf {
        self.common.data_dir.join(&self.common.network)
    }

    /// Opens and locks the data directory, for offline verbs. `run` has done it already.
    ///
    /// # Errors
    /// See [`DataDir::open`].
    pub fn open_data(&self) -> Result<DataDir, Report> {
        let program = format!("{} {}", D::NAME, D::VERSION);
        DataDir::open(&self.network_dir(), D::identity(self)?, &program, &*self.clock)
    }
}

/// What a running daemon gets. Clones are the same.
pub struct Context<D: Daemon> {
    loaded: Arc<Loaded<D>>,
    /// Its locked data directory.
    pub data: Arc<DataDir>,
    /// Where its tasks run.
    pub tasks: Tasks,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The log.
    pub log: LogHandle,
    /// What the status page shows: the daemon writes it.
    pub status: StatusCell,
    /// Where its metrics are registered.
    pub registry: Registry,
    /// The metrics that every daemon has.
    pub metrics: metrics::Common,
    /// The OpenRPC document that the operations server shows: [`Daemon::openrpc`].
    pub openrpc: Arc<OnceLock<Value>>,
    /// The service manager.
    pub service: Service,
    signals: broadcast::Sender<Signal>,
}

impl<D: Daemon> Clone for Context<D> {
    fn clone(&self) -> Self {
        Self {
            loaded: Arc::clone(&self.loaded),
            data: Arc::clone(&self.data),
            tasks: self.tasks.clone(),
            clock: Arc::clone(&self.clock),
            log: self.log.clone(),
            status: self.status.clone(),
            registry: self.registry.clone(),
            metrics: self.metrics.clone(),
            openrpc: Arc::clone(&self.openrpc),
            service: self.service,
            signals: self.signals.clone(),
        }
    }
}

impl<D: Daemon> Deref for Context<D> {
    type Target = Loaded<D>;

    fn deref(&self) -> &Loaded<D> {
        &self.loaded
    }
}

impl<D: Daemon> Context<D> {
    /// Says where the daemon is in its life.
    pub fn set_phase(&self, phase: Phase) {
        self.status.update(self.clock.now(), |status| {
            status.phase = phase;
            if phase == Phase::Stopping {
                status.sentence = "Stopping".to_owned();
            }
        });
    }

    /// The last lines before `ready`, in the order that all daemons keep: who we are, where we listen, where we resume.
    /// Addresses are those of the status: the daemon enters `p2p` and `rpc` when it has bound them.
    pub fn announce(&self, node_id: &str, auth: &str, height: u64) {
        let addresses = self.status.read().addresses;
        let of = |name: &str| addresses.get(name).map_or("off", String::as_str);
        tracing::info!(target: "app", id = node_id, p2p = of("p2p"), "node");
        tracing::info!(target: "app", rpc = of("rpc"), ws = addresses.get("ws"), ops = of("ops"), auth, "servers");
        tracing::info!(target: "app", height, "resume");
    }

    /// Makes the RPC secret of this run: written to `.cookie` (0600), where `rpc` finds it, and removed at the stop.
    ///
    /// # Errors
    /// The system has no entropy, or the file cannot be written.
    pub fn cookie(&self) -> Result<Credential, Report> {
        let mut secret = [0; 32];
        rand::rngs::SysRng.try_fill_bytes(&mut secret).map_err(|err| {
            Report::new(exit::UNEXPECTED, "the operating system gives no random numbers").because(&err)
        })?;
        let cookie = format!("__cookie__:{}", hex::encode(secret));
        self.data.write(COOKIE, cookie.as_bytes())?;
        Ok(Credential::Basic(cookie))
    }

    /// Signals that concern the daemon itself: reload, summary, USR2. Stopping comes through the tasks.
    #[must_use]
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    /// Binds a TCP listener for the setting `key`. `[::]` serves IPv4 too; where there is no IPv6, `0.0.0.0` is taken.
    ///
    /// # Errors
    /// The port is in use or not permitted: exit 69 or 77, naming setting and address.
    pub async fn bind(&self, key: &str, addr: Listen) -> Result<TcpListener, Report> {
        match TcpListener::bind(addr.0).await {
            Err(err) if no_ipv6(addr, &err) => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, addr.0.port())).await
            }
            other => other,
        }
        .map_err(|err| bind_error(key, addr, &err))
    }

    /// Binds a UDP socket for the setting `key`, with the rules of [`Self::bind`].
    ///
    /// # Errors
    /// As there.
    pub async fn bind_udp(&self, key: &str, addr: Listen) -> Result<UdpSocket, Report> {
        match UdpSocket::bind(addr.0).await {
            Err(err) if no_ipv6(addr, &err) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, addr.0.port())).await,
            other => other,
        }
        .map_err(|err| bind_error(key, addr, &err))
    }
}

fn no_ipv6(addr: Listen, err: &std::io::Error) -> bool {
    const NO_FAMILY: [i32; 2] = [97, 99]; // EAFNOSUPPORT, EADDRNOTAVAIL
    addr.0.is_ipv6()
        && addr.0.ip().is_unspecified()
        && err.raw_os_error().is_some_and(|code| NO_FAMILY.contains(&code))
}

/// What an operator is told when an address cannot be bound.
#[must_use]
pub fn bind_error(key: &str, addr: Listen, err: &std::io::Error) -> Report {
    match err.kind() {
        std::io::ErrorKind::PermissionDenied => {
            Report::new(exit::BIND_DENIED, format!("not permitted to listen on {addr}"))
        }
        std::io::ErrorKind::AddrInUse => {
            Report::new(exit::PORT_IN_USE, format!("the address {addr} is in use"))
        }
        _ => Report::new(exit::PORT_IN_USE, format!("cannot listen on {addr}")).because(err),
    }
    .at(format!("{key} = {addr}"))
    .state("nothing was changed")
    .advice(format!("stop the process that listens there, or change `{key}`"))
}

/// The whole life of the process.
#[must_use]
pub fn main<D: Daemon>() -> ExitCode {
    panics::install();
    let args: Vec<OsString> = std::env::args_os().collect();
    let verbose = args.iter().any(|arg| arg == "-v" || arg == "--verbose");
    let outcome = std::panic::catch_unwind(|| run_command_line::<D>(D::rewrite(args)));
    match outcome.unwrap_or_else(|panic| Err(panics::report("main", &*panic))) {
        Ok(exit) => exit.into(),
        Err(report) => {
            let text = format!("{}\n", report.render(D::NAME, verbose));
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            report.exit().into()
        }
    }
}

/// The parser of a daemon, for tests of its help and for the release's man pages.
#[must_use]
pub fn parser<D: Daemon>() -> clap::Command {
    cli::command::<D::Command>(D::NAME, D::VERSION, D::ABOUT, D::PREFIX, &keys::<D>())
}

fn keys<D: Daemon>() -> Vec<Key> {
    Common::KEYS.iter().chain(D::Config::KEYS).copied().collect()
}

fn plan<D: Daemon>() -> Plan<'static> {
    Plan {
        daemon: D::NAME,
        prefix: D::PREFIX,
        keys: keys::<D>(),
        networks: D::NETWORKS,
        network_defaults: |network| {
            let mut defaults = D::defaults(network);
            if !defaults.iter().any(|(key, _)| *key == "data-dir") {
                defaults.push(("data-dir", default_data_dir(D::NAME)));
            }
            defaults
        },
        profile: D::profile,
        sources: D::sources(),
        foreign_env: D::FOREIGN_ENV,
    }
}

fn default_data_dir(daemon: &str) -> String {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = var("XDG_DATA_HOME").or_else(|| Some(var("HOME")?.join(".local/share")));
    base.unwrap_or_else(|| PathBuf::from("/var/lib")).join(daemon).display().to_string()
}

fn load<D: Daemon>(
    flags: Vec<Entry>,
    file: Option<&Path>,
    format: Option<&str>,
) -> Result<Loaded<D>, Report> {
    let env: Vec<_> = std::env::vars_os().collect();
    let values = config::load(&plan::<D>(), flags, file, format, &env)?;
    let loaded = Loaded {
        common: Common::from_values(&values)?,
        config: D::Config::from_values(&values)?,
        values,
        clock: Arc::default(),
    };
    D::validate(&loaded)?;
    Ok(loaded)
}

/// The RPC server of the running node, or of the one at `url`.
fn rpc_node<D: Daemon>(loaded: &Loaded<D>, url: Option<String>) -> Result<cli::Node, Report> {
    let addr = D::rpc_addr(loaded)?;
    Ok(cli::Node::new(addr, D::rpc_path, url, loaded.network_dir().join(COOKIE)))
}

fn run_command_line<D: Daemon>(args: Vec<OsString>) -> Result<Exit, Report> {
    let keys = keys::<D>();
    let parsed: Parsed<D::Command> = match cli::parse(parser::<D>(), &keys, args)? {
        Ok(parsed) => parsed,
        Err(help) => return cli::print(&help).map(|()| Exit::Clean),
    };
    let Parsed { flags, config, config_format, action } = parsed;
    let load = |flags, file: Option<PathBuf>| load::<D>(flags, file.as_deref(), config_format.as_deref());
    let text = match action {
        Action::Own(command) => {
            D::command(command, &load(flags, config)?)?;
            return Ok(Exit::Clean);
        }
        Action::Shared(verb) => match verb {
            Verb::Run => {
                let reload = (flags.clone(), config.clone(), config_format.clone());
                return run::run(load(flags, config)?, &|| {
                    self::load::<D>(reload.0.clone(), reload.1.as_deref(), reload.2.as_deref())
                });
            }
            Verb::Config(ConfigVerb::Show { json: true, .. }) => {
                format!("{:#}\n", config::show_json(&load(flags, config)?.values))
            }
            Verb::Config(ConfigVerb::Show { origin, .. }) => {
                config::show(&load(flags, config)?.values, origin)
            }
            Verb::Config(ConfigVerb::Check { file }) => {
                let loaded = load(flags, file.or(config))?;
                let files: Vec<_> =
                    loaded.values.files.iter().map(|file| file.display().to_string()).collect();
                let warnings: String =
                    loaded.values.warnings.iter().map(|text| format!("warning: {text}\n")).collect();
                format!(
                    "{warnings}configuration is valid ({})\n",
                    if files.is_empty() { "no file".into() } else { files.join(", ") }
                )
            }
            Verb::Config(ConfigVerb::Default) => {
                let network = D::NETWORKS.first().copied().unwrap_or_default();
                let mut values = Values::new(keys);
                let pairs = (plan::<D>().network_defaults)(network);
                let layer = pairs.into_iter().chain([("network", network.to_owned())]);
                values.apply(layer.map(|(key, text)| Entry::plain(key, text, Origin::Default)).collect())?;
                config::default_file(D::NAME, D::PREFIX, &values)
            }
            Verb::Status { json, check, watch } => {
                let common = load(flags, config)?.common;
                loop {
                    let (text, met) = cli::status(common.ops_addr, json, check.as_deref())?;
                    // Home and clear: the view is drawn in place, where there is a screen.
                    let clear = if watch && io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
                    cli::print(&format!("{clear}{text}"))?;
                    if !watch {
                        return Ok(if met { Exit::Clean } else { Exit::Failed });
                    }
                    std::thread::sleep(std::time::Duration::from_secs(2));
                }
            }
            Verb::Rpc { list: true, .. } => cli::methods(&D::openrpc()),
            Verb::Rpc { help: true, method: None, .. } => {
                cli::help(parser::<D>(), &["rpc".to_owned()]).unwrap_or_default()
            }
            Verb::Rpc { help: true, method: Some(method), .. } => cli::method_help(&D::openrpc(), &method)
                .ok_or_else(|| {
                    Report::new(exit::BAD_USAGE, format!("no method is called `{method}`"))
                        .advice(format!("`{} rpc --list` names them all", D::NAME))
                })?,
            Verb::Rpc { method, params, raw, url, .. } => {
                let node = rpc_node(&load(flags, config)?, url)?;
                cli::rpc(&node, &method.unwrap_or_default(), &params, raw)?
            }
            Verb::Console { url } => {
                let loaded = load(flags, config)?;
                let console = cli::Console {
                    name: D::NAME,
                    node: rpc_node(&loaded, url)?,
                    ops: loaded.common.ops_addr,
                    document: D::openrpc(),
                    shorthands: D::SHORTHANDS,
                };
                return Ok(if console.run()? { Exit::Clean } else { Exit::Failed });
            }
            Verb::SupportBundle { out, with_addresses } => {
                support::write(&load(flags, config)?, out, with_addresses)?
            }
            Verb::Doctor => {
                let loaded = load(flags, config)?;
                let mut checks = doctor::checks(&loaded.common, &*loaded.clock);
                checks.extend(D::checks(&loaded));
                let (text, well) = doctor::render(&checks);
                cli::print(&text)?;
                return Ok(if well { Exit::Clean } else { Exit::Failed });
            }
            Verb::Completions { shell } => cli::completions(parser::<D>(), shell),
            Verb::Man { out } => cli::man(parser::<D>(), out.as_deref())?,
            Verb::Openrpc => format!("{:#}\n", D::openrpc()),
            Verb::Version { json } => cli::version(D::NAME, D::VERSION, json),
            Verb::Help { topic } => topic
                .first()
                .and_then(|id| {
                    if id == "errors" {
                        Some(exit::catalogue(D::NAME, D::CODES))
                    } else {
                        exit::explain(id, D::CODES)
                    }
                })
                .or_else(|| cli::help(parser::<D>(), &topic))
                .ok_or_else(|| {
                    Report::new(exit::BAD_USAGE, format!("there is no help on `{}`", topic.join(" ")))
                })?,
        },
    };
    cli::print(&text).map(|()| Exit::Clean)
}
