//! Ceph's S3 gateway over one monitor and one store in memory: it checks signatures, keeps versions and enforces locks.
//!
//! All of it runs in a process namespace of its own, so that the end of the first process is the end of every one,
//! and in a mount namespace of its own, so that nothing stays mounted.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::servers::{PASSWORD, Server, USER, free_port};
use crate::signed;

/// Names the root file system with Ceph in it that `cargo xtask conformance` makes.
pub const CEPH_VARIABLE: &str = "VOUCHSAFE_TEST_CEPH";

/// Mounts what Ceph needs into its root file system, which nobody else sees, and goes in there.
const OUTSIDE: &str = r#"
set -eu
mount --rbind /dev "$ROOT/dev"
mount -t proc proc "$ROOT/proc"
mount --bind "$HOME" "$ROOT/mnt"
exec chroot "$ROOT" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin CEPH_CONF=/mnt/ceph.conf MONITOR="$MONITOR" \
  ID="$ID" SECRET="$SECRET" sh -eu /mnt/inside
"#;

/// Makes keys, a monitor, a store and a user, and becomes the gateway. Ceph finds its classes by a path that begins
/// where it is started.
const INSIDE: &str = r#"
cd /
fsid=11111111-2222-3333-4444-555555555555
osd=66666666-7777-8888-9999-000000000000
keys=/mnt/keyring
ceph-authtool --create-keyring $keys --gen-key -n mon. --cap mon 'allow *'
ceph-authtool $keys --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
ceph-authtool $keys --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
ceph-mon --mkfs -i a --keyring $keys --public-addr "$MONITOR" --fsid $fsid
ceph-mon -i a --public-addr "$MONITOR"
ceph osd create $osd
ceph-osd -i 0 --mkfs --osd-uuid $osd
ceph-osd -i 0
ceph osd crush add 0 1.0 root=default host=h
radosgw-admin user create --uid=u --display-name=u --access-key="$ID" --secret-key="$SECRET" >/dev/null
exec radosgw -f -n client.admin
"#;

/// Starts Ceph with the buckets `bucket` and, with versions and object lock, `locked`.
pub fn start() -> Server {
    let root = root();
    let server = Server::start(|home, port| {
        let monitor = format!("127.0.0.1:{}", free_port());
        for part in ["mon", "osd", "run"] {
            fs::create_dir_all(home.join(part)).expect("a directory");
        }
        fs::write(home.join("ceph.conf"), configuration(&monitor, port)).expect("a configuration");
        fs::write(home.join("inside"), INSIDE).expect("a script");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child=KILL"])
            .args(["sh", "-c", OUTSIDE])
            .env("ROOT", &root)
            .env("HOME", home)
            .env("MONITOR", monitor)
            .env("ID", USER)
            .env("SECRET", PASSWORD);
        command
    });
    make_bucket(&server, "bucket", &[]);
    make_bucket(
        &server,
        "locked",
        &["x-amz-bucket-object-lock-enabled: true"],
    );
    server
}

fn make_bucket(server: &Server, name: &str, headers: &[&str]) {
    let answered = signed::send(server, "PUT", name, headers);
    assert_eq!(answered, 200, "no bucket {name}");
}

fn root() -> PathBuf {
    const ADVICE: &str = "run these tests by `cargo xtask conformance`, which provides it";
    let Some(root) = std::env::var_os(CEPH_VARIABLE) else {
        panic!("{CEPH_VARIABLE} names no root file system with Ceph: {ADVICE}");
    };
    let root = PathBuf::from(root);
    assert!(
        root.join("usr/bin/radosgw").is_file(),
        "{} holds no Ceph: {ADVICE}",
        root.display()
    );
    root
}

fn configuration(monitor: &str, port: u16) -> String {
    // With authentication off, the gateway waits for ever.
    format!(
        "[global]\nfsid = 11111111-2222-3333-4444-555555555555\nmon_host = {monitor}\n\
         public_addr = 127.0.0.1\nkeyring = {0}/keyring\nosd_pool_default_size = 1\n\
         mon_allow_pool_size_one = true\nosd_crush_chooseleaf_type = 0\nosd_objectstore = memstore\n\
         memstore_device_bytes = 1073741824\nosd_pool_default_pg_num = 1\nmon_data = {0}/mon\n\
         osd_data = {0}/osd\nrun_dir = {0}/run\nadmin_socket = {0}/run/$name.asok\nlog_file = {0}/log-$name\n\
         rgw_frontends = beast endpoint=127.0.0.1:{port}\nrgw_run_sync_thread = false\n",
        "/mnt"
    )
}
