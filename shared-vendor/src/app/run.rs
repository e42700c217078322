//! `run`: log, signals, lock, start, wait, drain.

use std::{sync::Arc, time::Duration};

use tokio::sync::{broadcast, mpsc};
use tracing::{info, warn};

use super::{COOKIE, Context, Daemon, Loaded, bind_error, panics, watch};
use crate::{
    cli::{
        self,
        doctor::{self, GOOD_FILES, LEAST_FILES},
    },
    clock::Clock,
    datadir::DataDir,
    exit::{self, Exit, Report},
    http::Guard,
    log::{self, LogConfig},
    metrics::{self, Registry},
    ops::{self, Phase, StatusCell},
    signal::{self, Service, Signal},
    tasks::Tasks,
};

/// How long an ordered stop may take; the service manager's limit is far above.
const DRAIN: Duration = Duration::from_secs(7);

/// How long after an internal error: nothing more can be expected of the tasks.
const DRAIN_AFTER_PANIC: Duration = Duration::from_secs(3);

/// Stack of each thread of the runtime; only what is used of it takes memory. An answer that is nested as deep as a chain
/// allows (two thousand arrays in each other) takes a little more than the usual two MiB to be written.
const STACK_BYTES: usize = 8 << 20;

/// How the settings are read again.
type Reload<'a, D> = &'a dyn Fn() -> Result<Loaded<D>, Report>;

