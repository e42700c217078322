//! The life of the process: start, refuse, stop, fail.

use std::{
    fs,
    io::ErrorKind,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
};

use shared_vendor::testing::node::{PATIENCE, TempDir, TestNode, command, run};

use crate::{demo, parts};

fn start(home: &TempDir, args: &[&str]) -> TestNode {
    TestNode::start(demo(), home.path(), args)
}

#[test]
fn it_starts_answers_and_stops_cleanly_on_term() {
    let home = TempDir::new();
    let mut node = start(&home, &[]);
    node.ready();
    let ops = node.address("ops").to_string();
    let ask =
        |args: &[&str]| parts(&run(demo(), home.path(), &[&["--ops-addr", ops.as_str()], args].concat()));
    assert_eq!(ask(&["status", "--check", "live"]).0, 0);
    assert_eq!(ask(&["status", "--check", "ready"]).0, 1);
    let (code, out, _) = ask(&["status"]);
    assert!(code == 0 && out.starts_with("demo ") && out.contains("  height "), "{out}");
    assert_eq!(node.signal("TERM").exit_code(), 0);
    let log = node.log();
    let order = [
        "app: demo version=",
        "app: configuration",
        "app: data directory",
        "app: node",
        "app: servers",
        "app: resume",
        "app: ready",
        "app: stopping",
        "app: stopped",
    ];
    let places: Vec<_> =
        order.iter().map(|text| log.find(text).unwrap_or_else(|| panic!("{text}\n{log}"))).collect();
    assert!(places.is_sorted(), "{log}");
    assert!(
        fs::read_to_string(home.path().join("main/VERSION.json")).unwrap().contains("\"clean_stop\": true")
    );
    assert_eq!(ask(&["status"]).0, 69);
}

#[test]
fn rpc_finds_address_and_cookie_of_the_running_node() {
    let home = TempDir::new();
    let mut node = start(&home, &["--demo-greeting", "good day"]);
    node.ready();
    let (rpc, ops, data) =
        (node.address("rpc").to_string(), node.address("ops").to_string(), home.path().to_str().unwrap());
    let flags = ["--rpc-addr", &rpc, "--ops-addr", &ops, "--data-dir", data];
    let ask = |args: &[&str]| parts(&run(demo(), home.path(), &[&["rpc"], args, &flags].concat()));
    assert_eq!(ask(&["greeting"]), (0, "good day\n".into(), String::new()));
    assert_eq!(ask(&["echo", "[1, -2]"]).1, "[\n  1,\n  -2\n]\n");
    assert_eq!(ask(&["echo", "-2"]).1, "-2\n");
    assert!(ask(&["echo", "word", "--raw"]).1.contains("\"result\":\"word\""));
    assert!(ask(&["--list"]).1.contains("echo "));
    assert!(ask(&["echo", "--help"]).1.starts_with("echo "));
    assert!(ask(&["--help"]).1.contains("--list"));
    assert_eq!(ask(&["nothing", "--help"]).0, 2);
    let (code, _, err) = ask(&["nothing"]);
    assert!(code == 1 && err.starts_with("error[E0701]: error -32601: "), "{err}");
    assert_eq!(node.signal("TERM").exit_code(), 0);
    assert!(!home.path().join("main/.cookie").exists());
}

#[test]
fn a_second_signal_leaves_at_once_and_the_next_start_knows() {
    let home = TempDir::new();
    let mut node = start(&home, &["--demo-fault", "slow"]);
    node.ready().signal("TERM").wait_for("app: stopping").signal("INT");
    assert_eq!(node.exit_code(), 130);
    let mut node = start(&home, &[]);
    node.ready().wait_for("clean_stop=false");
    node.kill();
    assert_eq!(start(&home, &[]).ready().signal("INT").exit_code(), 0);
}

#[test]
fn the_service_manager_hears_ready_watchdog_reload_and_stop() {
    let home = TempDir::new();
    let socket = UnixDatagram::bind(home.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 512];
    let mut hear = |expected: &str| loop {
        let len = match socket.recv(&mut buffer) {
            Ok(len) => len,
            Err(err) if err.kind() == ErrorKind::Interrupted => continue, // this process was paused
            Err(err) => panic!("no {expected}: {err}"),
        };
        if String::from_utf8_lossy(&buffer[..len]).lines().any(|line| line == expected) {
            return;
        }
    };
    let mut daemon = command(demo(), home.path());
    daemon.env("NOTIFY_SOCKET", home.path().join("notify")).env("WATCHDOG_USEC", "200000");
    daemon.args([
        "run",
        "--rpc-addr",
        "127.0.0.1:0",
        "--ops-addr",
        "127.0.0.1:0",
        "--log-format",
        "text",
        "--data-dir",
    ]);
    let mut node = TestNode::spawn(daemon.arg(home.path()));
    hear("READY=1");
    hear("WATCHDOG=1");
    node.signal("HUP");
    hear("RELOADING=1");
    hear("READY=1");
    node.signal("TERM");
    hear("STOPPING=1");
    assert_eq!(node.exit_code(), 0);
}

