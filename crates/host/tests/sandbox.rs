//! A sandbox reaches no network, keeps its processes together, and is provably gone in the end.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vouchsafe_host::{
    Command, ManualClock, ProcessError, Sandbox, Spawn, SpawnError, Stdout, machine, run_captured,
};
use vouchsafe_model::Time;

const PATIENCE: Duration = Duration::from_secs(30);

fn sandbox(parent: &Path) -> Sandbox {
    let clock = Arc::new(ManualClock::new(Time::from_micros(42)));
    Sandbox::new(clock, parent).expect("this test needs util-linux, and root or user namespaces")
}

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

fn run(sandbox: &Sandbox, script: &str) -> Result<String, ProcessError> {
    Ok(run_captured(sandbox, sh(script), PATIENCE)?
        .text()
        .trim()
        .to_owned())
}

/// Processes on the machine whose command line contains this text.
fn alive(marker: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("procfs");
    processes
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(marker))
        .collect()
}

/// Whether the program itself runs, not only what starts it.
fn sleeps(marker: &str) -> bool {
    let is_sleep = |line: &String| line.split(' ').next().is_some_and(|p| p.ends_with("sleep"));
    alive(marker).iter().any(is_sleep)
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_server_on_this_machine_is_out_of_reach() {
    let parent = tempfile::tempdir().expect("a directory");
    let sandbox = sandbox(parent.path());
    let server = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = server.local_addr().expect("an address").port();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected");
    let bash = |spawn: &dyn Spawn| {
        let command = Command::new("bash").args(["-c", &connect]);
        run_captured(spawn, command, PATIENCE).map(|output| output.text())
    };
    assert_eq!(
        bash(&vouchsafe_host::LocalSpawn).expect("outside it works"),
        "connected\n"
    );
    assert!(
        bash(&sandbox).is_err(),
        "the sandbox reached a server outside"
    );
    assert_eq!(sandbox.isolation().network, "none");
    sandbox.destroy().expect("is destroyed").dir();
}

#[test]
fn programs_of_one_sandbox_reach_one_another() {
    let parent = tempfile::tempdir().expect("a directory");
    let (first, second) = (sandbox(parent.path()), sandbox(parent.path()));
    let namespace = "readlink /proc/self/ns/net";
    let own = run(&first, namespace).expect("runs");
    assert_eq!(run(&first, namespace).expect("runs"), own);
    assert_ne!(run(&second, namespace).expect("runs"), own);
}

#[test]
fn programs_live_in_the_sandbox_directory() {
    let parent = tempfile::tempdir().expect("a directory");
    let sandbox = sandbox(parent.path());
    let dir = sandbox.dir().to_string_lossy().into_owned();
    let said = run(
        &sandbox,
        "pwd -P; echo $HOME; echo $TMPDIR; echo kept > file",
    )
    .expect("runs");
    assert_eq!(said, format!("{dir}\n{dir}\n{dir}"));
    assert_eq!(
        std::fs::read(sandbox.dir().join("file")).expect("reads"),
        b"kept\n"
    );
    let mode = std::fs::metadata(sandbox.dir())
        .expect("exists")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o700);
    let told = sh("echo $HOME; pwd")
        .env("HOME", "/elsewhere")
        .current_dir("/");
    let output = run_captured(&sandbox, told, PATIENCE).expect("runs");
    assert_eq!(output.text(), "/elsewhere\n/\n");
}

#[test]
fn failures_inside_look_like_failures_outside() {
    let parent = tempfile::tempdir().expect("a directory");
    let sandbox = sandbox(parent.path());
    let error = run(&sandbox, "echo broken >&2; exit 3").expect_err("fails");
    assert_eq!(error.to_string(), "sh exited with code 3; it said: broken");
    let missing = sandbox.spawn(Command::new("surely-not-installed"));
    assert!(matches!(missing, Err(SpawnError::NotFound { .. })));
}

#[test]
fn destroying_ends_even_what_left_its_group_and_proves_the_directory_gone() {
    let parent = tempfile::tempdir().expect("a directory");
    let sandbox = sandbox(parent.path());
    let marker = format!("86400.{}", std::process::id());
    // It leaves its group before the program that started it ends.
    let script = format!(
        "setsid sh -c 'trap \"\" TERM HUP; touch away; exec sleep {marker}' >/dev/null 2>&1 & \
         until [ -e away ]; do sleep 0.01; done"
    );
    run(&sandbox, &script).expect("ends while its child runs on");
    wait_until("the child runs", || sleeps(&marker));
    std::fs::create_dir_all(sandbox.dir().join("a/b")).expect("makes");
    std::fs::write(sandbox.dir().join("a/b/c"), b"x").expect("writes");
    for closed in ["a/b", "a"] {
        let mode = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(sandbox.dir().join(closed), mode).expect("closes");
    }
    let dir = sandbox.dir().to_path_buf();
    let proof = sandbox.destroy().expect("is destroyed");
    assert!(alive(&marker).is_empty(), "{:?}", alive(&marker));
    assert!(!dir.exists());
    assert_eq!(proof.dir(), dir);
    assert_eq!(proof.at(), Time::from_micros(42));
    assert_eq!(proof.ended_processes(), 1);
    assert_eq!(std::fs::read_dir(parent.path()).expect("lists").count(), 0);
}

