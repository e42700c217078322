//! The process watching itself: memory, disk, log counts; the service manager's watchdog; a disk that fills up.

use std::time::Duration;

use tracing::{error, warn};

use super::{Context, Daemon};
use crate::{
    clock::Wall,
    datadir,
    exit::Report,
    metrics::{Counter, Gauge, Labelled, resident_bytes},
    progress::short,
    tasks::{Stage, Stop},
};

/// Time between two looks; a full disk is seen well within ten seconds.
const EVERY: Duration = Duration::from_secs(5);

/// Below these an operator is warned, once each.
const WARN_BELOW: [u64; 2] = [2 << 30, 1 << 30];

/// Steps of the wall clock beyond this are worth a warning.
const CLOCK_STEP: Duration = Duration::from_secs(10);

/// Below this the process stops before the store fails in the middle of a write.
const STOP_BELOW: u64 = 128 << 20;

pub(super) fn spawn<D: Daemon>(ctx: &Context<D>) {
    let ctx = ctx.clone();
    // Both have their values before the daemon is ready, whenever the task has its first turn.
    let disk_free = ctx.registry.gauge("disk_free_bytes", "Free space on the disk of the data directory");
    if let Ok(free) = ctx.data.free() {
        disk_free.set(free as f64);
    }
    let lines = ctx.registry.counters("log_messages_total", &["level"], "Lines logged");
    for (level, _) in ctx.log.counts() {
        lines.with(&[level]).inc_by(0);
    }
    ctx.tasks.clone().spawn_in(Stage::Store, "watch", move |stop| watch(ctx, disk_free, lines, stop));
}

async fn watch<D: Daemon>(
    ctx: Context<D>,
    disk_free: Gauge,
    lines: Labelled<Counter>,
    stop: Stop,
) -> Result<(), Report> {
    let mut logged = [0; 5];
    let begun = ctx.clock.now();
    let beat = ctx.status.beat("main", begun);
    let every = ctx.service.watchdog().unwrap_or(EVERY).min(EVERY);
    let mut warned = 0;
    let (mut last, mut last_wall) = (begun, ctx.clock.wall());
    loop {
        let (now, wall) = (ctx.clock.now(), ctx.clock.wall());
        beat.tick(now);
        let expected =
            Wall::from_nanos(last_wall.as_nanos().saturating_add(now.as_nanos() - last.as_nanos()));
        let step = Duration::from_nanos(wall.as_nanos().abs_diff(expected.as_nanos()));
        if step > CLOCK_STEP {
            let direction = if wall > expected { "forward" } else { "back" };
            warn!(target: "app", step = short(step), direction, "the host's clock was set; timers are not affected");
        }
        (last, last_wall) = (now, wall);
        let free = ctx.data.free().ok();
        ctx.status.update(now, |status| {
            status.uptime_seconds = now.since(begun).as_secs();
            status.memory_bytes = resident_bytes();
            status.disk_free_bytes = free;
        });
        for ((level, count), before) in ctx.log.counts().into_iter().zip(&mut logged) {
            lines.with(&[level]).inc_by(count - *before);
            *before = count;
        }
        if let Some(free) = free {
            disk_free.set(free as f64);
            if let Err(report) = datadir::check_space(ctx.data.root(), STOP_BELOW) {
                error!(target: "app", code = report.code(), free, "the disk is full: stopping");
                return Err(report);
            }
            let crossed = WARN_BELOW.iter().filter(|limit| free < **limit).count();
            if crossed > warned {
                warn!(target: "app", free = format!("{} MiB", free >> 20), path = %ctx.data.root().display(), "the disk fills up");
            }
            warned = crossed;
        }
        if ctx.status.stuck(now).is_empty() {
            ctx.service.alive();
        }
        tokio::select! {
            () = stop.wait() => return Ok(()),
            () = tokio::time::sleep(every) => {}
        }
    }
}
