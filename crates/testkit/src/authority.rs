//! A real authority of time stamps: OpenSSL's, with certificates made for the test, behind a small HTTP server.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::{TempDir, tempdir};

/// The key of an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// RSA of 2048 bits.
    Rsa,
    /// ECDSA on P-256, and SHA-256.
    P256,
    /// ECDSA on P-384, and SHA-384.
    P384,
}

/// What a certificate for time stamps says of itself.
pub const FIT: &str =
    "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n";

/// An authority whose certificate one between it and a root has issued.
pub struct Authority {
    dir: TempDir,
    keys: Keys,
}

const CONFIG: &str = "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\ncrypto_device=builtin\nsigner_cert=tsa.pem\n\
    certs=middle.pem\nsigner_key=tsa.key\ndefault_policy=1.2.3.4.1\nother_policies=1.2.3.4.2\n\
    accuracy=secs:1,millisecs:500,microsecs:100\nclock_precision_digits=6\nordering=yes\ntsa_name=yes\n\
    ess_cert_id_chain=no\n";
const CA: &str = "[ca]\ndefault_ca=c\n[c]\nnew_certs_dir=.\ndatabase=index.txt\nrand_serial=yes\n\
    default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\norganizationName=optional\n\
    countryName=optional\n";

impl Authority {
    /// One whose time stamps are good.
    pub fn new(keys: Keys) -> Authority {
        let authority = Authority::rooted(keys);
        authority.certify("tsa", FIT, None);
        authority
    }

    /// Root and the certificate between, and none of the authority itself yet: see [`Authority::certify`].
    pub fn rooted(keys: Keys) -> Authority {
        let authority = Authority {
            dir: tempdir().expect("a directory"),
            keys,
        };
        let digest = match keys {
            Keys::P384 => "signer_digest=sha384\ndigests=sha256,sha512\ness_cert_id_alg=sha384\n",
            // The older attribute for the certificate, with SHA-1, is still met.
            Keys::Rsa => "signer_digest=sha512\ndigests=sha256,sha512\ness_cert_id_alg=sha1\n",
            Keys::P256 => "signer_digest=sha256\ndigests=sha256,sha512\ness_cert_id_alg=sha256\n",
        };
        authority.write("tsa.cnf", format!("{CONFIG}{digest}").as_bytes());
        authority.write("ca.cnf", CA.as_bytes());
        authority.write("index.txt", b"");
        authority.write("serial", b"01\n");
        let root = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.pem \
             -days 3650 -addext keyUsage=critical,keyCertSign -subj /O=Test/CN=Root";
        authority.openssl(root);
        authority.key_and_request(
            "middle",
            "ec -pkeyopt ec_paramgen_curve:P-384",
            "/O=Test/CN=Middle",
        );
        authority.issue(
            "middle",
            "root",
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n",
            Some("20000101000000Z 20991231235959Z"),
        );
        authority
    }

    /// Makes a key and a certificate called `name`, with these extensions, valid for ten years from now on or within
    /// the two times. `tsa` is the one that [`Authority::answer`] signs with.
    pub fn certify(&self, name: &str, extensions: &str, valid: Option<&str>) {
        let key = match self.keys {
            Keys::Rsa => "rsa:2048",
            Keys::P256 => "ec -pkeyopt ec_paramgen_curve:P-256",
            Keys::P384 => "ec -pkeyopt ec_paramgen_curve:P-384",
        };
        self.key_and_request(name, key, "/C=GB/O=Test-Time/CN=Test-TSA");
        self.issue(name, "middle", extensions, valid);
    }