pub(super) fn run<D: Daemon>(loaded: Loaded<D>, reload: Reload<'_, D>) -> Result<Exit, Report> {
    D::identity(&loaded)?; // an error here comes before anything is opened
    let common = &loaded.common;
    let crate_name: &'static str = Box::leak(D::NAME.replace('-', "_").into_boxed_str());
    let log = log::init(&LogConfig {
        level: level(common),
        format: common.log_format.as_str(),
        file: common.log_file.as_deref(),
        crate_name,
    })?;
    let (commit, _) = cli::build();
    info!(target: "app", version = D::VERSION, commit, network = common.network, "{}", D::NAME);
    let files: Vec<_> = loaded.values.files.iter().map(|file| file.display().to_string()).collect();
    info!(target: "app", files = files.join(", "), profile = common.profile.as_str(), "configuration");
    for warning in &loaded.values.warnings {
        warn!(target: "app", "{warning}");
    }
    check_files()?;
    let mut signals = signal::listen().map_err(|err| unexpected("cannot listen for signals", &err))?;
    let data = Arc::new(loaded.open_data()?);
    let format = data.found_format;
    let free = format!("{} MiB", data.free().unwrap_or_default() >> 20);
    info!(target: "app", path = %data.root().display(), format, free, clean_stop = data.was_clean, "data directory");

    let state = ops::State {
        status: StatusCell::default(),
        registry: Registry::new(D::METRICS),
        openrpc: Arc::default(),
        clock: loaded.clock.clone(),
        log: log.recent(),
    };
    let metrics = metrics::Common::register(&state.registry, D::VERSION, commit, cli::build().1);
    let server = serve_ops(&loaded, &state, &data)?;

    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().thread_name("worker").thread_stack_size(STACK_BYTES).build();
    let runtime = runtime.map_err(|err| unexpected("cannot start the runtime", &err))?;
    let tasks = Tasks::new(runtime.handle().clone());
    panics::watch(&tasks);
    let (broadcast, _) = broadcast::channel(16);
    let clock: Arc<dyn Clock> = loaded.clock.clone();
    let ctx = Context {
        loaded: Arc::new(loaded),
        data: Arc::clone(&data),
        tasks: tasks.clone(),
        clock,
        log,
        status: state.status.clone(),
        registry: state.registry.clone(),
        metrics,
        openrpc: state.openrpc,
        service: Service,
        signals: broadcast,
    };
    let outcome = runtime.block_on(async {
        watch::spawn(&ctx);
        let outcome = live(&ctx, &mut signals, reload).await;
        ctx.set_phase(Phase::Stopping);
        Service.stopping();
        info!(target: "app", "stopping");
        let limit = if is_panic(&outcome) { DRAIN_AFTER_PANIC } else { DRAIN };
        let left = tasks.drain(limit).await;
        // A failure while draining is as real as one before.
        let late = tokio::time::timeout(Duration::ZERO, tasks.failed()).await;
        outcome.and(late.map_or(Ok(()), Err)).map(|()| left)
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    server.stop();
    let _ = std::fs::remove_file(data.join(COOKIE)); // there may be none
    if outcome?.is_empty() {
        data.close()?;
    }
    info!(target: "app", "stopped");
    Ok(Exit::Clean)
}

/// From the start of the daemon to the reason to stop.
async fn live<D: Daemon>(
    ctx: &Context<D>,
    signals: &mut mpsc::Receiver<Signal>,
    reload: Reload<'_, D>,
) -> Result<(), Report> {
    let started = tokio::select! {
        biased;
        cause = ctx.tasks.failed() => Err(cause),
        () = stop_asked(signals) => return Ok(()),
        started = Box::pin(D::start(ctx.clone())) => started,
    };
    started?;
    if ctx.status.read().phase == Phase::Starting {
        ctx.status.update(ctx.clock.now(), |status| {
            status.phase = Phase::Syncing;
            status.sentence = "Running".to_owned();
        });
    }
    info!(target: "app", "ready");
    ctx.service.ready();
    loop {
        let signal = tokio::select! {
            biased;
            cause = ctx.tasks.failed() => return Err(cause),
            signal = signals.recv() => signal,
        };
        match signal {
            None | Some(Signal::Stop) => return Ok(()),
            Some(Signal::Reload) => {
                ctx.service.reloading();
                if let Err(report) = reopen(ctx, reload) {
                    warn!(target: "app", code = report.code(), "not reloaded: {report}");
                }
                ctx.service.ready();
            }
            Some(Signal::Summary) => info!(target: "app", tasks = ctx.tasks.names().join(","), "summary"),
            Some(Signal::User2) => {}
        }
        if let Some(signal) = signal {
            let _ = ctx.signals.send(signal); // nobody may be listening
        }
    }
}

/// A store that runs out of descriptors in the middle of its work is worse than no start.
fn check_files() -> Result<(), Report> {
    match doctor::open_files() {
        Some(limit) if limit < LEAST_FILES => Err(Report::new(
            exit::FEW_FILES,
            format!("only {limit} open files are allowed, at least {LEAST_FILES} are needed"),
        )
        .state("nothing was opened")),
        Some(limit) if limit < GOOD_FILES => {
            warn!(target: "app", limit, "few open files are allowed: peers and clients may be refused");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Binds and starts the operations server, first of all servers: it answers while the others start.
fn serve_ops<D: Daemon>(
    loaded: &Loaded<D>,
    state: &ops::State,
    data: &DataDir,
) -> Result<ops::Server, Report> {
    let addr = loaded.common.ops_addr;
    let server = std::net::TcpListener::bind(addr.0)
        .and_then(|listener| ops::Server::start(listener, Guard::default(), state.clone()))
        .map_err(|err| bind_error("ops.addr", addr, &err))?;
    state.status.update(loaded.clock.now(), |status| {
        status.daemon = D::NAME;
        status.version = D::VERSION.to_owned();
        status.commit = cli::build().0.to_owned();
        status.network.clone_from(&loaded.common.network);
        status.data_dir = data.root().display().to_string();
        status.sentence = "Starting".to_owned();
        status.addresses.insert("ops", server.address().to_string());
    });
    let _ = state.openrpc.set(D::openrpc());
    Ok(server)
}

async fn stop_asked(signals: &mut mpsc::Receiver<Signal>) {
    while let Some(signal) = signals.recv().await {
        if signal == Signal::Stop {
            return;
        }
    }
    std::future::pending().await
}

/// What the frame itself reloads: the log file and the log level.
fn reopen<D: Daemon>(ctx: &Context<D>, reload: Reload<'_, D>) -> Result<(), Report> {
    ctx.log.reopen()?;
    let loaded = reload()?;
    let level = level(&loaded.common);
    ctx.log.set_level(level)?;
    let others = loaded.values.changed(&ctx.values).filter(|key| !["log.level", "quiet"].contains(key));
    let others: Vec<_> = others.collect();
    let needs_restart = (!others.is_empty()).then(|| others.join(","));
    info!(target: "app", level, needs_restart, "log reopened, level read again");
    Ok(())
}

fn level(common: &cli::Common) -> &str {
    if common.quiet { "warn" } else { &common.log_level }
}

fn is_panic(outcome: &Result<(), Report>) -> bool {
    outcome.as_ref().is_err_and(|report| report.exit() == Exit::Internal)
}

fn unexpected(what: &str, err: &std::io::Error) -> Report {
    Report::new(exit::UNEXPECTED, what).because(err)
}
