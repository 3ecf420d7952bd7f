//! Where a server is asked for a clone of itself.

use vouchsafe_capture::CaptureError;

use super::super::address::{Address, Tls};
use super::super::session::{Session, unreadable};
use super::way::Origin;

/// Where the recipient finds the original: the plugin goes through the network, also within a machine. Who answers there
/// is the server that the session has.
pub(super) fn donor(
    from: &Origin<'_>,
    session: &mut Session,
) -> Result<(String, u16), CaptureError> {
    const OURS: &str = "SELECT @@server_uuid";
    let (host, port) = listens_at(from, session)?;
    let there = through_network(from, &host, port)
        .and_then(|mut there| there.text(OURS))
        .map_err(|error| gives_none(from, &error.to_string()))?;
    if there != session.text(OURS)? {
        let message =
            format!("at {host}:{port} another server answers, whose server_uuid is {there}");
        let remedy = "name this one by a host and port at which no other answers, no balancer and no name that several share";
        return Err(unreadable(&from.shown, message, remedy));
    }
    Ok((host, port))
}

/// Our own connection to where a clone is asked for, protected as the plugin's is.
fn through_network(from: &Origin<'_>, host: &str, port: u16) -> Result<Session, CaptureError> {
    let address = from.address;
    let open = |tls| {
        let there = Address {
            host: host.to_owned(),
            port,
            socket: None,
            tls,
            ..address.clone()
        };
        Session::open(&there, from.login.password())
    };
    match address.tls {
        // Some passwords are sent over TLS only.
        Tls::Disabled if address.is_this_machine() => {
            open(Tls::Disabled).or_else(|first| open(Tls::Required).map_err(|_| first))
        }
        // Within the machine the certificate bears another name than the address, and the plugin asks for no name.
        Tls::VerifyIdentity if host != address.host => open(Tls::VerifyAuthority),
        tls => open(tls),
    }
}

/// The host and port at which the server listens.
fn listens_at(from: &Origin<'_>, session: &mut Session) -> Result<(String, u16), CaptureError> {
    const NOT_BY_IPV6: &str = "the plugin `clone` cannot be told an IPv6 address";
    let address = from.address;
    if address.socket.is_none() {
        let host = loopback(&address.host);
        if host.contains(':') {
            let remedy = "name the host by its name or its IPv4 address in the URL";
            return Err(unreadable(&from.shown, NOT_BY_IPV6, remedy));
        }
        return Ok((host, address.port));
    }
    let unreachable = || {
        unreadable(
            &from.shown,
            "it listens on its socket only, and a clone is asked for through the network",
            "let it listen within the machine (skip_networking=OFF, bind_address=127.0.0.1)",
        )
    };
    if session.text("SELECT @@skip_networking")? != "0" {
        return Err(unreachable());
    }
    let port = session.text("SELECT @@port")?.parse();
    let bound = session.text("SELECT @@bind_address")?;
    let host = host_of(&bound).ok_or_else(|| {
        let message = format!("it listens at {bound} only, and {NOT_BY_IPV6}");
        let remedy = "let it listen at 127.0.0.1 as well (bind_address)";
        unreadable(&from.shown, message, remedy)
    })?;
    Ok((host, port.map_err(|_| unreachable())?))
}

/// Of the addresses at which a server listens on this machine the first that the plugin can be told.
fn host_of(bound: &str) -> Option<String> {
    let host = |one: &str| match one.trim() {
        "" | "*" | "::" | "0.0.0.0" => "127.0.0.1".to_owned(),
        host => loopback(host),
    };
    bound.split(',').map(host).find(|host| !host.contains(':'))
}

/// The client's library would look for a socket.
fn loopback(host: &str) -> String {
    match host {
        "localhost" => "127.0.0.1".to_owned(),
        host => host.to_owned(),
    }
}

/// An error for a server that gives no clone of itself, and what was said to that.
pub(super) fn gives_none(from: &Origin<'_>, said: &str) -> CaptureError {
    let message = format!("it gives no clone of itself: {said}");
    let remedy = "the account must be let in through the network from this machine, and the guide to databases lists what a clone needs";
    unreadable(&from.shown, message, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_asked_for_at_the_first_address_that_the_plugin_can_be_told() {
        for (bound, host) in [
            ("*", Some("127.0.0.1")),
            ("::", Some("127.0.0.1")),
            ("localhost", Some("127.0.0.1")),
            ("10.0.0.5, 127.0.0.1", Some("10.0.0.5")),
            ("::1,127.0.0.1", Some("127.0.0.1")),
            ("::1", None),
            ("fe80::1,::1", None),
        ] {
            assert_eq!(host_of(bound).as_deref(), host, "{bound}");
        }
    }
}
