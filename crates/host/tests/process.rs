//! Starting programs, ending them with everything they started, and the proof of a clean end.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use vouchsafe_host::{
    Child, Command, ExitState, LocalSpawn, ProcessError, Spawn, SpawnError, Stdin, Stdout,
    run_captured,
};
use vouchsafe_model::Secret;

const PATIENCE: Duration = Duration::from_secs(20);

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

fn start(command: Command) -> Child {
    LocalSpawn::new().spawn(command).expect("starts")
}

/// A script whose output tells the numbers of processes that must be gone afterwards.
fn pids(child: &mut Child, count: usize) -> Vec<i32> {
    let mut reader = child.stdout_reader().expect("a pipe");
    let mut text = String::new();
    while text.lines().count() < count || !text.ends_with('\n') {
        let mut byte = [0];
        assert_eq!(
            reader.read(&mut byte).expect("reads"),
            1,
            "ended early: {text}"
        );
        text.push(char::from(byte[0]));
    }
    text.lines()
        .map(|line| line.trim().parse().expect("a number"))
        .collect()
}

fn is_alive(pid: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .trim_start()
            .starts_with('Z'),
        Err(_) => false,
    }
}

fn assert_gone(pids: &[i32]) {
    let started = Instant::now();
    while pids.iter().any(|pid| is_alive(*pid)) {
        assert!(started.elapsed() < PATIENCE, "{pids:?} still run");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn output_is_captured_and_a_clean_exit_proven() {
    let output = run_captured(&LocalSpawn, sh("echo out; echo err >&2"), PATIENCE).expect("runs");
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr_tail, "err");
    assert_eq!(output.exit.program(), "sh");
}

#[test]
fn failures_say_who_and_how_and_what_was_said() {
    let failed = |script: &str| match run_captured(&LocalSpawn, sh(script), PATIENCE) {
        Err(ProcessError::Failed(failed)) => failed,
        other => panic!("{other:?}"),
    };
    let code = failed("echo it broke >&2; exit 3");
    assert_eq!(code.status, ExitState::Exited(3));
    assert_eq!(code.to_string(), "sh exited with code 3; it said: it broke");
    assert_eq!(failed("kill -9 $$").status, ExitState::Signalled(9));
    let missing = LocalSpawn.spawn(Command::new("surely-not-installed"));
    assert!(
        matches!(missing, Err(SpawnError::NotFound { program }) if program == "surely-not-installed")
    );
}

#[test]
fn a_program_that_runs_too_long_is_ended() {
    let started = Instant::now();
    let error = run_captured(&LocalSpawn, sh("sleep 60"), Duration::from_millis(50));
    assert!(matches!(
        error,
        Err(ProcessError::Failed(failed)) if matches!(failed.status, ExitState::TimedOut { .. })
    ));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn output_beyond_the_limit_is_a_failure_and_no_deadlock() {
    let command = sh("head -c 1000000 /dev/zero").capture(1000);
    let error = run_captured(&LocalSpawn, command, PATIENCE).expect_err("too long");
    assert!(
        error.to_string().contains("more than 1000 bytes"),
        "{error}"
    );
    let exact = run_captured(
        &LocalSpawn,
        sh("head -c 1000 /dev/zero").capture(1000),
        PATIENCE,
    );
    assert_eq!(exact.expect("fits").stdout.len(), 1000);
}

#[test]
fn a_piped_output_must_be_read_to_its_end() {
    let piped = || start(sh("echo one; echo two").stdout(Stdout::Pipe));

    let mut whole = piped();
    let mut text = String::new();
    whole
        .stdout_reader()
        .expect("a pipe")
        .read_to_string(&mut text)
        .expect("reads");
    assert_eq!(text, "one\ntwo\n");
    assert!(whole.finish().is_ok());

    let mut partial = piped();
    let mut reader = partial.stdout_reader().expect("a pipe");
    reader.read_exact(&mut [0; 4]).expect("reads");
    assert_eq!(
        partial.finish().expect_err("unread").status,
        ExitState::StdoutUnread
    );

    let mut unread = piped();
    assert_eq!(unread.wait_timeout(PATIENCE), Some(ExitState::Exited(0)));
    assert_eq!(
        unread.finish().expect_err("unread").status,
        ExitState::StdoutUnread
    );
}

#[test]
fn all_output_does_not_make_up_for_a_bad_exit() {
    let mut child = start(sh("echo whole; exit 1").stdout(Stdout::Pipe));
    let mut text = String::new();
    child
        .stdout_reader()
        .expect("a pipe")
        .read_to_string(&mut text)
        .expect("reads");
    assert_eq!(
        child.finish().expect_err("failed").status,
        ExitState::Exited(1)
    );
}

#[test]
fn input_comes_from_bytes_pipes_and_files() {
    let bytes = Stdin::Bytes(Secret::new(vec![b'x'; 500_000]));
    let output = run_captured(&LocalSpawn, sh("wc -c").stdin(bytes), PATIENCE).expect("runs");
    assert_eq!(output.text().trim(), "500000");

    let mut piped = start(Command::new("cat").stdin(Stdin::Pipe).capture(100));
    piped
        .stdin_writer()
        .expect("a pipe")
        .write_all(b"through")
        .expect("writes");
    assert_eq!(piped.finish_with_output().expect("ends").stdout, b"through");

    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(b"skipped, read").expect("writes");
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(9)).expect("seeks");
    let from_file = Command::new("cat").stdin(Stdin::File(file));
    assert_eq!(
        run_captured(&LocalSpawn, from_file, PATIENCE)
            .expect("runs")
            .stdout,
        b"read"
    );

    let none = run_captured(&LocalSpawn, Command::new("cat"), PATIENCE).expect("runs");
    assert_eq!(none.stdout, b"");
}

#[test]
fn output_goes_into_a_file() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let handle = file.reopen().expect("opens");
    start(sh("echo kept").stdout(Stdout::File(handle)))
        .finish()
        .expect("ends");
    assert_eq!(std::fs::read(file.path()).expect("reads"), b"kept\n");
}

