//! Damaged copies and damaged vaults of the kind `files`: each is seen where it must be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::common::memory::Fault;
use crate::common::trees::{awkward_tree, is_root};
use crate::common::{World, all_to, assert_first_red, open, sh};
use vouchsafe_capture::RestoreRequest;

#[test]
fn each_damage_reddens_its_rung() {
    type Damage = fn(&Path);
    let mut damages: Vec<(&str, &str, Damage)> = vec![
        ("opens", "deep is missing", |to| {
            fs::remove_dir_all(to.join("deep")).expect("removes")
        }),
        ("opens", "empty is a file, not a dir", |to| {
            fs::remove_dir(to.join("empty")).expect("removes");
            fs::write(to.join("empty"), "").expect("writes");
        }),
        ("content", "index.html: byte 4 differs", |to| {
            fs::write(to.join("index.html"), "hellO").expect("writes")
        }),
        ("content", "sparse: byte 9 differs", |to| {
            sh(
                to,
                "printf x | dd of=sparse bs=1 seek=9 conv=notrunc 2>/dev/null; touch -d @0 sparse",
            );
        }),
        ("content", "nothing has 1 bytes, not 0", |to| {
            fs::write(to.join("nothing"), "x").expect("writes")
        }),
        ("content", "dangling is missing", |to| {
            fs::remove_file(to.join("dangling")).expect("removes")
        }),
        (
            "content",
            "deep/extra is there but was not captured",
            |to| fs::write(to.join("deep/extra"), "").expect("writes"),
        ),
        ("content", "pipe is a file, not a fifo", |to| {
            fs::remove_file(to.join("pipe")).expect("removes");
            fs::write(to.join("pipe"), "").expect("writes");
        }),
        ("metadata", "index.html: mode is 0777", |to| {
            fs::set_permissions(to.join("index.html"), fs::Permissions::from_mode(0o777))
                .expect("sets");
        }),
        ("metadata", "deep/big: time is", |to| {
            drop(sh(to, "touch deep/big"))
        }),
        ("metadata", "deep: time is", |to| drop(sh(to, "touch deep"))),
        ("metadata", "dangling: link target is /elsewhere", |to| {
            drop(sh(
                to,
                "ln -sfn /elsewhere dangling; touch -h -d '1970-01-01T00:00:00.987654321Z' dangling",
            ));
        }),
        ("metadata", "attribute user.colour is missing", |to| {
            drop(sh(
                to,
                "python3 -c 'import os; os.removexattr(\"index.html\", \"user.colour\")'",
            ));
        }),
        (
            "metadata",
            "attribute system.posix_acl_default is missing",
            |to| drop(sh(to, "setfacl -k deep/er")),
        ),
        ("metadata", "attribute user.new was not captured", |to| {
            drop(sh(
                to,
                "python3 -c 'import os; os.setxattr(\"nothing\", \"user.new\", b\"1\")'",
            ));
        }),
        (
            "metadata",
            "is no longer the same file as its other names",
            |to| {
                drop(sh(
                    to,
                    "cp -p deep/er/same x; mv x deep/er/same; touch -d @-1.5 deep/er",
                ));
            },
        ),
        ("metadata", "one has 2 names, not 1", |to| {
            drop(sh(to, "ln -f one two"))
        }),
    ];
    if is_root() {
        damages.push(("metadata", "deep/big: owner is 1:1", |to| {
            drop(sh(to, "chown 1:1 deep/big"))
        }));
        damages.push(("metadata", "null: device is", |to| {
            drop(sh(to, "rm null; mknod null c 1 5"))
        }));
    }
    let world = World::new();
    let root = awkward_tree(&world);
    let source = open(&format!("files:{}", root.display()));
    let (captured, point) = world.capture(source.as_ref());
    for (number, (rung, expected, damage)) in damages.iter().enumerate() {
        let to = world.path(&format!("damaged-{number}"));
        let restored = world.restore(source.as_ref(), &point, &to);
        damage(&to);
        let actual = assert_first_red(
            &world.compare(source.as_ref(), &restored, &captured, &point),
            rung,
        );
        assert!(actual.contains(expected), "{expected} in {actual}");
        fs::remove_dir_all(&to).expect("removes");
    }
}

#[test]
fn a_vault_that_fails_never_looks_like_a_restore() {
    let world = World::new();
    let root = awkward_tree(&world);
    let source = open(&format!("files:{}", root.display()));
    let (captured, mut point) = world.capture(source.as_ref());
    for (number, fault) in [Fault::Failed, Fault::Forgotten].into_iter().enumerate() {
        point.fault = fault;
        let to = world.path(&format!("faulty-{number}"));
        let restored = source
            .restore(&world.ctx(), &point, &all_to(&to))
            .expect("restores the rest");
        assert_eq!(restored.issues.len(), 1, "{:?}", restored.issues);
        assert_eq!(restored.issues[0].place, "sparse");
        assert!(
            !to.join("sparse").exists(),
            "half a file is not left behind"
        );
        assert_eq!(fs::read(to.join("index.html")).expect("restored"), b"hello");
        point.fault = Fault::None;
        assert_first_red(
            &world.compare(source.as_ref(), &restored, &captured, &point),
            "content",
        );
    }
    // A comparison with a vault that cannot deliver is no comparison.
    let restored = world.restore(source.as_ref(), &point, &world.path("good"));
    for fault in [Fault::Failed, Fault::Forgotten, Fault::WrongByte] {
        point.fault = fault;
        let actual = assert_first_red(
            &world.compare(source.as_ref(), &restored, &captured, &point),
            "content",
        );
        assert!(actual.contains("sparse"), "{actual}");
    }
}

#[test]
fn what_a_damaged_tree_hides_is_an_issue_and_the_rest_is_restored() {
    let world = World::new();
    let root = awkward_tree(&world);
    let source = open(&format!("files:{}", root.display()));
    let (captured, mut point) = world.capture(source.as_ref());
    point.hidden = Some(b"deep".to_vec());
    let to = world.path("to");
    let restored = source
        .restore(&world.ctx(), &point, &all_to(&to))
        .expect("restores the rest");
    // The hard link's other name lies in what is hidden.
    assert_eq!(restored.issues.len(), 1, "{:?}", restored.issues);
    assert!(restored.issues[0].message.contains("damaged"));
    assert_eq!(
        fs::read(to.join("sparse")).expect("restored").len(),
        3 * 1024 * 1024 + 3
    );
    assert_eq!(
        fs::metadata(to.join("empty"))
            .expect("restored")
            .permissions()
            .mode()
            & 0o7777,
        0o1777
    );
    point.hidden = None;
    assert_first_red(
        &world.compare(source.as_ref(), &restored, &captured, &point),
        "opens",
    );
}

/// Many files are fetched while the walk still goes on; it ends too, and not with an error of its own.
#[test]
fn a_vault_that_is_gone_ends_the_restore_and_is_why() {
    for count in [3, 20_000] {
        let world = World::new();
        let root = world.path("srv/many");
        fs::create_dir_all(&root).expect("a directory");
        for number in 0..count {
            fs::write(root.join(number.to_string()), "x").expect("writes");
        }
        let source = open(&format!("files:{}", root.display()));
        let (_, mut point) = world.capture(source.as_ref());
        point.fault = Fault::Lost;
        let request = RestoreRequest {
            to: world.path("to"),
            include: None,
            force: false,
            form: Default::default(),
            compare: Default::default(),
        };
        let error = source.restore(&world.ctx(), &point, &request);
        let error = error.expect_err("nothing can be fetched").to_string();
        assert_eq!(error, "the vault is gone", "{count}");
    }
}
