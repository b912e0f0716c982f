//! TLS with certificates made here: whom a client trusts by each `sslmode`, and what it says when it does not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread::JoinHandle;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{NameType, SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Name, X509NameRef};
use wikitop::core::address::{Address, Environment};
use wikitop::core::connection::{self, ConnectError};

use super::wire;

/// The name that clients connect to; where it is, they are told.
const NAME: &str = "db.example";
const HOUR: i64 = 3600;

/// An authority that signs certificates, and the file that says so.
struct Authority {
    certificate: X509,
    key: PKey<Private>,
    _directory: tempfile::TempDir,
    file: PathBuf,
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn name(common: &str) -> X509Name {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, common).unwrap();
    name.build()
}

/// A certificate that ends so many seconds from now, not signed yet.
fn certificate(
    subject: &X509NameRef,
    issuer: &X509NameRef,
    key: &PKey<Private>,
    ends_in: i64,
) -> openssl::x509::X509Builder {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = i64::try_from(now.unwrap().as_secs()).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(fastrand::u32(1..)).unwrap();
    builder
        .set_serial_number(&serial.to_asn1_integer().unwrap())
        .unwrap();
    builder.set_subject_name(subject).unwrap();
    builder.set_issuer_name(issuer).unwrap();
    builder.set_pubkey(key).unwrap();
    builder
        .set_not_before(&Asn1Time::from_unix(now - 48 * HOUR).unwrap())
        .unwrap();
    builder
        .set_not_after(&Asn1Time::from_unix(now + ends_in).unwrap())
        .unwrap();
    builder
}

impl Authority {
    fn new() -> Authority {
        let subject = name(&format!("authority {}", fastrand::u32(..)));
        let key = new_key();
        let mut builder = certificate(&subject, &subject, &key, HOUR);
        let is_authority = BasicConstraints::new().critical().ca().build().unwrap();
        builder.append_extension(is_authority).unwrap();
        let signs = KeyUsage::new().critical().key_cert_sign().build().unwrap();
        builder.append_extension(signs).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let certificate = builder.build();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        std::fs::write(&file, certificate.to_pem().unwrap()).unwrap();
        Authority {
            certificate,
            key,
            _directory: directory,
            file,
        }
    }

    /// What a server of that name (or IP address) needs.
    fn acceptor(&self, host: &str, ends_in: i64) -> SslAcceptor {
        let key = new_key();
        let issuer = self.certificate.subject_name();
        let mut builder = certificate(&name(host), issuer, &key, ends_in);
        let mut names = SubjectAlternativeName::new();
        match host.parse::<std::net::IpAddr>() {
            Ok(_) => names.ip(host),
            Err(_) => names.dns(host),
        };
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let names = names.build(&context).unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_private_key(&key).unwrap();
        acceptor.set_certificate(&builder.build()).unwrap();
        acceptor.build()
    }
}

/// What a server answers to the question for TLS.
enum Tls {
    Yes(SslAcceptor),
    /// Yes, and without it nobody is let in.
    Only(SslAcceptor),
    No,
    /// It says yes and then speaks something else.
    Broken,
}

/// What a server saw of a client.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// A session over TLS, and the name that the client asked for.
    Encrypted(Option<String>),
    Plain,
    /// The client went away.
    Left,
}

/// A server for so many clients.
fn serve(tls: Tls, clients: usize) -> (SocketAddr, JoinHandle<Vec<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        (0..clients)
            .map(|_| answer(&tls, listener.accept().unwrap().0))
            .collect()
    });
    (address, server)
}

