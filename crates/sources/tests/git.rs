//! The kind `git` on real repositories.

use std::fs;
use std::path::Path;

use crate::common::{self, Memory, World, all_to, assert_first_red, assert_green, open, sh};
use vouchsafe_capture::{CaptureError, RestoreRequest, Source};

const HISTORY: &str = "
    git init -q -b main work && cd work
    echo one >a; git add a; git commit -qm one
    echo two >a; mkdir d; echo x >d/b; git add .; git commit -qm two
    git tag light; git tag -a -m 'a tag' signed; git notes add -m 'a note'
    git switch -qc side; echo three >c; git add c; git commit -qm three
    git switch -q main
    git update-ref refs/custom/kept side
    echo dirty >a; git stash -q; echo uncommitted >u
";

const LARGE: &str = "
    cd work; git lfs install --local >/dev/null
    git lfs track '*.bin' >/dev/null; head -c 5000 /dev/urandom >big.bin
    git add .gitattributes big.bin; git commit -qm large
";

fn git_url(path: &Path) -> String {
    format!("git:{}", path.display())
}

fn refs(dir: &Path) -> String {
    sh(
        dir,
        "git for-each-ref; git symbolic-ref HEAD || git rev-parse HEAD",
    )
}

#[test]
fn it_conforms() {
    let world = World::new();
    sh(world.dir.path(), HISTORY);
    common::conformance::conforms(&world, &git_url(&world.path("work")), "target");
}

#[test]
fn it_conforms_with_large_files() {
    let world = World::new();
    sh(world.dir.path(), &format!("{HISTORY}cd ..\n{LARGE}"));
    common::conformance::conforms(&world, &git_url(&world.path("work")), "target");
}

#[test]
fn everything_comes_back() {
    let world = World::new();
    sh(world.dir.path(), &format!("{HISTORY}cd ..\n{LARGE}"));
    let work = world.path("work");
    let source = open(&git_url(&work));
    let (captured, point) = world.capture(source.as_ref());
    assert_eq!(point.issues, []);
    let manifest = captured.manifest.clone().expect("a manifest");
    for key in [
        "HEAD",
        "ref:refs/heads/side",
        "ref:refs/tags/signed",
        "ref:refs/notes/commits",
        "ref:refs/stash",
        "ref:refs/custom/kept",
        "objects",
    ] {
        assert!(
            manifest.entries.contains_key(key),
            "{key} in {:?}",
            manifest.entries.keys()
        );
    }
    assert_eq!(
        manifest
            .entries
            .keys()
            .filter(|k| k.starts_with("lfs:"))
            .count(),
        1
    );
    let count: u64 = sh(&work, "git rev-list --objects --all | wc -l")
        .parse()
        .expect("a number");
    assert_eq!(manifest.entries["objects"].count, Some(count));
    assert!(point.paths().iter().all(|p| p.starts_with("/work.git")));
    assert!(
        !point
            .paths()
            .iter()
            .any(|p| p.contains("hooks") || p.ends_with(".lock") || p.ends_with("FETCH_HEAD"))
    );

    let restored = world.restore(source.as_ref(), &point, &world.path("bare"));
    assert_eq!(refs(&world.path("bare")), refs(&work));
    assert!(!sh(&world.path("bare"), "git config --list --local").contains("remote."));
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
    // What people do with it: a clone with its large files.
    sh(
        world.dir.path(),
        "git clone -q bare again && cd again && git lfs install --local >/dev/null; git lfs pull; cd .. && cmp again/big.bin work/big.bin",
    );
}

#[test]
fn a_mirror_follows_its_original() {
    let world = World::new();
    sh(world.dir.path(), HISTORY);
    let work = world.path("work");
    let source = open(&git_url(&work));
    let (first, _) = world.capture(source.as_ref());
    let steps = [
        "git commit -q --allow-empty -m more; git tag new",
        "git branch -D side; git tag -d light; git branch side/deeper",
        "git symbolic-ref HEAD refs/heads/side/deeper; git reset -q --hard; git commit --amend --allow-empty -qm rewritten",
        "git checkout -q --detach; git commit -q --allow-empty -m nowhere",
        "git pack-refs --all; git gc -q --prune=now",
    ];
    let mut last = first;
    for (number, step) in steps.into_iter().enumerate() {
        sh(&work, step);
        let (captured, point) = world.capture(source.as_ref());
        let restored = world.restore(
            source.as_ref(),
            &point,
            &world.path(&format!("bare-{number}")),
        );
        assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
        assert_eq!(refs(&restored.place), refs(&work), "after {step}");
        last = captured;
    }
    // A mirror that was broken off is made anew.
    let state = fs::read_dir(world.state())
        .expect("lists")
        .filter_map(Result::ok);
    let mirror = state
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "git"))
        .expect("a mirror");
    fs::write(mirror.join("packed-refs.lock"), "").expect("writes");
    fs::remove_dir_all(mirror.join("objects")).expect("removes");
    let (again, point) = world.capture(source.as_ref());
    assert_eq!(point.issues, []);
    assert_eq!(
        again.manifest.map(|m| m.entries),
        last.manifest.map(|m| m.entries)
    );
}

