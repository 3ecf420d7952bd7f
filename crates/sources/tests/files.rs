//! The kind `files` on real trees.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;

use crate::common::trees::{awkward_tree, is_root};
use crate::common::{
    self, Memory, World, all_to, assert_first_red, assert_green, open, open_without, sh,
};
use vouchsafe_capture::{CaptureError, RestoreRequest, Restored, TreePath};
use vouchsafe_format::NodeKind;
use vouchsafe_model::RungOutcome;
use vouchsafe_sources::Settings;

#[test]
fn everything_comes_back() {
    let world = World::new();
    let root = awkward_tree(&world);
    let source = open(&format!("files:{}", root.display()));
    let (captured, point) = world.capture(source.as_ref());
    assert_eq!(point.issues, []);
    assert_eq!(captured.left_out, [] as [&str; 0]);
    assert!(captured.manifest.is_none());

    let below = |name: &str| format!("{}/{name}", root.display());
    let page = point
        .node(&below("index.html"))
        .expect("the absolute path is in the tree");
    assert_eq!((page.links, page.size), (2, 5));
    assert_ne!(page.device_id, 0);
    assert!(
        page.extended_attributes
            .iter()
            .any(|x| x.name == b"system.posix_acl_access")
    );
    assert_eq!(
        point.node(&below("socket")).expect("recorded").kind,
        NodeKind::Socket
    );
    let parent = point
        .node(world.path("srv").to_str().expect("text"))
        .expect("a parent");
    assert_eq!(
        parent.inode,
        fs::metadata(world.path("srv")).expect("metadata").ino()
    );

    let to = world.path("restored");
    let restored = world.restore(source.as_ref(), &point, &to);
    assert_eq!(restored.place, to);
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));

    // The comparison above is ours; this one is not. Sockets are not restored.
    fs::remove_file(root.join("socket")).expect("removes");
    sh(
        world.dir.path(),
        "diff -r --no-dereference srv/www restored 2>&1 | grep -v 'is a fifo' | grep -v 'special file' && exit 1 || true",
    );
    let listing = "cd $1; find . -mindepth 1 -printf '%P %y %m %U:%G %T@ %n %l\\n' | LC_ALL=C sort; getfacl -R -p . 2>/dev/null";
    let list = |dir: &str| sh(world.dir.path(), &listing.replace("$1", dir));
    let (before, after) = (list("srv/www"), list("restored"));
    // The target directory existed neither in the listing of names nor with the times of its removal of the socket.
    assert_eq!(before, after);
    let sparse = fs::metadata(to.join("sparse")).expect("metadata");
    assert!(
        sparse.blocks() * 512 < 200_000,
        "{} blocks",
        sparse.blocks()
    );
    let inode = |path: &str| fs::metadata(to.join(path)).expect("metadata").ino();
    assert_eq!(inode("index.html"), inode("deep/er/same"));
    if is_root() {
        let device = fs::metadata(to.join("null")).expect("metadata");
        assert!(device.file_type().is_char_device());
        assert_eq!(
            device.rdev(),
            fs::metadata("/dev/null").expect("metadata").rdev()
        );
    }
}

#[test]
fn it_conforms() {
    let world = World::new();
    let root = awkward_tree(&world);
    common::conformance::conforms(&world, &format!("files:{}", root.display()), "target");
}

#[test]
fn a_single_file_and_a_root_behind_a_link_work() {
    let world = World::new();
    fs::create_dir_all(world.path("releases/3")).expect("directories");
    fs::write(world.path("releases/3/app"), "code").expect("writes");
    symlink("releases/3", world.path("current")).expect("links");
    for (named, file) in [
        ("current", "app"),
        ("current/app", "app"),
        ("releases/../releases/3", "app"),
    ] {
        let source = open(&format!("files:{}/{named}", world.dir.path().display()));
        let (captured, point) = world.capture(source.as_ref());
        let to = world.path(&format!("to-{}", named.len()));
        let restored = world.restore(source.as_ref(), &point, &to);
        assert_eq!(fs::read(to.join(file)).expect("restored"), b"code");
        assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
    }
}