fn answer(tls: &Tls, mut stream: TcpStream) -> Seen {
    let mut first = [0; 8];
    stream.read_exact(&mut first).unwrap();
    let wants_tls = i32::from_be_bytes(first[4..].try_into().unwrap()) == 80_877_103;
    if !wants_tls {
        // The rest of a startup message is of no interest here.
        let length = i32::from_be_bytes(first[..4].try_into().unwrap());
        stream
            .read_exact(&mut vec![0; usize::try_from(length).unwrap() - 8])
            .unwrap();
        if matches!(tls, Tls::Only(_)) {
            let refusal = "ErrorResponse FATAL 28000 \"TLS encryption is required\"";
            say(&mut stream, &[refusal]);
            return Seen::Left;
        }
        return session(stream, Seen::Plain);
    }
    match tls {
        Tls::No => {
            stream.write_all(b"N").unwrap();
            match read_message(&mut stream, false) {
                Some(()) => session(stream, Seen::Plain),
                None => Seen::Left,
            }
        }
        Tls::Broken => {
            stream.write_all(b"Sthis is not a handshake").unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
            Seen::Left
        }
        Tls::Yes(acceptor) | Tls::Only(acceptor) => {
            stream.write_all(b"S").unwrap();
            let Ok(mut stream) = acceptor.accept(stream) else {
                return Seen::Left;
            };
            let name = stream
                .ssl()
                .servername(NameType::HOST_NAME)
                .map(str::to_owned);
            match read_message(&mut stream, false) {
                Some(()) => session(stream, Seen::Encrypted(name)),
                None => Seen::Left,
            }
        }
    }
}

/// A session of an engine after the startup message, until the client goes.
fn session(mut stream: impl Read + Write, seen: Seen) -> Seen {
    say(
        &mut stream,
        &["AuthenticationOk", "BackendKeyData 1 1", "ReadyForQuery I"],
    );
    read_message(&mut stream, true).unwrap();
    let version = [
        "RowDescription mz_version:25",
        "DataRow \"v26.19.0\"",
        "CommandComplete \"SELECT 1\"",
        "ReadyForQuery I",
    ];
    say(&mut stream, &version);
    let _ = stream.read_to_end(&mut Vec::new());
    seen
}

fn say(stream: &mut impl Write, lines: &[&str]) {
    let bytes: Vec<u8> = lines.iter().flat_map(|line| wire::encode(line)).collect();
    stream.write_all(&bytes).unwrap();
    stream.flush().unwrap();
}

fn read_message(stream: &mut impl Read, has_tag: bool) -> Option<()> {
    let mut head = vec![0; if has_tag { 5 } else { 4 }];
    stream.read_exact(&mut head).ok()?;
    let length = i32::from_be_bytes(head[head.len() - 4..].try_into().unwrap());
    stream
        .read_exact(&mut vec![0; usize::try_from(length).unwrap() - 4])
        .ok()
}

fn address(at: SocketAddr, settings: &str) -> Address {
    let text = format!("hostaddr={} port={} {settings}", at.ip(), at.port());
    let environment = Environment {
        variable: &|_| None,
        home: None,
    };
    Address::parse_in(&text, &environment).unwrap()
}

/// Connects and says whether that worked, with the reason when TLS was the reason that it did not.
async fn attempt(at: SocketAddr, settings: &str) -> Result<(), String> {
    match connection::connect(&address(at, settings)).await {
        Ok(_) => Ok(()),
        Err(ConnectError::Tls { reason, .. }) => Err(reason),
        Err(other) => panic!("{settings}: {other}"),
    }
}

/// One server, several ways to connect to it: the settings, and the reason of a refusal.
async fn expect(tls: Tls, table: &[(&str, Option<&str>)], seen: &[Seen]) {
    let (at, server) = serve(tls, seen.len());
    for (settings, refused) in table {
        match (attempt(at, settings).await, refused) {
            (Ok(()), None) => {}
            (Err(reason), Some(expected)) => {
                assert!(reason.contains(expected), "{settings}: {reason}");
            }
            (outcome, _) => panic!("{settings}: {outcome:?}"),
        }
    }
    let server = tokio::task::spawn_blocking(move || server.join().unwrap());
    assert_eq!(server.await.unwrap(), seen);
}