#[test]
fn each_damage_reddens_its_rung() {
    let world = World::new();
    sh(world.dir.path(), &format!("{HISTORY}cd ..\n{LARGE}"));
    let source = open(&git_url(&world.path("work")));
    let (captured, point) = world.capture(source.as_ref());
    let damages = [
        (
            "opens",
            "rm -r refs packed-refs HEAD",
            "there is no git repository",
        ),
        (
            "opens",
            "chmod -R u+w .; for p in objects/pack/*.pack; do printf x | dd of=$p bs=1 seek=60 conv=notrunc 2>/dev/null; done",
            "",
        ),
        ("opens", "rm -f objects/pack/*", ""),
        (
            "content",
            "git update-ref -d refs/heads/side",
            "ref:refs/heads/side is missing",
        ),
        (
            "content",
            "git update-ref refs/tags/light main~2",
            "ref:refs/tags/light: expected",
        ),
        (
            "content",
            "git update-ref refs/heads/extra main",
            "ref:refs/heads/extra was not captured",
        ),
        (
            "content",
            "git symbolic-ref HEAD refs/heads/side",
            "HEAD: expected ref: refs/heads/main; found ref: refs/heads/side",
        ),
        (
            "content",
            "git update-ref -d refs/notes/commits",
            "ref:refs/notes/commits is missing",
        ),
        ("content", "rm -r lfs/objects", "found missing"),
        (
            "content",
            "f=$(find lfs/objects -type f); chmod u+w $f; printf x | dd of=$f bs=1 seek=60 conv=notrunc 2>/dev/null",
            "lfs:",
        ),
    ];
    for (number, (rung, damage, expected)) in damages.into_iter().enumerate() {
        let restored = world.restore(
            source.as_ref(),
            &point,
            &world.path(&format!("d{number}.git")),
        );
        sh(&restored.place, damage);
        let actual = assert_first_red(
            &world.compare(source.as_ref(), &restored, &captured, &point),
            rung,
        );
        assert!(actual.contains(expected), "{expected} in {actual}");
    }
}

#[test]
fn it_is_pushed_into_an_empty_repository_and_never_over_refs() {
    let world = World::new();
    sh(world.dir.path(), &format!("{HISTORY}cd ..\n{LARGE}"));
    let source = open(&git_url(&world.path("work")));
    let (captured, point) = world.capture(source.as_ref());

    sh(
        world.dir.path(),
        "git init -q --bare -b other empty.git; git init -q -b main tree",
    );
    for target in ["empty.git", "tree"] {
        let restored = world.restore(source.as_ref(), &point, &world.path(target));
        assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
        assert_eq!(refs(&world.path(target)), refs(&world.path("work")));
    }
    assert_eq!(sh(&world.path("tree"), "cat d/b"), "x");

    sh(
        world.dir.path(),
        "git clone -q --bare work full.git; git -C full.git update-ref refs/heads/theirs main",
    );
    let to = world.path("full.git");
    let refused = source.restore(&world.ctx(), &point, &all_to(&to));
    assert!(
        matches!(refused, Err(CaptureError::Target { .. })),
        "{refused:?}"
    );
    assert!(refs(&to).contains("theirs"));
    let forced = RestoreRequest {
        to: to.clone(),
        include: None,
        force: true,
        form: Default::default(),
        compare: Default::default(),
    };
    let restored = source
        .restore(&world.ctx(), &point, &forced)
        .expect("restores");
    assert_eq!(restored.issues, []);
    assert_eq!(refs(&to), refs(&world.path("work")));

    let refused = source.restore(&world.ctx(), &point, &all_to(&world.path("work")));
    assert!(
        matches!(refused, Err(CaptureError::Target { .. })),
        "the source itself"
    );
    fs::create_dir(world.path("documents")).expect("a directory");
    fs::write(world.path("documents/letter"), "dear").expect("writes");
    let refused = source.restore(&world.ctx(), &point, &all_to(&world.path("documents")));
    assert!(
        matches!(refused, Err(CaptureError::Target { .. })),
        "a directory with other things"
    );
}