#[test]
fn excludes_and_own_places_are_left_out() {
    let world = World::new();
    let root = world.path("data");
    for path in [
        "keep/a.txt",
        "keep/b.tmp",
        "cache/c",
        "deep/cache/d",
        "state/vault/repo/config",
        "x/y/z",
    ] {
        fs::create_dir_all(root.join(path).parent().expect("a parent")).expect("directories");
        fs::write(root.join(path), path).expect("writes");
    }
    let mut world = world;
    symlink("data", world.path("alias")).expect("links");
    world.own_places = vec![world.path("alias/state")];
    let url = format!("files:{}", root.display());
    let source = open_without(&url, &["*.tmp", "/cache", "x/**"]);
    let (captured, point) = world.capture(source.as_ref());
    let prefix = root.display().to_string();
    let paths: Vec<String> = point
        .paths()
        .iter()
        .filter_map(|p| p.strip_prefix(&prefix).map(str::to_owned))
        .filter(|p| !p.is_empty())
        .collect();
    assert_eq!(
        paths,
        [
            "/deep",
            "/deep/cache",
            "/deep/cache/d",
            "/keep",
            "/keep/a.txt",
            "/x"
        ]
    );
    let shown = |name: &str, why: &str| format!("{} ({why})", root.join(name).display());
    assert_eq!(
        captured.left_out,
        [
            shown("cache", "excluded"),
            shown("state", "Vouchsafe's own"),
            shown("x/y", "excluded")
        ]
    );
    let inside = open(&format!("files:{}/state/vault", root.display()));
    let error = inside
        .capture(&world.ctx(), &mut Memory::default())
        .expect_err("refused");
    assert!(error.to_string().contains("Vouchsafe's own"), "{error}");
}

#[test]
fn what_cannot_be_read_is_an_issue_and_the_rest_is_captured() {
    let world = World::new();
    let root = world.path("data");
    fs::create_dir_all(&root).expect("directories");
    for n in 0..50 {
        fs::write(root.join(format!("f{n:02}")), "content").expect("writes");
    }
    let source = open(&format!("files:{}", root.display()));
    let mut memory = Memory::default();
    source.capture(&world.ctx(), &mut memory).expect("captures");
    // Gone, and replaced by a pipe, between the walk and the reading.
    fs::remove_file(root.join("f07")).expect("removes");
    fs::remove_file(root.join("f08")).expect("removes");
    sh(&root, "mkfifo f08");
    let point = memory.finish();
    assert_eq!(point.issues.len(), 2, "{:?}", point.issues);
    assert!(
        point
            .node(root.join("f07").to_str().expect("text"))
            .is_none()
    );
    assert!(
        point
            .node(root.join("f49").to_str().expect("text"))
            .is_some()
    );
}

/// As another user, in a process of its own: see [`what_may_not_be_read_is_an_issue`].
#[test]
fn capture_as_the_environment_says() {
    let Some(root) = std::env::var_os("SOURCES_TEST_ROOT") else {
        return;
    };
    let world = World::new();
    let source = open(&format!("files:{}", Path::new(&root).display()));
    let (captured, point) = world.capture(source.as_ref());
    assert_eq!(point.issues.len(), 2, "{:?}", point.issues);
    assert!(
        point.issues.iter().any(|i| i.place.ends_with("locked")),
        "{:?}",
        point.issues
    );
    assert!(
        point
            .issues
            .iter()
            .any(|i| i.message.contains("ermission denied")),
        "{:?}",
        point.issues
    );
    let to = world.path("to");
    let restored = source
        .restore(&world.ctx(), &point, &all_to(&to))
        .expect("restores");
    assert_eq!(fs::read(to.join("open/file")).expect("restored"), b"x");
    // Owners are those of the original in the point only; that is said once.
    assert_eq!(restored.issues.len(), 1, "{:?}", restored.issues);
    assert!(restored.issues[0].message.contains("takes root"));
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
    println!("captured as another user");
}

