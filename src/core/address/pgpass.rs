//! The password file: `host:port:database:user:password`, one entry a line, the first that matches counts.
//!
//! As in libpq, a file that others can read is not used: whoever can read it has the password already, and saying so is the
//! only way its owner learns of it.

use std::path::Path;

use super::Password;

/// What an entry must match.
pub(super) struct Key<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The password for `key` in the file at `path`; a file that is not there is an empty one.
pub(super) fn look_up(path: &Path, key: &Key<'_>) -> Option<Password> {
    let metadata = std::fs::metadata(path).ok()?;
    if !is_private(&metadata) {
        tracing::warn!(path = %path.display(), "the password file is not used: others can access it (chmod 600 it)");
        return None;
    }
    find(&std::fs::read_to_string(path).ok()?, key)
}

#[cfg(unix)]
fn is_private(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.is_file() && metadata.permissions().mode() & 0o077 == 0
}

#[cfg(not(unix))]
fn is_private(metadata: &std::fs::Metadata) -> bool {
    metadata.is_file()
}

fn find(text: &str, key: &Key<'_>) -> Option<Password> {
    let port = key.port.to_string();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(fields)
        .find(|[host, entry_port, database, user, _]| {
            let matches = |field: &str, wanted: &str| field == "*" || field == wanted;
            matches(host, key.host)
                && matches(entry_port, &port)
                && matches(database, key.database)
                && matches(user, key.user)
        })
        .map(|[.., password]| Password(password))
}

/// Splits an entry at its colons; a backslash takes the next character as it is.
fn fields(line: &str) -> Option<[String; 5]> {
    let mut fields: [String; 5] = Default::default();
    let mut at = 0;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => fields[at].extend(characters.next()),
            ':' if at < 4 => at += 1,
            other => fields[at].push(other),
        }
    }
    (at == 4).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        let key = Key {
            host: "db.example",
            port: 6875,
            database: "materialize",
            user: "ann",
        };
        find(text, &key).map(|password| password.0)
    }

    #[test]
    fn the_first_entry_that_matches_counts() {
        let table = [
            (
                "db.example:6875:materialize:ann:one\n*:*:*:*:two",
                Some("one"),
            ),
            ("other:*:*:*:one\n*:*:*:ann:two", Some("two")),
            ("#*:*:*:*:no\n*:*:*:*:a\\:b\\\\c:d", Some("a:b\\c:d")),
            ("*:5432:*:*:one", None),
            ("nonsense\n*:*:*", None),
            ("", None),
        ];
        for (text, password) in table {
            assert_eq!(found(text).as_deref(), password, "{text:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        std::fs::write(&path, "*:*:*:*:secret").unwrap();
        let key = Key {
            host: "h",
            port: 1,
            database: "d",
            user: "u",
        };
        for (mode, used) in [(0o600, true), (0o644, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(look_up(&path, &key).is_some(), used, "mode {mode:o}");
        }
        assert!(look_up(&directory.path().join("none"), &key).is_none());
    }
}
