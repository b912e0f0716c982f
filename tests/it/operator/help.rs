//! Help, version, completions and the manual, from the built binary.

use std::process::Command;

const COMMANDS: [&str; 6] = [
    "serve",
    "tail",
    "ingest",
    "init-views",
    "completions",
    "man",
];

/// Runs and expects success; what it printed.
fn printed(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_wikitop"))
        .args(args)
        .env_remove("MATERIALIZE_URL")
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_help_opens_with_an_example_and_names_the_variables() {
    assert!(printed(&["--help"]).starts_with("Example:\n  wikitop serve"));
    assert!(printed(&["--help"]).contains("Exit codes: 0 fine; 1 failed; 2 wrong usage; 3"));
    for command in COMMANDS {
        let help = printed(&[command, "--help"]);
        assert!(
            help.starts_with(&format!("Example:\n  wikitop {command}")),
            "{help}"
        );
        // Every option but these has an environment variable.
        let options = help
            .lines()
            .filter(|line| line.trim_start().starts_with("--"))
            .count();
        let variables = help.matches("[env: ").count();
        let arguments = help.matches("\nArguments:").count();
        assert!(
            variables >= options && variables <= options + arguments,
            "{help}"
        );
    }
}

#[test]
fn the_version_has_a_commit_and_features() {
    let version = printed(&["--version"]);
    let lines: Vec<&str> = version.lines().collect();
    assert_eq!(lines[0], concat!("wikitop ", env!("CARGO_PKG_VERSION")));
    assert!(
        lines[1].starts_with("commit: ") && lines[2].starts_with("features: "),
        "{version}"
    );
    assert_eq!(printed(&["-V"]).lines().count(), 1);
}

#[test]
fn completions_are_scripts_that_their_shell_can_read() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        for word in ["init-views", "snapshot-only", "materialize"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let bash = printed(&["completions", "bash"]);
    let check = "source /dev/stdin && COMP_WORDS=(wikitop ta) COMP_CWORD=1 && _wikitop wikitop ta wikitop && echo ${COMPREPLY[@]}";
    let mut shell = Command::new("bash")
        .args(["-c", check])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), bash.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "tail\n");
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let whole = printed(&["man"]);
    assert!(whole.contains(".TH wikitop 1"), "{whole}");
    for command in ["serve", "tail", "ingest", "init-views"] {
        let page = printed(&["man", command]);
        assert!(page.contains(&format!(".TH wikitop-{command} 1")), "{page}");
        assert!(page.contains(".SH EXAMPLES\n.nf\nwikitop"), "{page}");
        assert!(page.contains("MATERIALIZE_URL"), "{page}");
    }
}