#[test]
fn what_may_not_be_read_is_an_issue() {
    if !is_root() {
        return;
    }
    let world = World::new();
    let root = world.path("data");
    fs::create_dir_all(root.join("locked/in")).expect("directories");
    fs::create_dir_all(root.join("open")).expect("directories");
    fs::write(root.join("open/file"), "x").expect("writes");
    fs::write(root.join("secret"), "x").expect("writes");
    // The child's own program must be reachable for the other user.
    sh(
        world.dir.path(),
        "chmod 755 .; chmod 700 data/locked; chmod 600 data/secret; mkdir -m 1777 tmp",
    );
    let program = world.path("test-program");
    // By another process: what this one has open for writing is inherited by whatever another test starts meanwhile, and
    // cannot be executed until that ends.
    let copied = std::process::Command::new("cp")
        .arg(std::env::current_exe().expect("a program"))
        .arg(&program)
        .status();
    assert!(copied.expect("cp runs").success());
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args([
            "--exact",
            "files::capture_as_the_environment_says",
            "--nocapture",
        ])
        .env("SOURCES_TEST_ROOT", &root)
        .env("TMPDIR", world.path("tmp"))
        .output()
        .expect("setpriv runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("captured as another user"),
        "{text}"
    );
}

#[test]
fn files_may_come_and_go_while_the_tree_is_walked() {
    let world = World::new();
    let root = world.path("busy");
    fs::create_dir_all(&root).expect("directories");
    fs::write(root.join("constant"), "here").expect("writes");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for n in 0..20 {
                    let dir = root.join(format!("d{n}"));
                    let _ = fs::create_dir(&dir);
                    let _ = fs::write(dir.join("f"), "x");
                    let _ = fs::remove_dir_all(root.join(format!("d{}", (n + 10) % 20)));
                }
            }
        });
        let source = open(&format!("files:{}", root.display()));
        for _ in 0..30 {
            let (_, point) = world.capture(source.as_ref());
            let constant = point
                .node(root.join("constant").to_str().expect("text"))
                .expect("captured");
            assert_eq!(point.content(&constant), b"here");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_single_path_is_restored_by_relative_or_absolute_name() {
    let world = World::new();
    let root = awkward_tree(&world);
    let source = open(&format!("files:{}", root.display()));
    let (_, point) = world.capture(source.as_ref());
    let absolute = root.join("deep/er");
    for (number, include) in [Path::new("deep/er"), absolute.as_path()]
        .iter()
        .enumerate()
    {
        let to = world.path(&format!("part-{number}"));
        let include = Some(TreePath::from_fs(include).expect("a path"));
        let request = RestoreRequest {
            to: to.clone(),
            include,
            force: false,
            form: Default::default(),
            compare: Default::default(),
        };
        let restored = source
            .restore(&world.ctx(), &point, &request)
            .expect("restores");
        assert_eq!(
            (restored.items, restored.issues.len()),
            (1, 0),
            "{restored:?}"
        );
        assert_eq!(
            fs::read(to.join("deep/er/same")).expect("restored"),
            b"hello"
        );
        assert!(
            to.join("deep/er/est").is_dir()
                && !to.join("index.html").exists()
                && !to.join("deep/big").exists()
        );
        assert_eq!(
            fs::metadata(to.join("deep/er/est"))
                .expect("metadata")
                .mode()
                & 0o7777,
            0o500
        );
    }
    let include = Some(TreePath::parse(b"no/such").expect("a path"));
    let request = RestoreRequest {
        to: world.path("none"),
        include,
        force: false,
        form: Default::default(),
        compare: Default::default(),
    };
    let error = source
        .restore(&world.ctx(), &point, &request)
        .expect_err("absent");
    assert!(error.to_string().contains("/no/such"), "{error}");
    assert!(!world.path("none").exists());
}

#[test]
fn force_replaces_what_has_the_same_name_and_nothing_else() {
    let world = World::new();
    let root = world.path("data");
    fs::create_dir_all(root.join("sub")).expect("directories");
    fs::write(root.join("a"), "captured").expect("writes");
    fs::write(root.join("sub/b"), "captured").expect("writes");
    let source = open(&format!("files:{}", root.display()));
    let (_, point) = world.capture(source.as_ref());
    let to = world.path("to");
    fs::create_dir_all(to.join("sub")).expect("directories");
    fs::write(to.join("other"), "mine").expect("writes");
    fs::write(world.path("outside"), "untouched").expect("writes");
    symlink(world.path("outside"), to.join("a")).expect("links");
    symlink(world.path("outside-dir"), to.join("sub/b")).expect("links");
    assert!(matches!(
        source.restore(&world.ctx(), &point, &all_to(&to)),
        Err(CaptureError::Target { .. })
    ));
    let request = RestoreRequest {
        to: to.clone(),
        include: None,
        force: true,
        form: Default::default(),
        compare: Default::default(),
    };
    let restored = source
        .restore(&world.ctx(), &point, &request)
        .expect("restores");
    assert_eq!(restored.issues, []);
    assert_eq!(fs::read(to.join("a")).expect("read"), b"captured");
    assert_eq!(fs::read(to.join("sub/b")).expect("read"), b"captured");
    assert_eq!(fs::read(to.join("other")).expect("read"), b"mine");
    assert_eq!(fs::read(world.path("outside")).expect("read"), b"untouched");
    // In place: refused unless forced.
    fs::write(root.join("a"), "lost").expect("writes");
    assert!(matches!(
        source.restore(&world.ctx(), &point, &all_to(&root.join("new"))),
        Err(CaptureError::Target { .. })
    ));
    let request = RestoreRequest {
        to: root.clone(),
        include: None,
        force: true,
        form: Default::default(),
        compare: Default::default(),
    };
    assert_eq!(
        source
            .restore(&world.ctx(), &point, &request)
            .expect("restores")
            .issues,
        []
    );
    assert_eq!(fs::read(root.join("a")).expect("read"), b"captured");
    assert!(source.owns(&root) && source.owns(&root.join("a/b")) && source.owns(world.dir.path()));
    assert!(!source.owns(&world.path("to")));
}

#[test]
fn nothing_there_is_an_error_or_red() {
    let world = World::new();
    let source = open(&format!("files:{}/absent", world.dir.path().display()));
    let error = source
        .capture(&world.ctx(), &mut Memory::default())
        .expect_err("absent");
    assert!(
        error.to_string().contains("there is nothing at this path"),
        "{error}"
    );
    assert!(source.discover(&world.ctx()).is_err());

    fs::create_dir(world.path("absent")).expect("a directory");
    let (captured, point) = world.capture(source.as_ref());
    let gone = Restored {
        place: world.path("gone"),
        ..Restored::default()
    };
    let rungs = world.compare(source.as_ref(), &gone, &captured, &point);
    assert_first_red(&rungs, "opens");
    assert!(rungs[1..].iter().all(|r| r.outcome == RungOutcome::Skipped));
}

#[test]
fn kinds_that_are_not_connected_say_so() {
    let url = vouchsafe_model::SourceUrl::parse("rds:us-east-2/db").expect("a source");
    let Err(error) = vouchsafe_sources::open(&url, &Settings::below(Path::new("/"))) else {
        panic!("it was opened");
    };
    assert!(
        error.to_string().contains("declared, not yet connected"),
        "{error}"
    );
    let url = vouchsafe_model::SourceUrl::parse("sqlite:/a.db").expect("a source");
    let exclude = ["*.tmp".to_owned()];
    let settings = Settings {
        exclude: &exclude,
        ..Settings::below(Path::new("/"))
    };
    assert!(vouchsafe_sources::open(&url, &settings).is_err());
}
