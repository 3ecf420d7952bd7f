//! Where a MongoDB server is and how it is spoken to, read from the policy's URL.

use std::path::{Path, PathBuf};

use mongodb::options::{ClientOptions, Credential, ServerAddress, Tls as DriverTls, TlsOptions};
use vouchsafe_model::SourceUrl;

use crate::OpenSourceError;
use crate::authority::{SYSTEM_AUTHORITIES, Wrong, decoded, is_this_machine, split_port, wrong};

/// How much of the connection TLS protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    /// None: what is sent can be read on the way.
    Disabled,
    /// Encrypted; the server may be anybody.
    Unverified,
    /// Encrypted; the certificate is signed by a known authority and names the host.
    Verified,
}

impl Tls {
    pub(super) fn word(self) -> &'static str {
        match self {
            Tls::Disabled => "none",
            Tls::Unverified => "TLS, certificate not verified",
            Tls::Verified => "TLS, certificate verified",
        }
    }
}

/// One server of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// A name or an address, and a port.
    Tcp(String, u16),
    /// The absolute path of a socket.
    Socket(PathBuf),
}

/// A server or the members of a replica set, a user, and, unless all are meant, a database:
/// `mongodb://user@host:port/database?key=value`.
///
/// The keys are those of MongoDB's connection strings: `tls` (`true`, `false`), `tlsCAFile`,
/// `tlsAllowInvalidCertificates`, `authSource`, `replicaSet`. Without `tls` it is `true`, but for sockets and this
/// machine's own addresses, which are spoken to in the clear. A socket is written as a host with percent signs:
/// `mongodb://%2Frun%2Fmongodb-27017.sock/shop`. There is no password in it.
///
/// Without `replicaSet` the one server that is named is spoken to, whichever role it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) hosts: Vec<Host>,
    /// Empty for a server that lets everybody in.
    pub(super) user: String,
    /// Empty for all databases.
    pub(super) database: String,
    pub(super) tls: Tls,
    /// The file of the authorities that are trusted; the machine's own if none is named.
    authorities: Option<PathBuf>,
    /// The database in which the user is known.
    auth_source: String,
    replica_set: Option<String>,
}

const DEFAULT_PORT: u16 = 27017;
/// Databases that a server keeps for itself.
pub(super) const SYSTEM: [&str; 3] = ["admin", "config", "local"];
/// What a database's name may not hold: <https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions>.
const NOT_IN_NAMES: [char; 7] = ['/', '\\', '.', ' ', '"', '$', '\0'];

impl Address {
    /// Reads a source's URL; the file of authorities starts at `base`.
    pub(super) fn of_policy(url: &SourceUrl, base: &Path) -> Result<Address, OpenSourceError> {
        let read = Address::parse(url.rest());
        let mut address = read.map_err(|(message, remedy)| OpenSourceError::Place {
            source_url: url.to_string(),
            message,
            remedy,
        })?;
        address.authorities = address.authorities.map(|path| base.join(path));
        Ok(address)
    }

