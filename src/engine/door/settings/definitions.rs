//! The settings that every session has.

/// The version of PostgreSQL whose catalog and behaviour are told, the same as Materialize tells: it keeps clients from asking
/// for what neither has.
pub(crate) const SERVER_VERSION: &str = "9.5.0";

/// What a setting allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Anything.
    Free,
    /// Only values that mean the same as the default.
    Fixed(&'static [&'static str]),
    /// Never.
    ReadOnly,
    /// A time span, milliseconds when it has no unit.
    Duration,
    /// On or off.
    Switch,
}

/// A setting that every session has.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    pub(super) rule: Rule,
    /// Clients are told its value when the session begins and when it changes.
    pub(super) reported: bool,
    pub(super) description: &'static str,
}

const fn setting(
    name: &'static str,
    default: &'static str,
    rule: Rule,
    reported: bool,
    description: &'static str,
) -> Definition {
    Definition {
        name,
        default,
        rule,
        reported,
        description,
    }
}

/// All of them, by name without regard to case.
pub(super) const DEFINITIONS: &[Definition] = &[
    setting(
        "application_name",
        "",
        Rule::Free,
        true,
        "Sets the application name to be reported in logs.",
    ),
    setting(
        "backslash_quote",
        "safe_encoding",
        Rule::Free,
        false,
        "Accepted and ignored: strings have no backslashes.",
    ),
    setting(
        "bytea_output",
        "hex",
        Rule::Fixed(&["hex"]),
        false,
        "Sets the output format for bytea.",
    ),
    setting(
        "client_encoding",
        "UTF8",
        Rule::Fixed(&["utf8", "utf-8", "unicode"]),
        true,
        "Sets the client's character set encoding.",
    ),
    setting(
        "client_min_messages",
        "notice",
        Rule::Free,
        false,
        "Sets the message levels that are sent to the client.",
    ),
    setting(
        "cluster",
        "default",
        Rule::Free,
        false,
        "The embedded engine has no clusters; kept for clients of Materialize.",
    ),
    setting(
        "datestyle",
        "ISO, MDY",
        Rule::Fixed(&["iso", "iso, mdy", "iso,mdy", "iso, dmy", "iso, ymd"]),
        true,
        "Sets the display format for date and time values.",
    ),
    setting(
        "default_transaction_isolation",
        "serializable",
        Rule::Free,
        false,
        "Sets the isolation level of each new transaction.",
    ),
    setting(
        "default_transaction_deferrable",
        "off",
        Rule::Switch,
        false,
        "Accepted and ignored: nothing waits for anything.",
    ),
    setting(
        "default_transaction_read_only",
        "off",
        Rule::Switch,
        false,
        "Sets the default read-only status of new transactions.",
    ),
    setting(
        "extra_float_digits",
        "3",
        Rule::Free,
        false,
        "Doubles are always shown with their shortest exact digits.",
    ),
    setting(
        "idle_session_timeout",
        "0",
        Rule::Free,
        false,
        "Accepted and ignored: an idle session costs nothing.",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        "0",
        Rule::Free,
        false,
        "Accepted and ignored: an idle transaction holds nothing.",
    ),
    setting(
        "integer_datetimes",
        "on",
        Rule::ReadOnly,
        true,
        "Reports whether the server uses 64-bit-integer dates and times.",
    ),
    setting(
        "intervalstyle",
        "postgres",
        Rule::Fixed(&["postgres"]),
        true,
        "Sets the display format for interval values.",
    ),
    setting(
        "is_superuser",
        "off",
        Rule::ReadOnly,
        true,
        "Shows whether the current user is a superuser.",
    ),
    setting(
        "lc_collate",
        "C",
        Rule::ReadOnly,
        false,
        "Shows the collation order locale.",
    ),
    setting(
        "lc_ctype",
        "C",
        Rule::ReadOnly,
        false,
        "Shows the character classification and case conversion locale.",
    ),
    setting(
        "lc_messages",
        "C",
        Rule::Free,
        false,
        "Accepted and ignored: messages are in English.",
    ),
    setting(
        "lc_monetary",
        "C",
        Rule::Free,
        false,
        "Accepted and ignored: amounts are not formatted.",
    ),
    setting(
        "lc_numeric",
        "C",
        Rule::Free,
        false,
        "Accepted and ignored: numbers have a decimal point.",
    ),
    setting(
        "lc_time",
        "C",
        Rule::Free,
        false,
        "Accepted and ignored: dates are not spelled out.",
    ),
    setting(
        "lock_timeout",
        "0",
        Rule::Free,
        false,
        "Accepted and ignored: there are no locks.",
    ),
    setting(
        "max_identifier_length",
        "63",
        Rule::ReadOnly,
        false,
        "Shows the maximum identifier length.",
    ),
    setting(
        "max_index_keys",
        "32",
        Rule::ReadOnly,
        false,
        "Shows the maximum number of index keys.",
    ),
    setting(
        "mz_version",
        "",
        Rule::ReadOnly,
        true,
        "Shows the engine's version.",
    ),
    setting(
        "role",
        "none",
        Rule::Fixed(&["none", "materialize"]),
        false,
        "Sets the current role; the embedded engine has one.",
    ),
    setting(
        "search_path",
        "public",
        Rule::Free,
        false,
        "Sets the schema search order for names that are not schema-qualified.",
    ),
    setting(
        "server_encoding",
        "UTF8",
        Rule::ReadOnly,
        true,
        "Shows the server's character set encoding.",
    ),
    setting(
        "server_version",
        SERVER_VERSION,
        Rule::ReadOnly,
        true,
        "Shows the server version.",
    ),
    setting(
        "server_version_num",
        "90500",
        Rule::ReadOnly,
        false,
        "Shows the server version as an integer.",
    ),
    setting(
        "session_authorization",
        "",
        Rule::ReadOnly,
        true,
        "Shows the session user.",
    ),
    setting(
        "ssl",
        "off",
        Rule::ReadOnly,
        false,
        "Shows whether connections are encrypted.",
    ),
    setting(
        "standard_conforming_strings",
        "on",
        Rule::Fixed(&["on", "true", "yes", "1"]),
        true,
        "Causes '...' strings to treat backslashes literally.",
    ),
    setting(
        "statement_timeout",
        "0",
        Rule::Duration,
        false,
        "Sets the maximum allowed duration of any statement that is no subscription.",
    ),
    setting(
        "timezone",
        "UTC",
        Rule::Fixed(&["utc", "etc/utc", "gmt", "z", "+00:00", "0"]),
        true,
        "Sets the time zone for displaying time stamps.",
    ),
    setting(
        "transaction_deferrable",
        "off",
        Rule::Switch,
        false,
        "Accepted and ignored: nothing waits for anything.",
    ),
    setting(
        "transaction_isolation",
        "serializable",
        Rule::Free,
        false,
        "Sets the current transaction's isolation level.",
    ),
    setting(
        "transaction_read_only",
        "off",
        Rule::Switch,
        false,
        "Sets the current transaction's read-only status.",
    ),
];
