//! `doctor`: what stands in the way of a good start, found before it. It changes nothing that stays.

use std::{
    fs::{self, File},
    io::{self, Write},
    net::{TcpListener, UdpSocket},
    path::Path,
};

use super::Common;
use crate::{
    clock::Clock,
    config::Listen,
    datadir::{LEAST_FREE, check_secret, free_space},
};

/// Open files without which a daemon does not start: its store alone may need them.
pub const LEAST_FILES: u64 = 128;

/// Open files with which its default limits hold.
pub const GOOD_FILES: u64 = 1024;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// The node runs, but not well.
    Warn,
    /// The node does not start, or not for long.
    Fail,
}

/// One line of the answer.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do about it; empty when nothing.
    pub advice: &'static str,
}

impl Check {
    /// A check that is fine when `ok`, else ends with `otherwise`.
    pub fn new(
        name: &'static str,
        ok: bool,
        otherwise: Verdict,
        seen: impl Into<String>,
        advice: &'static str,
    ) -> Self {
        let verdict = if ok { Verdict::Ok } else { otherwise };
        Self { name, verdict, seen: seen.into(), advice: if ok { "" } else { advice } }
    }
}

/// All checks of the frame.
#[must_use]
pub fn checks(common: &Common, clock: &dyn Clock) -> Vec<Check> {
    let mut checks = disk(&common.data_dir, clock);
    checks.push(memory());
    checks.push(descriptors());
    checks.push(Check::new(
        "clock",
        clock.wall().as_secs() > 1_767_225_600, // 2026-01-01
        Verdict::Fail,
        clock.wall().to_string(),
        "the clock is years behind: start time synchronisation",
    ));
    checks.push(resolver());
    let ports = [("ops.addr", common.ops_addr), ("rpc.addr", common.rpc_addr), ("p2p.addr", common.p2p_addr)];
    checks.extend(ports.map(|(name, addr)| port(name, addr)));
    checks.extend(secrets(&common.data_dir.join(&common.network).join("keys")));
    checks
}

/// One line a check, and whether none has failed.
#[must_use]
pub fn render(checks: &[Check]) -> (String, bool) {
    let line = |check: &Check| {
        let word = match check.verdict {
            Verdict::Ok => "OK  ",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        let advice = if check.advice.is_empty() { String::new() } else { format!("; {}", check.advice) };
        format!("{word} {:<12} {}{advice}\n", check.name, check.seen)
    };
    (checks.iter().map(line).collect(), checks.iter().all(|check| check.verdict != Verdict::Fail))
}

fn disk(data_dir: &Path, clock: &dyn Clock) -> Vec<Check> {
    let Some(there) = data_dir.ancestors().find(|path| path.is_dir()) else {
        return vec![Check::new(
            "data dir",
            false,
            Verdict::Fail,
            data_dir.display().to_string(),
            "no such file system",
        )];
    };
    let mut checks = Vec::new();
    if let Ok(free) = free_space(there) {
        let seen = format!("{} MiB free at {}", free >> 20, there.display());
        checks.push(Check::new(
            "disk space",
            free >= LEAST_FREE,
            Verdict::Fail,
            seen,
            "at least 512 MiB are needed: free space",
        ));
    }
    let probe = there.join(format!(".doctor-{}", std::process::id()));
    let begin = clock.now();
    let written = File::create_new(&probe).and_then(|mut file| {
        file.write_all(&[0; 4096])?;
        file.sync_all()
    });
    let took = clock.now().since(begin);
    let _ = fs::remove_file(&probe);
    checks.push(match written {
        Ok(()) => {
            let seen = format!("4 KiB synced in {:.1} ms", took.as_secs_f64() * 1e3);
            Check::new(
                "disk speed",
                took.as_millis() < 50,
                Verdict::Warn,
                seen,
                "a slow disk slows every block: use an SSD",
            )
        }
        Err(err) => {
            let seen = format!("cannot write to {}: {}", there.display(), err.kind());
            Check::new(
                "disk write",
                false,
                Verdict::Fail,
                seen,
                "check owner, mode and mount, or use another --data-dir",
            )
        }
    });
    checks
}

fn memory() -> Check {
    let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    let seen = available.map_or_else(|| "unknown".to_owned(), |kib| format!("{} MiB available", kib >> 10));
    Check::new(
        "memory",
        available.is_none_or(|kib| kib >= 1 << 20),
        Verdict::Warn,
        seen,
        "use --profile low below 1 GiB",
    )
}

fn descriptors() -> Check {
    let limit = open_files();
    let seen = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("{limit} open files allowed"));
    let advice = "raise it: `ulimit -n 65536`, or LimitNOFILE in the unit";
    let verdict = if limit.is_some_and(|limit| limit < LEAST_FILES) { Verdict::Fail } else { Verdict::Warn };
    Check::new("descriptors", limit.is_none_or(|limit| limit >= GOOD_FILES), verdict, seen, advice)
}

/// Files this process may have open; nothing where there is no limit.
#[must_use]
pub fn open_files() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn resolver() -> Check {
    let seen = fs::read_to_string("/etc/resolv.conf").ok().and_then(|text| {
        text.lines().find_map(|line| Some(line.strip_prefix("nameserver")?.trim().to_owned()))
    });
    let text = seen
        .clone()
        .map_or_else(|| "no name server configured".to_owned(), |server| format!("name server {server}"));
    Check::new(
        "dns",
        seen.is_some(),
        Verdict::Warn,
        text,
        "peers given by name are not found: set /etc/resolv.conf",
    )
}

fn port(name: &'static str, addr: Listen) -> Check {
    let free: io::Result<()> = TcpListener::bind(addr.0).and_then(|_| UdpSocket::bind(addr.0)).map(drop);
    let seen = match &free {
        Ok(()) => format!("{addr} is free"),
        Err(err) => format!("{addr}: {}", err.kind()),
    };
    Check::new(
        name,
        free.is_ok(),
        Verdict::Fail,
        seen,
        "stop the process that listens there, or change the setting",
    )
}

fn secrets(keys: &Path) -> Vec<Check> {
    let files = fs::read_dir(keys).into_iter().flatten().flatten();
    let unsafe_ones = files.filter_map(|file| check_secret(&file.path()).err());
    unsafe_ones
        .map(|report| Check::new("keys", false, Verdict::Fail, report.to_string(), "run `chmod 600` on it"))
        .collect()
}