    /// Reads what follows `mongodb:`.
    pub(super) fn parse(rest: &str) -> Result<Address, Wrong> {
        let form = "write mongodb://user@host:27017/database";
        let rest = rest
            .strip_prefix("//")
            .ok_or_else(|| wrong("`//` must follow the scheme", form))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, places) = authority.rsplit_once('@').unwrap_or(("", authority));
        let hosts = places.split(',').map(host).collect::<Result<_, _>>()?;
        let mut out = Address {
            hosts,
            user: decoded(user)?,
            database: decoded(database)?,
            tls: Tls::Verified,
            authorities: None,
            auth_source: "admin".to_owned(),
            replica_set: None,
        };
        if out.user.contains(':') {
            return Err(wrong(
                "a password stands in it",
                "take it out, and say `password:` in the policy",
            ));
        }
        let database = out.database.as_str();
        if database.contains(NOT_IN_NAMES) || database.len() > 63 {
            return Err(wrong(
                format!("`{database}` is not the name of a database"),
                form,
            ));
        }
        if SYSTEM.contains(&database) {
            return Err(wrong(
                format!("`{database}` is the server's own"),
                "name a database of yours, or none for all of them",
            ));
        }
        let local = if out.is_this_machine() {
            Tls::Disabled
        } else {
            Tls::Verified
        };
        out.tls = out.take_query(query)?.unwrap_or(local);
        if out.hosts.len() > 1 && out.replica_set.is_none() {
            return Err(wrong(
                "it names several servers",
                "say of which replica set they are by ?replicaSet=NAME",
            ));
        }
        Ok(out)
    }

    fn take_query(&mut self, query: &str) -> Result<Option<Tls>, Wrong> {
        let (mut tls, mut unverified) = (None, false);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value)?;
            match key {
                "tls" | "ssl" => tls = Some(truth(key, &value)?),
                "tlsAllowInvalidCertificates" | "tlsInsecure" => unverified = truth(key, &value)?,
                "tlsCAFile" => self.authorities = Some(PathBuf::from(value)),
                "authSource" => self.auth_source = value,
                "replicaSet" => self.replica_set = Some(value),
                other => {
                    return Err(wrong(
                        format!("the key `{other}` is not known"),
                        "known are tls, tlsCAFile, tlsAllowInvalidCertificates, authSource and replicaSet",
                    ));
                }
            }
        }
        Ok(match tls {
            Some(false) => Some(Tls::Disabled),
            _ if unverified => Some(Tls::Unverified),
            Some(true) => Some(Tls::Verified),
            None => None,
        })
    }

    /// Whether nothing leaves this machine.
    fn is_this_machine(&self) -> bool {
        self.hosts.iter().all(|host| match host {
            Host::Socket(_) => true,
            Host::Tcp(name, _) => is_this_machine(name),
        })
    }

    /// The address of a server of our own, by its socket.
    pub(super) fn socket(path: PathBuf) -> Address {
        Address {
            hosts: vec![Host::Socket(path)],
            user: String::new(),
            database: String::new(),
            tls: Tls::Disabled,
            authorities: None,
            auth_source: "admin".to_owned(),
            replica_set: None,
        }
    }

    /// The same server, another database.
    pub(super) fn with_database(&self, database: &str) -> Address {
        Address {
            database: database.to_owned(),
            ..self.clone()
        }
    }

    /// The URL without secrets, for people.
    pub(super) fn shown(&self) -> String {
        let host = |host: &Host| match host {
            Host::Socket(path) => path.display().to_string().replace('/', "%2F"),
            Host::Tcp(name, port) if name.contains(':') => format!("[{name}]:{port}"),
            Host::Tcp(name, port) => format!("{name}:{port}"),
        };
        let hosts: Vec<String> = self.hosts.iter().map(host).collect();
        let at = if self.user.is_empty() { "" } else { "@" };
        let (user, database) = (&self.user, &self.database);
        format!("mongodb://{user}{at}{}/{database}", hosts.join(","))
    }

    /// Whether both are the same server, as far as their spelling tells: one host in common is enough.
    pub(super) fn same_server(&self, other: &Address) -> bool {
        self.hosts.iter().any(|host| other.hosts.contains(host))
    }

    /// Whether one lies within the other.
    pub(super) fn overlaps(&self, other: &Address) -> bool {
        self.same_server(other)
            && (self.database == other.database
                || self.database.is_empty()
                || other.database.is_empty())
    }

    /// For the driver, with the password that opens it.
    pub(super) fn options(&self, password: Option<String>) -> ClientOptions {
        let server = |host: &Host| match host {
            Host::Socket(path) => ServerAddress::Unix { path: path.clone() },
            Host::Tcp(host, port) => ServerAddress::Tcp {
                host: host.clone(),
                port: Some(*port),
            },
        };
        let mut options = ClientOptions::default();
        options.hosts = self.hosts.iter().map(server).collect();
        options.repl_set_name.clone_from(&self.replica_set);
        options.direct_connection = Some(self.replica_set.is_none());
        options.app_name = Some("vouchsafe".to_owned());
        options.tls = Some(self.driver_tls());
        if !self.user.is_empty() {
            let mut credential = Credential::default();
            credential.username = Some(self.user.clone());
            credential.source = Some(self.auth_source.clone());
            credential.password = password;
            options.credential = Some(credential);
        }
        options
    }

    fn driver_tls(&self) -> DriverTls {
        let mut options = TlsOptions::default();
        match self.tls {
            Tls::Disabled => return DriverTls::Disabled,
            Tls::Unverified => options.allow_invalid_certificates = Some(true),
            Tls::Verified => {}
        }
        let system = || PathBuf::from(SYSTEM_AUTHORITIES);
        options.ca_file_path = Some(self.authorities.clone().unwrap_or_else(system));
        DriverTls::Enabled(options)
    }
}