#[test]
fn a_url_is_captured_and_restored_to() {
    let world = World::new();
    sh(world.dir.path(), &format!("{HISTORY}cd ..\n{LARGE}"));
    sh(
        world.dir.path(),
        "git init -q --bare -b main empty.git; git init -q --bare -b trunk trunk.git",
    );
    let url = |name: &str| format!("file://{}", world.path(name).display());
    let source = open(&format!("git:{}", url("work")));
    let (captured, point) = world.capture(source.as_ref());
    assert_eq!(point.issues, []);
    // Git does not push refs of one level such as the stash.
    let restored = source
        .restore(&world.ctx(), &point, &all_to(Path::new(&url("empty.git"))))
        .expect("restores");
    assert_eq!(restored.issues.len(), 1, "{:?}", restored.issues);
    assert!(
        restored.issues[0].place.ends_with("refs/stash"),
        "{:?}",
        restored.issues
    );
    let without = |text: String| {
        text.lines()
            .filter(|l| !l.contains("stash"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        without(refs(&world.path("empty.git"))),
        without(refs(&world.path("work")))
    );
    assert_first_red(
        &world.compare(source.as_ref(), &restored, &captured, &point),
        "content",
    );
    // Without a stash the target is equal.
    sh(&world.path("work"), "git stash drop -q");
    let (captured, point) = world.capture(source.as_ref());
    sh(world.dir.path(), "git init -q --bare -b main second.git");
    let restored = world.restore(source.as_ref(), &point, Path::new(&url("second.git")));
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));

    // From afar HEAD cannot be set: said, not silently left.
    let restored = source
        .restore(&world.ctx(), &point, &all_to(Path::new(&url("trunk.git"))))
        .expect("restores");
    assert_eq!(restored.issues.len(), 1, "{:?}", restored.issues);
    assert!(restored.issues[0].message.contains("refs/heads/main"));
    assert_first_red(
        &world.compare(source.as_ref(), &restored, &captured, &point),
        "content",
    );

    assert!(source.owns(Path::new(&format!("{}/", url("work")))));
    assert!(source.owns(&world.path("work")));
    assert!(!source.owns(Path::new(&url("empty.git"))));
}

#[test]
fn large_files_that_are_missing_make_the_point_incomplete() {
    let world = World::new();
    sh(world.dir.path(), &format!("{HISTORY}cd ..\n{LARGE}"));
    sh(&world.path("work"), "rm -rf .git/lfs/objects");
    let source = open(&git_url(&world.path("work")));
    let (captured, point) = world.capture(source.as_ref());
    assert_eq!(point.issues.len(), 1, "{:?}", point.issues);
    assert!(point.issues[0].message.contains("git lfs fetch --all"));
    let restored = world.restore(source.as_ref(), &point, &world.path("bare"));
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
}

#[test]
fn hidden_refs_are_an_issue() {
    let world = World::new();
    sh(world.dir.path(), HISTORY);
    sh(
        &world.path("work"),
        "git config transfer.hideRefs refs/custom",
    );
    let (_, point) = world.capture(open(&git_url(&world.path("work"))).as_ref());
    assert_eq!(point.issues.len(), 1, "{:?}", point.issues);
    assert!(point.issues[0].place.ends_with("refs/custom/kept"));
}

#[test]
fn nothing_of_the_surroundings_is_run_or_asked() {
    let world = World::new();
    sh(world.dir.path(), HISTORY);
    let marker = world.path("hook-ran");
    let hook = format!("#!/bin/sh\ntouch {}\n", marker.display());
    sh(world.dir.path(), "git init -q --bare -b main target.git");
    for name in [
        "pre-receive",
        "update",
        "post-receive",
        "post-update",
        "reference-transaction",
    ] {
        fs::write(world.path("target.git/hooks").join(name), &hook).expect("writes");
    }
    sh(&world.path("target.git"), "chmod +x hooks/*");
    sh(
        &world.path("work"),
        &format!(
            "printf '%s' '{hook}' >.git/hooks/post-checkout; chmod +x .git/hooks/*; git config core.fsmonitor 'touch {}'",
            marker.display()
        ),
    );
    let source = open(&git_url(&world.path("work")));
    let (_, point) = world.capture(source.as_ref());
    world.restore(source.as_ref(), &point, &world.path("target.git"));
    assert!(!marker.exists());
}

#[test]
fn repositories_of_other_owners_empty_and_unborn_ones_work() {
    let world = World::new();
    sh(world.dir.path(), HISTORY);
    sh(
        world.dir.path(),
        "chown -R 65534:65534 work 2>/dev/null || true; git init -q -b unborn nothing; git init -q --bare --object-format=sha256 wide.git",
    );
    for name in ["work", "nothing", "wide.git"] {
        let source = open(&git_url(&world.path(name)));
        for round in 0..2 {
            let (captured, point) = world.capture(source.as_ref());
            let restored = world.restore(
                source.as_ref(),
                &point,
                &world.path(&format!("to-{name}-{round}")),
            );
            assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
            let spoiled = source.spoil(&world.ctx(), &restored).expect("spoils");
            assert_first_red(
                &world.compare(source.as_ref(), &restored, &captured, &point),
                &spoiled.damage.must_redden,
            );
        }
    }
}

#[test]
fn what_is_no_repository_is_refused() {
    let world = World::new();
    fs::create_dir(world.path("plain")).expect("a directory");
    // A repository above is not meant.
    sh(world.dir.path(), "git init -q .");
    for name in ["plain", "absent"] {
        let source = open(&git_url(&world.path(name)));
        let error = source
            .capture(&world.ctx(), &mut Memory::default())
            .expect_err("no repository");
        assert!(
            error.to_string().contains("there is no git repository"),
            "{error}"
        );
        assert!(source.discover(&world.ctx()).is_err());
    }
    let source: Box<dyn Source> = open(&format!("git:file://{}", world.path("absent").display()));
    let error = source.discover(&world.ctx()).expect_err("nothing there");
    assert!(error.to_string().contains("git failed"), "{error}");
}