    /// The root's certificate.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root.pem")
    }

    /// The answer to a request.
    pub fn answer(&self, query: &[u8]) -> Vec<u8> {
        self.write("q.tsq", query);
        self.openssl("ts -reply -config tsa.cnf -queryfile q.tsq -out r.tsr");
        self.read("r.tsr")
    }

    /// The token in an answer.
    pub fn token(&self, answer: &[u8]) -> Vec<u8> {
        self.write("r.tsr", answer);
        self.openssl("ts -reply -config tsa.cnf -in r.tsr -token_out -out t.der");
        self.read("t.der")
    }

    /// What a token says: its TSTInfo in DER.
    pub fn said(&self, token: &[u8]) -> Vec<u8> {
        self.write("t.der", token);
        self.openssl("cms -verify -noverify -inform DER -in t.der -binary -out said.der");
        self.read("said.der")
    }

    /// A token that says this, signed with a certificate of [`Authority::certify`], whatever it is fit for.
    pub fn sign(&self, name: &str, said: &[u8]) -> Vec<u8> {
        self.write("said.der", said);
        let digest = match self.keys {
            Keys::P384 => "sha384",
            _ => "sha256",
        };
        self.openssl(&format!(
            "cms -sign -in said.der -signer {name}.pem -inkey {name}.key -certfile middle.pem \
             -econtent_type 1.2.840.113549.1.9.16.1.4 -outform DER -binary -nodetach -cades -md {digest} -out t.der"
        ));
        self.read("t.der")
    }

    /// Whether OpenSSL accepts a token for this text.
    pub fn accepts(&self, token: &[u8], text: &[u8]) -> bool {
        self.write("t.der", token);
        self.write("text", text);
        let arguments = "ts -verify -token_in -in t.der -data text -CAfile root.pem";
        self.run(arguments).status.success()
    }

    /// Answers requests on this machine until the test's program ends: what `answer` makes of each. The address.
    pub fn serve(
        self: &Arc<Authority>,
        answer: impl Fn(&Authority, &[u8]) -> Vec<u8> + Send + 'static,
    ) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let authority = Arc::clone(self);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = respond(stream, |query| answer(&authority, query));
            }
        });
        format!("http://{address}/tsa")
    }

    fn key_and_request(&self, name: &str, key: &str, subject: &str) {
        self.openssl(&format!(
            "req -newkey {key} -nodes -keyout {name}.key -out {name}.csr -subj {subject}"
        ));
    }

    fn issue(&self, name: &str, by: &str, extensions: &str, valid: Option<&str>) {
        let more = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
        self.write("extensions", format!("{extensions}{more}").as_bytes());
        let valid = match valid.and_then(|v| v.split_once(' ')) {
            Some((from, to)) => format!("-startdate {from} -enddate {to}"),
            None => "-days 3650".to_owned(),
        };
        self.openssl(&format!(
            "ca -batch -config ca.cnf -in {name}.csr -cert {by}.pem -keyfile {by}.key -notext -out {name}.pem \
             -extfile extensions {valid}"
        ));
    }

    fn openssl(&self, arguments: &str) {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}:\n{said}");
    }

    fn run(&self, arguments: &str) -> std::process::Output {
        Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.dir.path())
            .output()
            .expect("openssl is needed: apt-get install openssl")
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.dir.path().join(name), bytes).expect("a file");
    }

    fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        fs::read(self.dir.path().join(name)).expect("a file")
    }
}

/// One request of HTTP, answered.
fn respond(stream: TcpStream, answer: impl FnOnce(&[u8]) -> Vec<u8>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut is_query, mut line) = (0, false, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let lower = line.trim_end().to_ascii_lowercase();
        match lower.split_once(": ") {
            Some(("content-length", digits)) => length = digits.parse().unwrap_or(0),
            Some(("content-type", kind)) => is_query = kind == "application/timestamp-query",
            _ if lower.is_empty() => break,
            _ => {}
        }
    }
    let mut query = vec![0; length];
    reader.read_exact(&mut query)?;
    let mut stream = reader.into_inner();
    if !is_query {
        return stream
            .write_all(b"HTTP/1.1 415 Other\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    let body = answer(&query);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/timestamp-reply\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}
