use super::*;

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Address, AddressError> {
    let variable = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name)?;
        Some(found.1.to_owned())
    };
    Address::parse_in(
        text,
        &Environment {
            variable: &variable,
            home: None,
        },
    )
}

#[test]
fn both_forms_say_the_same() {
    let url = "postgres://ann:s%40cret@db.example:7000/top?sslmode=verify-ca&application_name=me&options=-c%20a%3Db&connect_timeout=3";
    let pairs = r"host=db.example port = 7000 user=ann password='s@cret' dbname=top sslmode=verify-ca application_name=me options='-c a=b' connect_timeout=3";
    let address = parse(url, &[]).unwrap();
    assert_eq!(parse(pairs, &[]).unwrap(), address);
    assert_eq!(address.password.as_ref().unwrap().reveal(), "s@cret");
    assert_eq!(address.options.as_deref(), Some("-c a=b"));
    assert_eq!(address.connect_timeout, Duration::from_secs(3));
    assert_eq!(address.to_string(), "db.example:7000");
}

#[test]
fn what_is_left_out_comes_from_the_environment_and_then_from_materialize() {
    let empty = parse("", &[]).unwrap();
    assert_eq!(empty.to_string(), "127.0.0.1:6875");
    assert_eq!(
        (empty.user.as_str(), empty.database.as_str()),
        ("materialize", "materialize")
    );
    assert_eq!(empty.application_name, "wikitop");
    let variables = [
        ("PGHOST", "far.example"),
        ("PGUSER", "bob"),
        ("PGPASSWORD", "p"),
        ("PGPORT", "1"),
    ];
    let address = parse("postgres://carol@/x", &variables).unwrap();
    assert_eq!(address.to_string(), "far.example:1");
    assert_eq!(
        (address.user.as_str(), address.database.as_str()),
        ("carol", "x")
    );
    assert!(address.password.is_some());
}

#[test]
fn verification_is_the_default_for_other_machines() {
    let table = [
        ("postgres://localhost", SslMode::Prefer),
        ("postgres://127.0.0.2", SslMode::Prefer),
        ("postgres://[::1]:5", SslMode::Prefer),
        ("host=/run/postgresql", SslMode::Prefer),
        ("postgres://db.example", SslMode::VerifyFull),
        ("host=localhost hostaddr=10.0.0.1", SslMode::VerifyFull),
        ("postgres://10.0.0.1", SslMode::VerifyFull),
        ("postgres://db.example?sslmode=disable", SslMode::Disable),
        ("postgres://db.example?sslmode=allow", SslMode::Allow),
        ("postgres://db.example?sslmode=prefer", SslMode::Prefer),
        ("postgres://db.example?sslmode=require", SslMode::Require),
        ("postgres://db.example?ssl=true", SslMode::Require),
        (
            "postgres://db.example?sslmode=require&sslrootcert=/ca.pem",
            SslMode::VerifyCa,
        ),
        ("host=localhost sslrootcert=/ca.pem", SslMode::VerifyFull),
        (
            "postgres://localhost?sslrootcert=system",
            SslMode::VerifyFull,
        ),
    ];
    for (text, mode) in table {
        assert_eq!(parse(text, &[]).unwrap().ssl_mode, mode, "{text}");
    }
}

#[test]
fn the_users_root_certificate_counts_where_nothing_else_is_said() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".postgresql")).unwrap();
    let path = home.path().join(".postgresql/root.crt");
    std::fs::write(&path, "").unwrap();
    let environment = Environment {
        variable: &|_| None,
        home: Some(home.path().to_owned()),
    };
    let address = Address::parse_in("postgres://h?sslmode=require", &environment).unwrap();
    assert_eq!(
        (address.ssl_mode, address.roots),
        (SslMode::VerifyCa, Roots::File(path))
    );
}

#[test]
fn an_ipv6_host_keeps_its_brackets_in_messages() {
    let address = parse("postgresql://[2001:db8::1]:7000/", &[]).unwrap();
    assert_eq!(address.host, "2001:db8::1");
    assert_eq!(address.to_string(), "[2001:db8::1]:7000");
}

#[test]
fn what_is_wrong_is_named_and_the_password_is_not() {
    let table = [
        ("postgres://u:hunter2@h:port", "the port is no number"),
        ("postgres://u:hunter2/3@h", "the port is no number"),
        (
            "postgres://u:hunter2%zz@h",
            "password has an invalid percent-encoding",
        ),
        (
            "postgres://u:hunter2@h?colour=red",
            "unknown setting \"colour\"",
        ),
        (
            "postgres://u:hunter2@h?sslmode=maybe",
            "invalid value \"maybe\" for sslmode",
        ),
        ("postgres://u:hunter2@[::1", "no closing bracket"),
        ("postgres://u:hunter2@a,b", "invalid value \"a,b\" for host"),
        ("mysql://u:hunter2@h", "does not begin with postgres://"),
        ("password=hunter2 nonsense", "neither a postgres:// URL"),
        ("password='hunter2", "no closing quote"),
        (
            "password=hunter2 sslmode=require sslrootcert=system",
            "contradictory",
        ),
    ];
    for (text, message) in table {
        let error = parse(text, &[]).unwrap_err();
        let said = format!("{error} {error:?} {}", error.hint());
        assert!(said.contains(message), "{text}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn no_message_shows_a_password() {
    let address = parse("postgres://u:hunter2@h", &[]).unwrap();
    assert!(!format!("{address} {address:?}").contains("hunter2"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(postgres://)?[a-z:@/?&=%'\\\\\\[\\] ,0-9é]{0,40}") {
        let _ = parse(&text, &[]);
    }
}
