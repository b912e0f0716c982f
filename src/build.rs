//! The build script: tells the executable from which commit it was built, for `--version`.
//!
//! `WIKITOP_COMMIT` wins, for builds without the repository (a container, a package). Otherwise git is asked, in release builds only:
//! a debug build would be compiled anew after each commit.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    println!("cargo:rerun-if-env-changed=WIKITOP_COMMIT");
    let given = env::var("WIKITOP_COMMIT")
        .ok()
        .filter(|commit| !commit.is_empty());
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = given.or_else(|| is_release.then(head).flatten());
    println!(
        "cargo:rustc-env=WIKITOP_COMMIT={}",
        commit.as_deref().unwrap_or("unknown")
    );
}

/// The commit that is checked out, if this is a repository and git is there.
fn head() -> Option<String> {
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    println!("cargo:rerun-if-changed={log}");
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
