//! The smallest daemon on the frame; the daemon tests drive it from outside.

use std::{process::ExitCode, sync::Arc, time::Duration};

use serde_json::{Value, json};
use shared_vendor::{
    app::{self, Context, Daemon, Loaded},
    cli,
    datadir::Identity,
    exit::{self, Report},
    http::{self, Access, Guard},
    log::Secret,
    rpc::{self, Methods, ParamDoc, Spec},
    tasks::Stage,
};

shared_vendor::settings! {
    /// Configuration of the demo.
    pub struct Config {
        /// Greeting that is logged.
        greeting: String = ["demo.greeting", "hello"],
        /// Format of its data.
        format: u32 = ["demo.format", "1"],
        /// Something that is never shown.
        secret: Option<Secret<String>> = ["demo.secret"],
        /// How its task misbehaves, for tests.
        fault: Option<Fault> = ["demo.fault"],
    }
}

shared_vendor::choice! {
    /// Ways to misbehave.
    pub enum Fault("panic, thread, error or slow") { Panic = "panic", Thread = "thread", Error = "error", Slow = "slow" }
}

/// Verbs of the demo.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Count the bytes of a file
    Count {
        /// The file
        file: std::path::PathBuf,
    },
}

fn methods() -> Methods<String> {
    let mut methods = Methods::new();
    methods.add(Spec::open("greeting", "The greeting", &[]), |greeting: &String, _| Ok(json!(greeting)));
    let echoed = &[ParamDoc { name: "value", help: "anything", optional: false }];
    let echo =
        Spec { access: Access::Full, ..Spec::open("echo", "Says it again, to who has the cookie", echoed) };
    methods.add(echo, |_, params| params.required::<Value>(0, "value"));
    methods.add(Spec::open("friends", "Its peers", &[]), |greeting: &String, _| {
        Ok(json!([format!("{greeting} to peers")]))
    });
    methods
}

struct Demo;

impl Daemon for Demo {
    const NAME: &'static str = "demo";
    const PREFIX: &'static str = "DEMO";
    const METRICS: &'static str = "demo";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "A daemon that greets and waits";
    const NETWORKS: &'static [&'static str] = &["main", "test"];
    const PEERS: Option<&'static str> = Some("friends");
    const SHORTHANDS: &'static [(&'static str, &'static str)] = &[("hello", "greeting")];
    type Config = Config;
    type Command = Command;

    fn defaults(network: &str) -> Vec<(&'static str, String)> {
        let port = if network == "main" { 7001 } else { 7101 };
        vec![
            ("rpc.addr", format!("127.0.0.1:{port}")),
            ("p2p.addr", format!("127.0.0.1:{}", port + 1)),
            ("ops.addr", "127.0.0.1:7009".into()),
        ]
    }

    fn openrpc() -> Value {
        methods().openrpc(Self::NAME, Self::VERSION)
    }

    fn db_stats(loaded: &Loaded<Self>) -> Option<Result<String, Report>> {
        Some(Ok(format!("format {} and 0 rows\n", loaded.config.format)))
    }

    fn identity(loaded: &Loaded<Self>) -> Result<Identity, Report> {
        let network = loaded.common.network.clone();
        let network_id = u64::from(network == "test");
        Ok(Identity {
            daemon: Self::NAME.into(),
            network,
            network_id,
            genesis: "00".into(),
            format: loaded.config.format,
        })
    }

    fn command(Command::Count { file }: Command, _: &Loaded<Self>) -> Result<(), Report> {
        let bytes = std::fs::read(&file).map_err(|err| {
            Report::new(exit::NO_INPUT, "cannot read the file").at(file.display().to_string()).because(&err)
        })?;
        cli::print(&format!("{}\n", bytes.len()))
    }

    async fn start(ctx: Context<Self>) -> Result<(), Report> {
        let listener = ctx.bind("rpc.addr", ctx.common.rpc_addr).await?;
        let address = listener.local_addr().map(|addr| addr.to_string()).unwrap_or_default();
        ctx.status.update(ctx.clock.now(), |status| drop(status.addresses.insert("rpc", address)));
        ctx.announce("demo", "none", 0);
        tracing::info!("{}", ctx.config.greeting);
        let server = rpc::Server {
            service: rpc::Service::new(
                methods(),
                Arc::new(ctx.config.greeting.clone()),
                rpc::Dialect::default(),
                rpc::Limits::default(),
                &ctx.registry,
            ),
            guard: Guard { credentials: vec![ctx.cookie()?], ..Guard::default() },
            http: http::Limits::default(),
        };
        ctx.tasks.spawn_in(Stage::Serve, "rpc", |stop| async move {
            http::serve(listener, server.router(&["/"]), http::Limits::default(), stop).await;
            Ok(())
        });
        let fault = ctx.config.fault;
        ctx.tasks.spawn("fault", |stop| async move {
            match fault {
                Some(Fault::Panic) => broken(),
                Some(Fault::Thread) => drop(std::thread::spawn(broken)),
                Some(Fault::Error) => return Err(Report::new(exit::IO_ERROR, "the disk is gone")),
                Some(Fault::Slow) => {
                    stop.wait().await;
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                None => {}
            }
            stop.wait().await;
            Ok(())
        });
        Ok(())
    }
}

#[allow(clippy::panic)] // what it is for
fn broken() {
    panic!("asked to");
}

fn main() -> ExitCode {
    app::main::<Demo>()
}