fn encrypted() -> Seen {
    Seen::Encrypted(Some(NAME.to_owned()))
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_enough_for_every_mode() {
    let authority = Authority::new();
    let file = authority.file.display();
    let full = format!("host={NAME} sslrootcert={file}");
    let ca = format!("host={NAME} sslmode=verify-ca sslrootcert={file}");
    let require = format!("host={NAME} sslmode=require sslrootcert={file}");
    expect(
        Tls::Yes(authority.acceptor(NAME, HOUR)),
        &[(&full, None), (&ca, None), (&require, None)],
        &[encrypted(), encrypted(), encrypted()],
    )
    .await;
    let by_number = format!("host=127.0.0.1 sslmode=verify-full sslrootcert={file}");
    expect(
        Tls::Yes(authority.acceptor("127.0.0.1", HOUR)),
        &[(&by_number, None)],
        &[Seen::Encrypted(None)],
    )
    .await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_by_whoever_verifies() {
    let (authority, other) = (Authority::new(), Authority::new());
    let file = other.file.display();
    let unknown = "certificate verify failed: unable to get local issuer certificate";
    expect(
        Tls::Yes(authority.acceptor(NAME, HOUR)),
        &[
            (&format!("host={NAME} sslrootcert={file}"), Some(unknown)),
            (
                &format!("host={NAME} sslmode=verify-ca sslrootcert={file}"),
                Some(unknown),
            ),
            (
                &format!("host={NAME} sslmode=require sslrootcert={file}"),
                Some(unknown),
            ),
            (&format!("host={NAME} sslrootcert=system"), Some(unknown)),
            (&format!("host={NAME} sslmode=require"), None),
            (&format!("host={NAME} sslmode=prefer"), None),
        ],
        &[
            Seen::Left,
            Seen::Left,
            Seen::Left,
            Seen::Left,
            encrypted(),
            encrypted(),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_by_verify_full_only() {
    let authority = Authority::new();
    let file = authority.file.display();
    expect(
        Tls::Yes(authority.acceptor("other.example", HOUR)),
        &[
            (
                &format!("host={NAME} sslrootcert={file}"),
                Some("certificate verify failed: hostname mismatch"),
            ),
            (
                &format!("host={NAME} sslmode=verify-ca sslrootcert={file}"),
                None,
            ),
        ],
        &[Seen::Left, encrypted()],
    )
    .await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_whoever_verifies() {
    let authority = Authority::new();
    let file = authority.file.display();
    let expired = "certificate verify failed: certificate has expired";
    expect(
        Tls::Yes(authority.acceptor(NAME, -HOUR)),
        &[
            (&format!("host={NAME} sslrootcert={file}"), Some(expired)),
            (
                &format!("host={NAME} sslmode=verify-ca sslrootcert={file}"),
                Some(expired),
            ),
            (&format!("host={NAME} sslmode=require"), None),
        ],
        &[Seen::Left, Seen::Left, encrypted()],
    )
    .await;
}

#[tokio::test]
async fn a_server_without_tls_is_for_those_who_do_not_insist() {
    let without = "server does not support TLS";
    expect(
        Tls::No,
        &[
            (&format!("host={NAME} sslmode=verify-full"), Some(without)),
            (&format!("host={NAME} sslmode=require"), Some(without)),
            (&format!("host={NAME} sslmode=prefer"), None),
            (&format!("host={NAME} sslmode=disable"), None),
        ],
        &[Seen::Left, Seen::Left, Seen::Plain, Seen::Plain],
    )
    .await;
}

#[tokio::test]
async fn prefer_goes_on_without_a_tls_that_does_not_work() {
    expect(
        Tls::Broken,
        &[
            (
                &format!("host={NAME} sslmode=require"),
                Some("wrong version number"),
            ),
            (&format!("host={NAME} sslmode=prefer"), None),
        ],
        &[Seen::Left, Seen::Left, Seen::Plain],
    )
    .await;
}

#[tokio::test]
async fn allow_asks_for_tls_where_nothing_else_is_taken() {
    let authority = Authority::new();
    let settings = format!("host={NAME} sslmode=allow");
    let acceptor = authority.acceptor("other.example", -HOUR);
    expect(
        Tls::Only(acceptor),
        &[(&settings, None)],
        &[Seen::Left, encrypted()],
    )
    .await;
    expect(Tls::No, &[(&settings, None)], &[Seen::Plain]).await;
}

#[tokio::test]
async fn a_file_without_certificates_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let nowhere: SocketAddr = "127.0.0.1:1".parse().unwrap();
    for (file, expected) in [
        (empty, "holds no PEM certificate"),
        (directory.path().join("none.pem"), "could not read"),
    ] {
        let settings = format!("host={NAME} sslrootcert={}", file.display());
        let reason = attempt(nowhere, &settings).await.unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
}
