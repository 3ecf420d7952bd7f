//! The part of a database's URL that names its server, as every database's URL has it.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;

/// The authorities that the machine trusts, where Debian keeps them.
pub(crate) const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What is wrong with a URL, and what to do.
pub(crate) type Wrong = (String, String);

pub(crate) fn wrong(message: impl Into<String>, remedy: impl Into<String>) -> Wrong {
    (message.into(), remedy.into())
}

/// A port.
pub(crate) fn port(text: &str) -> Result<u16, Wrong> {
    let remedy = "write a number from 1 to 65535";
    text.parse()
        .map_err(|_| wrong(format!("`{text}` is not a port"), remedy))
}

/// Takes `host`, `host:port`, `[::1]` or `[::1]:port` apart.
pub(crate) fn split_port(place: &str) -> Result<(&str, Option<u16>), Wrong> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or_else(|| wrong("an address has no closing bracket", "write [::1]:PORT"))?;
        let number = rest.strip_prefix(':').map(port).transpose()?;
        return Ok((host, number));
    }
    match place.rsplit_once(':') {
        Some((host, number)) => Ok((host, Some(port(number)?))),
        None => Ok((place, None)),
    }
}

/// Undoes percent encoding.
pub(crate) fn decoded(text: &str) -> Result<String, Wrong> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| wrong("it is not UTF-8", "write it in UTF-8"))?;
    Ok(decoded.into_owned())
}

/// Whether what is sent to a host stays on this machine.
pub(crate) fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
