//! Clients that people really use. psql is tried whenever it is installed; the drivers of Python and Node come from their
//! registries and that of Java is Debian's, so those tests wait for `cargo test --test it clients::drivers -- --ignored`.

use std::path::{Path, PathBuf};
use std::process::Output;

use tokio::process::Command;

use super::{DEADLINE, Door, copy, edit, within};

/// Installing from a registry may take its time.
const INSTALL_DEADLINE: std::time::Duration = DEADLINE.saturating_mul(5);

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/clients/drivers")
        .join(name)
}

async fn install(command: &mut Command) {
    let done = tokio::time::timeout(INSTALL_DEADLINE, command.output());
    assert_ran(&done.await.expect("installing ends in time").unwrap());
}

fn assert_ran(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    stdout
}

/// Runs psql with one command; `None` when there is no psql here.
async fn psql(door: &Door, command: &str) -> Option<Output> {
    let output = Command::new("psql")
        .args(["-X", "-A", "-t", "-F", "|", "-v", "ON_ERROR_STOP=1"])
        .args(["-h", "127.0.0.1", "-p", &door.address.port().to_string()])
        .args(["-U", "materialize", "-c", command, "materialize"])
        .kill_on_drop(true)
        .output();
    match within(output).await {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("no psql here: skipped");
            None
        }
        Err(error) => panic!("psql: {error}"),
    }
}

#[tokio::test]
async fn psql_describes_what_there_is() {
    let door = Door::with_views().await;
    let client = door.client().await;
    copy(&client, &[edit(1, "Ann"), edit(2, "Ann")])
        .await
        .unwrap();
    let top10 = "user|text|||\ncount|bigint|||\n";
    let table = [
        ("SELECT * FROM counter", "2\n"),
        ("SELECT * FROM top10", "Ann|2\n"),
        ("\\d top10", top10),
        ("\\dt", "public|wikirecent|table|materialize\n"),
        ("\\dn", "public|materialize\n"),
        ("\\d wikirecent", "data|text|||\n"),
    ];
    for (command, expected) in table {
        let Some(output) = psql(&door, command).await else {
            return;
        };
        assert_eq!(assert_ran(&output), expected, "{command}");
    }
    let views = assert_ran(&psql(&door, "\\dv").await.unwrap());
    for view in ["counter", "recentchanges", "top10", "user_edits"] {
        let line = format!("public|{view}|view|materialize\n");
        assert!(views.contains(&line), "{views}");
    }
    for command in [
        "\\d",
        "\\dv+",
        "\\d+ top10",
        "\\l",
        "\\du",
        "\\df",
        "\\dT",
        "\\dx",
        "\\z",
        "\\sv top10",
    ] {
        assert_ran(&psql(&door, command).await.unwrap());
    }
    let definition = assert_ran(&psql(&door, "\\sv top10").await.unwrap());
    assert!(definition.contains("LIMIT 10"), "{definition}");
    let refused = psql(&door, "UPDATE top10 SET count = 0").await.unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(
        stderr.contains("HINT:  Materialize runs the full language"),
        "{stderr}"
    );
    door.close().await;
}

#[tokio::test]
async fn psql_copies_a_file_in_and_a_subscription_out() {
    let door = Door::with_views().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        super::copy_lines([edit(1, "Ann"), edit(2, "Bob")]),
    )
    .unwrap();
    let command = format!("\\copy wikirecent from '{}'", file.path().display());
    let Some(output) = psql(&door, &command).await else {
        return;
    };
    assert_eq!(assert_ran(&output), "COPY 2\n");
    let until = jiff::Timestamp::now().as_millisecond() + 1_000;
    let tail = format!("COPY (TAIL counter UP TO {until}) TO STDOUT");
    let output = assert_ran(&psql(&door, &tail).await.unwrap());
    assert!(output.ends_with("\t1\t2\n"), "{output}");
    door.close().await;
}

#[tokio::test]
#[ignore = "installs from PyPI"]
async fn python() {
    let venv = tempfile::tempdir().unwrap();
    install(
        Command::new("python3")
            .args(["-m", "venv"])
            .arg(venv.path()),
    )
    .await;
    let bin = venv.path().join("bin");
    install(Command::new(bin.join("pip")).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "psycopg[binary]==3.3.9",
        "asyncpg==0.32.0",
    ]))
    .await;
    for name in ["psycopg_client.py", "asyncpg_client.py"] {
        let door = Door::with_views().await;
        let ran = Command::new(bin.join("python"))
            .arg(script(name))
            .args(["127.0.0.1", &door.address.port().to_string()])
            .kill_on_drop(true)
            .output();
        assert!(assert_ran(&within(ran).await.unwrap()).ends_with("ok\n"));
        door.close().await;
    }
}

#[tokio::test]
#[ignore = "installs from npm"]
async fn node() {
    let modules = tempfile::tempdir().unwrap();
    install(
        Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(modules.path())
            .args(["pg@8.23.1", "pg-copy-streams@7"]),
    )
    .await;
    let door = Door::with_views().await;
    let ran = Command::new("node")
        .env("NODE_PATH", modules.path().join("node_modules"))
        .arg(script("node_client.js"))
        .args(["127.0.0.1", &door.address.port().to_string()])
        .kill_on_drop(true)
        .output();
    assert!(assert_ran(&within(ran).await.unwrap()).ends_with("ok\n"));
    door.close().await;
}

#[tokio::test]
#[ignore = "needs javac and Debian's libpostgresql-jdbc-java"]
async fn java() {
    let door = Door::with_views().await;
    let ran = Command::new("java")
        .args(["-cp", "/usr/share/java/postgresql.jar"])
        .arg(script("JdbcClient.java"))
        .args(["127.0.0.1", &door.address.port().to_string()])
        .kill_on_drop(true)
        .output();
    assert!(assert_ran(&within(ran).await.unwrap()).ends_with("ok\n"));
    door.close().await;
}