fn truth(key: &str, value: &str) -> Result<bool, Wrong> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong(
            format!("`{value}` is not a value of {key}"),
            "write true or false",
        )),
    }
}

/// `host`, `host:port`, `[::1]`, `[::1]:port`, or the path of a socket with percent signs.
fn host(place: &str) -> Result<Host, Wrong> {
    let (name, port) = split_port(place)?;
    let name = decoded(name)?;
    if name.starts_with('/') {
        return Ok(Host::Socket(PathBuf::from(name)));
    }
    if name.is_empty() {
        return Err(wrong(
            "it names no host",
            "write mongodb://user@host:27017/database",
        ));
    }
    Ok(Host::Tcp(name, port.unwrap_or(DEFAULT_PORT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn tls_is_verified_unless_nothing_leaves_the_machine() {
        assert_eq!(read("//u@db.internal/shop").tls, Tls::Verified);
        assert_eq!(read("//u@10.0.0.7/shop").tls, Tls::Verified);
        assert_eq!(
            read("//u@127.0.0.1,db.internal/shop?replicaSet=r").tls,
            Tls::Verified
        );
        assert_eq!(read("//u@127.0.0.1/shop").tls, Tls::Disabled);
        assert_eq!(read("//u@[::1]:3307/shop").tls, Tls::Disabled);
        assert_eq!(read("//%2Frun%2Fm.sock/shop").tls, Tls::Disabled);
        assert_eq!(read("//u@localhost/shop?tls=true").tls, Tls::Verified);
        assert_eq!(read("//u@db/shop?tls=false").tls, Tls::Disabled);
        assert_eq!(
            read("//u@db/?tlsAllowInvalidCertificates=true").tls,
            Tls::Unverified
        );
    }

    #[test]
    fn every_part_is_read() {
        let address =
            read("//back%20up@[fe80::1]:6000/sh%C3%B6p?tlsCAFile=/etc/ca.pem&authSource=shop");
        assert_eq!(address.hosts, [Host::Tcp("fe80::1".into(), 6000)]);
        assert_eq!(address.user, "back up");
        assert_eq!(address.database, "shöp");
        assert_eq!(address.shown(), "mongodb://back up@[fe80::1]:6000/shöp");
        let options = address.options(Some("x".into()));
        assert_eq!(options.direct_connection, Some(true));
        assert_eq!(options.credential.unwrap().source.as_deref(), Some("shop"));
        let DriverTls::Enabled(tls) = options.tls.unwrap() else {
            panic!("TLS is on");
        };
        assert_eq!(tls.ca_file_path, Some(PathBuf::from("/etc/ca.pem")));
        assert_eq!(tls.allow_invalid_certificates, None);
        let all = read("//u@a:1,b?replicaSet=rs0");
        assert_eq!(all.options(None).direct_connection, Some(false));
        assert!(all.same_server(&read("//v@b/x")));
        assert!(all.overlaps(&read("//v@b/x")));
        assert!(!read("//u@b/y").overlaps(&read("//v@b/x")));
        assert_eq!(read("//%2Frun%2Fs/x").shown(), "mongodb://%2Frun%2Fs/x");
    }

    #[test]
    fn what_is_missing_or_unknown_is_said() {
        for (text, says) in [
            ("shop", "`//`"),
            ("//u@/shop", "no host"),
            ("//u@h:x/shop", "not a port"),
            ("//u@h/shop?tls=maybe", "tls"),
            ("//u@h/shop?w=1", "`w`"),
            ("//u@h/%ff", "UTF-8"),
            ("//u@h/a.b", "not the name"),
            ("//u@[::1/shop", "bracket"),
            ("//u@h/admin", "server's own"),
            ("//u@h,i/shop", "several servers"),
            ("//u:p@h/shop", "password"),
        ] {
            let (message, remedy) = Address::parse(text).unwrap_err();
            assert!(message.contains(says), "{text}: {message}");
            assert!(!remedy.is_empty());
        }
    }
}