#[test]
fn hup_reads_the_level_again_and_reopens_the_log_file() {
    let home = TempDir::new();
    let (config, log) = (home.path().join("c.toml"), home.path().join("demo.log"));
    fs::write(&config, "[log]\nlevel = \"info\"\n").unwrap();
    let mut node = start(&home, &["--config", config.to_str().unwrap(), "--log-file", log.to_str().unwrap()]);
    node.ready();
    fs::rename(&log, home.path().join("demo.log.1")).unwrap();
    fs::write(&config, "[log]\nlevel = \"debug\"\n[peers]\nmax = 7\n").unwrap();
    node.signal("HUP")
        .wait_for("level=debug needs_restart=peers.max")
        .signal("USR1")
        .wait_for("app: summary tasks=");
    assert_eq!(node.signal("TERM").exit_code(), 0);
    assert!(fs::read_to_string(log).unwrap().contains("level=debug"));
}

#[test]
fn a_locked_directory_is_75_and_names_the_pid() {
    let home = TempDir::new();
    let mut first = start(&home, &[]);
    first.ready();
    let mut second = start(&home, &[]);
    assert_eq!(second.exit_code(), 75);
    assert!(second.log().contains(&format!(
        "error[E0201]: the data directory is in use by the process with pid {}",
        first.pid()
    )));
    assert_eq!(first.signal("TERM").exit_code(), 0);
}

#[test]
fn data_of_another_format_or_program_is_76_and_untouched() {
    let home = TempDir::new();
    assert_eq!(start(&home, &["--demo-format", "2"]).ready().signal("TERM").exit_code(), 0);
    let version = home.path().join("main/VERSION.json");
    let before = fs::read(&version).unwrap();
    assert_eq!(start(&home, &[]).exit_code(), 76);
    assert_eq!(fs::read(&version).unwrap(), before);
    let foreign = TempDir::new();
    fs::create_dir_all(foreign.path().join("main")).unwrap();
    fs::write(foreign.path().join("main/wallet.dat"), "x").unwrap();
    assert_eq!(start(&foreign, &[]).exit_code(), 76);
    assert_eq!(fs::read_dir(foreign.path().join("main")).unwrap().count(), 1);
}

#[test]
fn a_data_directory_that_is_a_file_is_73() {
    let home = TempDir::new();
    fs::write(home.path().join("main"), "x").unwrap();
    let mut node = start(&home, &[]);
    assert_eq!(node.exit_code(), 73);
    assert!(node.log().contains("error[E0203]: "), "{}", node.log());
}

#[test]
fn a_key_that_others_can_read_is_77() {
    let home = TempDir::new();
    fs::create_dir_all(home.path().join("main/keys")).unwrap();
    let key = home.path().join("main/keys/node");
    fs::write(&key, "k").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let mut node = start(&home, &[]);
    assert_eq!(node.exit_code(), 77);
    assert!(node.log().contains(&format!("run `chmod 600 {}`", key.display())), "{}", node.log());
}

#[test]
fn a_port_in_use_is_69_and_names_the_setting() {
    let home = TempDir::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for (flag, key) in [("--rpc-addr", "rpc.addr"), ("--ops-addr", "ops.addr")] {
        let mut node = start(&home, &[flag, &addr]);
        assert_eq!(node.exit_code(), 69);
        let expected = format!("error[E0501]: the address {addr} is in use\n  where: {key} = {addr}\n");
        assert!(node.log().contains(&expected), "{}", node.log());
    }
}

#[test]
fn too_few_open_files_are_78_and_few_are_a_warning() {
    let home = TempDir::new();
    let start = |limit: u32| {
        let mut shell = command("sh", home.path());
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script]).arg(demo()).args([
            "run",
            "--rpc-addr",
            "127.0.0.1:0",
            "--ops-addr",
            "127.0.0.1:0",
        ]);
        TestNode::spawn(shell.args(["--log-format", "text", "--data-dir"]).arg(home.path()))
    };
    let mut node = start(64);
    assert_eq!(node.exit_code(), 78);
    assert!(node.log().contains("error[E0109]: only 64 open files are allowed"), "{}", node.log());
    let mut node = start(256);
    assert_eq!(node.ready().wait_for("few open files are allowed").signal("TERM").exit_code(), 0);
}

#[test]
fn a_failed_task_stops_all_and_its_report_is_the_exit_cause() {
    let home = TempDir::new();
    let mut node = start(&home, &["--demo-fault", "error"]);
    assert_eq!(node.exit_code(), 74);
    assert!(node.log().contains("error[E0402]: the disk is gone\n"), "{}", node.log());
}

#[test]
fn a_panic_in_a_task_or_in_any_thread_is_70_with_an_id() {
    for fault in ["panic", "thread"] {
        let home = TempDir::new();
        let mut node = start(&home, &["--demo-fault", fault]);
        assert_eq!(node.exit_code(), 70);
        let log = node.log();
        assert!(log.contains("error[E0901]: internal error at examples/demo.rs:"), "{log}");
        let id = log.split("where: report id ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or("none");
        assert!(log.contains(&format!("backtrace {id}\n")), "{log}");
    }
}
