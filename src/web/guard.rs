//! Which pages may talk to this server: pure decisions over the Host and Origin headers.
//!
//! A browser lets any page open a websocket to any server, and says in Origin which page asks: that must be this server's
//! own page, or one that the operator named. And a hostile page can let its own name resolve to 127.0.0.1; its Origin and Host
//! then agree, so a server on loopback asks that Host be a name of loopback. Programs that are no browsers send no Origin and
//! may connect.

use std::net::SocketAddr;
use std::str::FromStr;

/// A page's origin as browsers write it, like `https://example.org` or `http://127.0.0.1:8875`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    authority: Authority,
}

/// Why a text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not an origin; an origin is a scheme, a host and perhaps a port, like https://example.org"
)]
pub struct OriginError(String);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    host: String,
    port: Option<u16>,
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let error = || OriginError(text.to_owned());
        let (scheme, authority) = text.split_once("://").ok_or_else(error)?;
        let scheme = scheme.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return Err(error()),
        };
        let mut authority = Authority::parse(authority).ok_or_else(error)?;
        authority.port.get_or_insert(usual);
        Ok(Origin { scheme, authority })
    }
}

impl Authority {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/@?#\\".contains(c);
        if host.is_empty() || host.contains(odd) || (host.contains(':') && !host.starts_with('[')) {
            return None;
        }
        Some(Authority {
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

/// Who may connect.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    on_loopback: bool,
    allowed: Vec<Origin>,
}

impl Guard {
    /// For a listener at this address; `allowed` are the origins beside the page's own.
    pub(crate) fn new(listener: SocketAddr, allowed: Vec<Origin>) -> Self {
        Guard {
            on_loopback: listener.ip().to_canonical().is_loopback(),
            allowed,
        }
    }

    /// Whether a request with this Host is meant for this server.
    pub(crate) fn host_is_ours(&self, host: Option<&str>) -> bool {
        let Some(host) = host else {
            // Browsers always send one.
            return true;
        };
        if !self.on_loopback {
            return true;
        }
        Authority::parse(host).is_some_and(|authority| {
            let named = ["localhost", "127.0.0.1", "[::1]"].contains(&authority.host.as_str());
            named
                || self
                    .allowed
                    .iter()
                    .any(|origin| origin.authority.host == authority.host)
        })
    }

    /// Whether a page of this origin may open a websocket to the server that it calls `host`.
    pub(crate) fn origin_may_connect(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        let Ok(origin) = origin.parse::<Origin>() else {
            return false;
        };
        self.names(&origin) || host.is_some_and(|host| same(&origin, host))
    }

    /// Whether the operator named this origin.
    pub(crate) fn origin_is_named(&self, origin: &str) -> bool {
        origin.parse().is_ok_and(|origin| self.names(&origin))
    }

    fn names(&self, origin: &Origin) -> bool {
        self.allowed.contains(origin)
    }
}

/// Whether the page's own server is the one called `host`. The scheme is not compared: a proxy may add TLS.
fn same(origin: &Origin, host: &str) -> bool {
    let usual = if origin.scheme == "https" { 443 } else { 80 };
    Authority::parse(host).is_some_and(|host| {
        host.host == origin.authority.host
            && Some(host.port.unwrap_or(usual)) == origin.authority.port
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(listener: &str, allowed: &[&str]) -> Guard {
        let allowed = allowed
            .iter()
            .map(|origin| origin.parse().unwrap())
            .collect();
        Guard::new(listener.parse().unwrap(), allowed)
    }

    #[test]
    fn on_loopback_the_host_must_be_a_name_of_loopback() {
        let guard = guard("127.0.0.1:8875", &["https://top.example.org"]);
        for ours in [
            "localhost",
            "localhost:8875",
            "LOCALHOST:1",
            "127.0.0.1:8875",
            "[::1]",
            "[::1]:8875",
            "top.example.org",
        ] {
            assert!(guard.host_is_ours(Some(ours)), "{ours}");
        }
        for foreign in [
            "evil.example",
            "evil.example:8875",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "",
            "localhost@evil.example",
            "::1",
        ] {
            assert!(!guard.host_is_ours(Some(foreign)), "{foreign}");
        }
        assert!(guard.host_is_ours(None));
    }

    #[test]
    fn elsewhere_the_server_may_have_any_name() {
        assert!(guard("0.0.0.0:8875", &[]).host_is_ours(Some("top.example.org")));
        assert!(!guard("[::1]:8875", &[]).host_is_ours(Some("top.example.org")));
    }

    #[test]
    fn only_the_own_page_and_named_ones_connect() {
        let guard = guard("0.0.0.0:8875", &["https://friend.example"]);
        let table = [
            (None, "localhost:8875", true),
            (Some("http://localhost:8875"), "localhost:8875", true),
            (Some("http://localhost"), "localhost:8875", false),
            (Some("http://localhost:8876"), "localhost:8875", false),
            (Some("https://top.example.org"), "top.example.org", true),
            (Some("https://top.example.org:443"), "top.example.org", true),
            (Some("http://top.example.org"), "top.example.org:80", true),
            (Some("https://friend.example"), "top.example.org", true),
            (Some("http://friend.example"), "top.example.org", false),
            (Some("https://evil.example"), "top.example.org", false),
            (Some("null"), "top.example.org", false),
            (Some(""), "top.example.org", false),
        ];
        for (origin, host, may) in table {
            assert_eq!(
                guard.origin_may_connect(origin, Some(host)),
                may,
                "{origin:?} {host}"
            );
        }
    }

    #[test]
    fn an_origin_has_a_scheme_and_no_path() {
        for wrong in [
            "example.org",
            "ftp://example.org",
            "https://",
            "https://example.org/",
            "https://a b",
            "https://example.org:x",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}
