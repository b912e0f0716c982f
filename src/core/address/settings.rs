//! From text to settings, and from settings to an address: the two forms of a connection string, by libpq's grammar.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::pgpass;
use super::{
    Address, AddressError, ChannelBinding, DEFAULT_CONNECT_TIMEOUT, DEFAULT_DATABASE, DEFAULT_HOST,
    DEFAULT_PORT, DEFAULT_USER, Environment, Password, Roots, SslMode,
};

/// The settings that an address may have, and the variable that stands in for each.
const SETTINGS: [(&str, &str); 13] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
];

/// Settings that libpq knows and that make no difference here: what they ask for is always so, or never.
const IGNORED: [&str; 10] = [
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "sslcompression",
    "sslsni",
    "tcp_user_timeout",
];

/// Settings by name, each given once: the last one counts, as in libpq.
#[derive(Debug, Default)]
pub(super) struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    pub(super) fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"));
        match rest {
            Some(rest) => Settings::of_url(rest),
            None if text.contains("://") => Err(AddressError::Malformed(
                "the URL does not begin with postgres://".to_owned(),
            )),
            None => Settings::of_pairs(text),
        }
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), AddressError> {
        if let Some((known, _)) = SETTINGS.iter().find(|(known, _)| *known == name) {
            self.0.insert(known, value);
        } else if !IGNORED.contains(&name) {
            return Err(AddressError::UnknownSetting(name.to_owned()));
        }
        Ok(())
    }

    /// `[user[:password]@][host][:port][/database][?name=value&...]`, each part percent-encoded.
    fn of_url(rest: &str) -> Result<Self, AddressError> {
        let mut settings = Settings::default();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        let (host, port) = host_and_port(place)?;
        let parts = [
            ("user", user),
            ("host", host),
            ("port", port),
            ("dbname", database),
        ];
        for (name, value) in parts.into_iter().filter(|(_, value)| !value.is_empty()) {
            settings.set(name, percent_decoded(value, name)?)?;
        }
        if let Some(password) = password {
            settings.set("password", percent_decoded(password, "password")?)?;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                AddressError::Malformed("a setting after the question mark has no value".to_owned())
            })?;
            let name = percent_decoded(name, "a setting's name")?;
            let value = percent_decoded(value, &name)?;
            match (name.as_str(), value.as_str()) {
                // The words of another driver, which libpq takes in URLs.
                ("ssl", "true") => settings.set("sslmode", "require".to_owned())?,
                _ => settings.set(&name, value)?,
            }
        }
        Ok(settings)
    }

    /// `name = value` pairs; a value may stand in single quotes, and a backslash takes the next character as it is.
    fn of_pairs(text: &str) -> Result<Self, AddressError> {
        let mut settings = Settings::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=').ok_or_else(|| {
                AddressError::Malformed(
                    "it is neither a postgres:// URL nor name=value pairs".to_owned(),
                )
            })?;
            let name = name.trim();
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(AddressError::Malformed("a setting has no value".to_owned()));
            }
            let (value, after) = pair_value(after.trim_start())?;
            settings.set(name, value)?;
            rest = after.trim_start();
        }
        Ok(settings)
    }

    /// Fills what is missing from the PG* variables.
    pub(super) fn complete(&mut self, variable: &dyn Fn(&str) -> Option<String>) {
        for (name, variable_name) in SETTINGS {
            if !self.0.contains_key(name)
                && let Some(value) = variable(variable_name)
            {
                self.0.insert(name, value);
            }
        }
    }

    fn take(&mut self, name: &'static str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    pub(super) fn into_address(
        mut self,
        environment: &Environment<'_>,
    ) -> Result<Address, AddressError> {
        let hostaddr = match self.take("hostaddr") {
            Some(text) => Some(parsed::<IpAddr>("hostaddr", &text)?),
            None => None,
        };
        let host = match (self.take("host"), hostaddr) {
            (Some(host), _) if host.contains(',') => {
                return Err(invalid("host", host));
            }
            (Some(host), _) => host,
            (None, Some(address)) => address.to_string(),
            (None, None) => DEFAULT_HOST.to_owned(),
        };
        let port = match self.take("port") {
            // The text is not shown: with a bare slash in a URL's password, what seems to be the port is half of the password.
            Some(text) => text.trim().parse().map_err(|_| {
                let reason = "the port is no number up to 65535 (in a URL, write / ? # and @ of a password as %2F %3F %23 %40)";
                AddressError::Malformed(reason.to_owned())
            })?,
            None => DEFAULT_PORT,
        };
        let user = self.take("user").unwrap_or_else(|| DEFAULT_USER.to_owned());
        let database = self
            .take("dbname")
            .unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
        let passfile = self.take("passfile").map(PathBuf::from);
        let passfile = passfile.or_else(|| Some(environment.home.as_ref()?.join(".pgpass")));
        let password = self.take("password").map(Password).or_else(|| {
            let key = pgpass::Key {
                host: &host,
                port,
                database: &database,
                user: &user,
            };
            pgpass::look_up(&passfile?, &key)
        });
        let (ssl_mode, roots) = self.tls(is_local(&host, hostaddr), environment)?;
        Ok(Address {
            hostaddr,
            port,
            user,
            password,
            database,
            ssl_mode,
            roots,
            channel_binding: self.channel_binding()?,
            options: self.take("options"),
            application_name: self
                .take("application_name")
                .unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned()),
            connect_timeout: self.connect_timeout()?,
            cluster: None,
            host,
        })
    }

    /// How much TLS, and whom to trust.
    ///
    /// As in libpq, a root certificate makes `require` verify it, and `sslrootcert=system` asks for `verify-full`. Other than in
    /// libpq, whoever names a root certificate and no mode gets `verify-full`, and verification without a file trusts the operating
    /// system's authorities: Materialize's cloud has certificates of those.
    fn tls(
        &mut self,
        is_local: bool,
        environment: &Environment<'_>,
    ) -> Result<(SslMode, Roots), AddressError> {
        let mode = match self.take("sslmode") {
            Some(text) => Some(ssl_mode(&text).ok_or_else(|| invalid("sslmode", text))?),
            None => None,
        };
        let named = self.take("sslrootcert");
        let mode = match (mode, &named) {
            (None, None) if is_local => SslMode::Prefer,
            (None, _) => SslMode::VerifyFull,
            (Some(mode), _) => mode,
        };
        let roots = match named {
            Some(system) if system == "system" => {
                if mode != SslMode::VerifyFull {
                    let reason = "sslrootcert=system needs sslmode=verify-full";
                    return Err(AddressError::Contradiction(reason.to_owned()));
                }
                return Ok((SslMode::VerifyFull, Roots::System));
            }
            Some(path) => Some(PathBuf::from(path)),
            None => default_roots(environment),
        };
        Ok(match (mode, roots) {
            (SslMode::Require, Some(path)) => (SslMode::VerifyCa, Roots::File(path)),
            (mode, Some(path)) => (mode, Roots::File(path)),
            (mode, None) => (mode, Roots::System),
        })
    }

    fn channel_binding(&mut self) -> Result<ChannelBinding, AddressError> {
        match self.take("channel_binding").as_deref() {
            None | Some("prefer") => Ok(ChannelBinding::Prefer),
            Some("disable") => Ok(ChannelBinding::Disable),
            Some("require") => Ok(ChannelBinding::Require),
            Some(other) => Err(invalid("channel_binding", other.to_owned())),
        }
    }

    /// Seconds; zero and less mean libpq's "for ever", which here is the default: nothing waits without an end.
    fn connect_timeout(&mut self) -> Result<Duration, AddressError> {
        let Some(text) = self.take("connect_timeout") else {
            return Ok(DEFAULT_CONNECT_TIMEOUT);
        };
        let seconds = parsed::<i64>("connect_timeout", &text)?;
        Ok(match u64::try_from(seconds) {
            Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
            _ => DEFAULT_CONNECT_TIMEOUT,
        })
    }
}

