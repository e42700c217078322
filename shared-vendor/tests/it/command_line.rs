//! What needs no running daemon.

use std::fs;

use shared_vendor::testing::node::{TempDir, command, run};

use crate::{demo, parts};

#[test]
fn help_and_version_go_to_stdout_and_are_clean() {
    let home = TempDir::new();
    for args in [
        &["-h"][..],
        &["--help"],
        &["--version"],
        &["help", "config", "show"],
        &["completions", "bash"],
        &["man"],
    ] {
        let (code, out, err) = parts(&run(demo(), home.path(), args));
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
        assert!(!out.is_empty(), "{args:?}");
        if args[0].contains('h') {
            assert!(out.lines().all(|line| line.chars().count() <= 80), "{args:?}: {out}");
        }
    }
    let (_, out, _) = parts(&run(demo(), home.path(), &["version", "--json"]));
    assert!(out.starts_with("{\"name\":\"demo\",\"version\":") && out.contains("\"commit\":"), "{out}");
    let (_, out, _) = parts(&run(demo(), home.path(), &["help", "E0201"]));
    assert!(out.starts_with("E0201: ") && out.contains("Exit code: 75"), "{out}");
}

#[test]
fn a_bad_command_line_is_2_with_the_nearest_name() {
    let home = TempDir::new();
    let (code, _, err) = parts(&run(demo(), home.path(), &["--netwrok", "test"]));
    assert_eq!(code, 2);
    assert!(err.starts_with("error[E0101]: ") && err.contains("did you mean '--network'?"), "{err}");
    assert_eq!(parts(&run(demo(), home.path(), &["fly"])).0, 2);
    assert_eq!(parts(&run(demo(), home.path(), &["count"])).0, 2);
}

#[test]
fn an_input_file_that_is_missing_is_66_and_a_config_file_78() {
    let home = TempDir::new();
    assert_eq!(parts(&run(demo(), home.path(), &["count", "/nowhere"])).0, 66);
    let (code, _, err) = parts(&run(demo(), home.path(), &["--config", "/nowhere.toml", "run"]));
    assert_eq!(code, 78);
    assert!(err.starts_with("error[E0106]: "), "{err}");
}

#[test]
fn an_unknown_variable_or_key_is_78_before_anything_is_opened() {
    let home = TempDir::new();
    let data = home.path().join("data");
    let file = home.path().join("demo.toml");
    fs::write(&file, "[demo]\ngreetin = \"hi\"\n").unwrap();
    let config = ["run", "--config", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    let (code, _, err) = parts(&run(demo(), home.path(), &config));
    assert_eq!(code, 78);
    let expected = format!(
        "error[E0102]: unknown configuration key `demo.greetin`\n  where: file {}:2\n  do:    did you mean `demo.greeting`? \
         Correct or remove it; see `demo help E0102`\n",
        file.display()
    );
    assert_eq!(err, expected);
    let output = command(demo(), home.path()).env("DEMO_DEMO_GREETINGS", "x").args(["run"]).output().unwrap();
    let (code, _, err) = parts(&output);
    assert_eq!(code, 78);
    assert!(err.contains("unknown environment variable DEMO_DEMO_GREETINGS"), "{err}");
    assert!(!data.exists() && !home.path().join(".local").exists());
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let home = TempDir::new();
    let file = home.path().join("demo.toml");
    fs::write(&file, "quiet = true\n[demo]\ngreeting = \"file\"\nformat = 3\n[peers]\nmax = 7\n").unwrap();
    let output = command(demo(), home.path())
        .env("DEMO_CONFIG", &file)
        .env("DEMO_DEMO_GREETING", "env")
        .env("DEMO_DEMO_FORMAT", "4")
        .args(["--demo-greeting", "flag", "config", "show", "--origin", "--no-quiet"])
        .output()
        .unwrap();
    let (code, out, err) = parts(&output);
    assert_eq!((code, err.as_str()), (0, ""));
    for line in [
        "demo.greeting = \"flag\"   # flag --demo-greeting".to_owned(),
        "demo.format = 4   # env DEMO_DEMO_FORMAT".to_owned(),
        format!("peers.max = 7   # file {}:6", file.display()),
        "quiet = false   # flag --no-quiet".to_owned(),
        "network = \"main\"   # default".to_owned(),
        "rpc.addr = \"127.0.0.1:7001\"   # network main".to_owned(),
    ] {
        assert!(out.contains(&line), "{line}\n{out}");
    }
}

#[test]
fn the_default_file_is_valid_and_a_closed_pipe_is_no_error() {
    let home = TempDir::new();
    let (_, text, _) = parts(&run(demo(), home.path(), &["config", "default"]));
    let file = home.path().join("d.toml");
    fs::write(&file, text).unwrap();
    assert_eq!(parts(&run(demo(), home.path(), &["config", "check", file.to_str().unwrap()])).0, 0);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(demo(), home.path()).args(["config", "default"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.is_empty()), (Some(0), true));
}