#[test]
fn a_directory_that_cannot_be_removed_is_not_said_to_be_gone() {
    let parent = tempfile::tempdir().expect("a directory");
    let sandbox = sandbox(parent.path());
    let busy = sandbox.dir().join("mounted");
    std::fs::create_dir(&busy).expect("makes");
    let mount = |program: &str, args: &[&str]| {
        std::process::Command::new(program)
            .args(args)
            .arg(&busy)
            .status()
            .expect("runs")
            .success()
    };
    assert!(
        mount("mount", &["-t", "tmpfs", "tmpfs"]),
        "this test mounts something: be root"
    );
    let result = sandbox.destroy();
    assert!(busy.exists());
    assert!(mount("umount", &[]));
    assert!(result.is_err(), "{result:?}");
}

#[test]
fn a_dropped_sandbox_leaves_nothing() {
    let parent = tempfile::tempdir().expect("a directory");
    let sandbox = sandbox(parent.path());
    let marker = format!("86401.{}", std::process::id());
    let child = sandbox.spawn(Command::new("sleep").arg(&marker).stdout(Stdout::Null));
    let child = child.expect("starts");
    drop(sandbox);
    wait_until("the program ends", || alive(&marker).is_empty());
    assert_eq!(std::fs::read_dir(parent.path()).expect("lists").count(), 0);
    drop(child);
}

/// With a name of its own, so that the process below can run it alone.
#[test]
fn as_a_holder_that_will_be_killed() {
    let Some(parent) = std::env::var_os("VOUCHSAFE_TEST_SANDBOX_IN") else {
        return;
    };
    let marker = std::env::var("VOUCHSAFE_TEST_MARKER").expect("a marker");
    let sandbox = sandbox(&PathBuf::from(parent));
    let _child = sandbox
        .spawn(Command::new("sleep").arg(marker))
        .expect("starts");
    std::thread::sleep(PATIENCE);
}

#[test]
fn our_own_death_ends_everything_inside() {
    let parent = tempfile::tempdir().expect("a directory");
    let marker = format!("86402.{}", std::process::id());
    let mut holder = std::process::Command::new(std::env::current_exe().expect("a path"))
        .args([
            "--exact",
            "sandbox::as_a_holder_that_will_be_killed",
            "--nocapture",
        ])
        .env("VOUCHSAFE_TEST_SANDBOX_IN", parent.path())
        .env("VOUCHSAFE_TEST_MARKER", &marker)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    wait_until("it runs", || sleeps(&marker));
    holder.kill().expect("kills");
    holder.wait().expect("reaps");
    wait_until("it ends", || alive(&marker).is_empty());
}

#[test]
fn without_the_means_there_is_no_sandbox_rather_than_an_open_one() {
    assert_eq!(machine::uid(), 0, "this test becomes another user: be root");
    let parent = tempfile::tempdir().expect("a directory");
    let program = parent.path().join("program");
    // By another process: what this one has open for writing is inherited by whatever another test starts meanwhile, and
    // cannot be executed until that ends.
    let copied = std::process::Command::new("cp")
        .arg(std::env::current_exe().expect("a path"))
        .arg(&program)
        .status();
    assert!(copied.expect("cp runs").success());
    let place = parent.path().join("place");
    std::fs::create_dir(&place).expect("makes");
    for path in [parent.path(), &program, &place] {
        let mode = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(path, mode).expect("opens");
    }
    // Once as a user who may make namespaces, once where nobody may.
    for (limit, expected) in [("", "isolated"), ("no namespaces", "refused")] {
        let setpriv = vouchsafe_host::process::find_program("setpriv").expect("util-linux");
        let mut command = std::process::Command::new(setpriv);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command
            .arg(&program)
            .args(["--exact", "sandbox::as_a_usual_user", "--nocapture"]);
        command
            .env("VOUCHSAFE_TEST_SANDBOX_IN", &place)
            .current_dir(&place);
        if !limit.is_empty() {
            // Programs are looked for along the path, and here there are none.
            command.env("PATH", &place);
            command.arg("--test-threads=1");
        }
        let output = command.output().expect("setpriv runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(expected), "{limit}: {said}{errors}");
    }
}

/// The second half of the test above.
#[test]
fn as_a_usual_user() {
    if machine::uid() == 0 {
        return;
    }
    let Some(parent) = std::env::var_os("VOUCHSAFE_TEST_SANDBOX_IN") else {
        return;
    };
    let clock = Arc::new(ManualClock::new(Time::from_micros(42)));
    match Sandbox::new(clock, PathBuf::from(parent)) {
        Ok(sandbox) => {
            assert_eq!(sandbox.isolation().user, "user mapped to root");
            assert_eq!(run(&sandbox, "id -u").expect("runs"), "0");
            sandbox.destroy().expect("is destroyed").dir();
            println!("isolated");
        }
        Err(error) => println!("refused: {error}"),
    }
}
