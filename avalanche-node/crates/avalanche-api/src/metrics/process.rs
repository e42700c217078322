//! What the operating system says about this process. Linux only; elsewhere nothing is known.

use std::fs;

/// Clock ticks in a second, of every Linux.
const TICKS: f64 = 100.0;
const PAGE: f64 = 4096.0;

/// Numbers of the own process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) max_fds: f64,
    pub(super) open_fds: f64,
    pub(super) resident_bytes: f64,
    pub(super) virtual_bytes: f64,
    pub(super) max_virtual_bytes: f64,
    pub(super) start_seconds: f64,
}

impl Process {
    pub(super) fn own() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program stands in parentheses and may hold anything. What follows it begins with field 3.
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
        let field = |number: usize| fields.get(number.checked_sub(3)?)?.trim().parse::<f64>().ok();
        let system = fs::read_to_string("/proc/stat").ok()?;
        let booted =
            system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        // No limit is the largest number, as the reference has it.
        let limit = |name: &str| match limits
            .lines()
            .find_map(|line| line.strip_prefix(name))?
            .split_whitespace()
            .next()?
        {
            "unlimited" => Some(u64::MAX as f64),
            number => number.parse().ok(),
        };
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / TICKS,
            max_fds: limit("Max open files")?,
            open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as f64,
            resident_bytes: field(24)? * PAGE,
            virtual_bytes: field(23)?,
            max_virtual_bytes: limit("Max address space")?,
            start_seconds: booted + field(22)? / TICKS,
        })
    }
}