fn default_roots(environment: &Environment<'_>) -> Option<PathBuf> {
    let path = environment.home.as_ref()?.join(".postgresql/root.crt");
    path.is_file().then_some(path)
}

fn ssl_mode(text: &str) -> Option<SslMode> {
    Some(match text {
        "disable" => SslMode::Disable,
        "allow" => SslMode::Allow,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => return None,
    })
}

/// Whether the engine is on this machine, where nobody stands between.
fn is_local(host: &str, hostaddr: Option<IpAddr>) -> bool {
    match hostaddr.or_else(|| host.parse().ok()) {
        Some(address) => address.is_loopback(),
        None => host.starts_with('/') || host.eq_ignore_ascii_case("localhost"),
    }
}

fn host_and_port(place: &str) -> Result<(&str, &str), AddressError> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| {
            AddressError::Malformed("an IPv6 address has no closing bracket".to_owned())
        })?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, port)),
            None if after.is_empty() => Ok((host, "")),
            None => Err(AddressError::Malformed(
                "something stands after the IPv6 address".to_owned(),
            )),
        };
    }
    Ok(place.split_once(':').unwrap_or((place, "")))
}

fn percent_decoded(text: &str, part: &str) -> Result<String, AddressError> {
    let malformed = || AddressError::Malformed(format!("{part} has an invalid percent-encoding"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = digit().zip(digit()).ok_or_else(malformed)?;
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(malformed)
}

/// The value at the start of `text`, and what follows it.
fn pair_value(text: &str) -> Result<(String, &str), AddressError> {
    let (quoted, body) = match text.strip_prefix('\'') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let mut value = String::new();
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, next)| next)),
            '\'' if quoted => return Ok((value, &body[at + 1..])),
            space if !quoted && space.is_whitespace() => return Ok((value, &body[at..])),
            other => value.push(other),
        }
    }
    if quoted {
        return Err(AddressError::Malformed(
            "a quoted value has no closing quote".to_owned(),
        ));
    }
    Ok((value, ""))
}

fn parsed<T: std::str::FromStr>(setting: &'static str, text: &str) -> Result<T, AddressError> {
    text.trim()
        .parse()
        .map_err(|_| invalid(setting, text.to_owned()))
}

fn invalid(setting: &'static str, value: String) -> AddressError {
    AddressError::InvalidValue { setting, value }
}