#[test]
fn a_program_sees_only_the_environment_it_is_given() {
    let secret = Secret::new(b"hunter2".to_vec());
    let command = Command::new("env")
        .env("GIVEN", "yes")
        .secret_env("PGPASSWORD", &secret);
    let output = run_captured(&LocalSpawn, command, PATIENCE).expect("runs");
    let mut names: Vec<String> = output
        .text()
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.to_owned())
        .filter(|name| !["PATH", "HOME", "LANG", "TZ"].contains(&name.as_str()))
        .collect();
    names.sort();
    assert_eq!(names, ["GIVEN", "PGPASSWORD"]);
    // Cargo sets this for tests, so it is there to be left out.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
}

#[test]
fn secrets_do_not_come_back_in_errors() {
    let secret = Secret::new(b"hunter2".to_vec());
    let typed = Secret::new(b"open-sesame\n".to_vec());
    let told = Secret::new(b"from-a-file".to_vec());
    let script = "read line; echo \"bad: $PW / $line / from-a-file\" >&2; exit 1";
    let command = sh(script)
        .secret_env("PW", &secret)
        .stdin(Stdin::Bytes(typed))
        .redact(&told);
    assert!(!format!("{command:?}").contains("hunter2"));
    let error = run_captured(&LocalSpawn, command, PATIENCE).expect_err("fails");
    let text = format!("{error} {error:?}");
    for secret in ["hunter2", "open-sesame"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(
        text.contains("bad: [redacted] / [redacted] / [redacted]"),
        "{text}"
    );
}

#[test]
fn an_endless_standard_error_is_cut_to_its_end() {
    let script = "yes noise | head -n 200000 >&2; echo the last word >&2; exit 2";
    let error = run_captured(&LocalSpawn, sh(script), PATIENCE).expect_err("fails");
    let text = error.to_string();
    assert!(
        text.ends_with("the last word") && text.len() < 5000,
        "{} bytes",
        text.len()
    );
}

#[test]
fn killing_reaches_children_and_grandchildren_and_those_that_refuse() {
    let script = "trap '' TERM; \
        (trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & \
         echo $(exec sh -c 'echo $PPID'); wait) & \
        echo $$; wait; sleep 60";
    let mut child = start(sh(script).stdout(Stdout::Pipe));
    let running = pids(&mut child, 3);
    assert!(running.iter().all(|pid| is_alive(*pid)));
    let started = Instant::now();
    child.kill_tree_within(Duration::from_millis(200));
    assert!(
        started.elapsed() >= Duration::from_millis(200),
        "there was no grace"
    );
    assert_gone(&running);
    assert_eq!(child.try_wait(), Some(ExitState::Signalled(9)));
}

#[test]
fn a_program_that_obeys_is_not_killed_hard() {
    let script = "trap 'exit 7' TERM; echo $$; while :; do sleep 0.05; done";
    let mut child = start(sh(script).stdout(Stdout::Pipe));
    pids(&mut child, 1);
    child.kill_tree();
    assert_eq!(child.try_wait(), Some(ExitState::Exited(7)));
}

#[test]
fn dropping_ends_the_whole_group() {
    let mut child = start(sh("sleep 60 & echo $!; echo $$; wait").stdout(Stdout::Pipe));
    let running = pids(&mut child, 2);
    drop(child);
    assert_gone(&running);
}

#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    let left = "sleep 60 >/dev/null 2>&1 & echo $!";
    let output = run_captured(&LocalSpawn, sh(left), PATIENCE).expect("ends cleanly");
    assert_gone(&[output.text().trim().parse().expect("a number")]);

    // One that holds the output open keeps nobody waiting for long either.
    let started = Instant::now();
    let holding = run_captured(&LocalSpawn, sh("sleep 60 & echo $!"), PATIENCE);
    assert!(started.elapsed() < Duration::from_secs(10));
    let output = holding.expect("the output is whole once its holder is gone");
    assert_gone(&[output.text().trim().parse().expect("a number")]);
}

#[test]
fn the_working_directory_is_the_one_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = run_captured(&LocalSpawn, sh("pwd -P").current_dir(dir.path()), PATIENCE);
    let real = dir.path().canonicalize().expect("resolves");
    assert_eq!(output.expect("runs").text().trim(), real.to_string_lossy());
}
