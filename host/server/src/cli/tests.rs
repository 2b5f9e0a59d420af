//! The command line as a whole: arguments, help, completions.

use clap::Parser;

use super::*;

/// Compares with the file; `STATEHOUSE_BLESS=1` writes it anew.
fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("STATEHOUSE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{} differs; STATEHOUSE_BLESS=1 writes it anew:\n{text}",
        path.display()
    );
}

/// The long help of a command and all below it.
fn help(command: &mut clap::Command, name: &str, text: &mut String) {
    let title = format!("{name}\n{}\n", "=".repeat(name.len()));
    text.push_str(&title);
    let long = command.clone().term_width(100).render_long_help().to_string();
    text.extend(long.lines().flat_map(|line| [line.trim_end(), "\n"]));
    text.push('\n');
    for child in command.get_subcommands_mut() {
        let name = format!("{name} {}", child.get_name());
        help(child, &name, text);
    }
}

#[test]
fn help_texts_are_as_written_down() {
    let mut text = String::new();
    let mut command = command();
    command.build();
    help(&mut command, "statehouse", &mut text);
    golden("help.txt", &text);
}

#[test]
fn the_command_is_consistent() {
    command().debug_assert();
}

#[test]
fn arguments_that_exclude_each_other_are_refused() {
    let parse =
        |args: &[&str]| Cli::try_parse_from(args).map(|_| ()).map_err(|error| error.exit_code());
    assert_eq!(parse(&["statehouse", "run", "job.toml", "--set", "job.parallelism=2"]), Ok(()));
    assert_eq!(parse(&["statehouse", "run", "job.toml", "--fresh", "--from", "3"]), Err(2));
    assert_eq!(parse(&["statehouse", "run", "job.toml", "--set", "job.parallelism"]), Err(2));
    assert_eq!(parse(&["statehouse", "checkpoint", "show", "c", "newest"]), Err(2));
    assert_eq!(parse(&["statehouse", "fly"]), Err(2));
    let run = |args: &[&str]| parse(&[&["statehouse", "run", "job.toml"], args].concat());
    assert_eq!(run(&["--from", "s3://b/c@before", "--claim", "--fallback"]), Ok(()));
    assert_eq!(run(&["--fork-from", "other.toml", "--allow-non-restored-state"]), Ok(()));
    assert_eq!(run(&["--fork-from", "other.toml", "--from", "3"]), Err(2));
    assert_eq!(run(&["--fork-from", "other.toml", "--claim"]), Err(2));
    assert_eq!(run(&["--claim"]), Err(2));
    assert_eq!(run(&["--fresh", "--fallback"]), Err(2));
    let savepoint = |args: &[&str]| parse(&[&["statehouse", "savepoint"], args].concat());
    assert_eq!(savepoint(&["create", "job.toml", "--stop"]), Ok(()));
    assert_eq!(savepoint(&["create", "job.toml", "--stop", "--drain"]), Err(2));
    assert_eq!(savepoint(&["delete", "job.toml"]), Err(2));
    let collect = ["statehouse", "checkpoint", "collect", "c", "--num-retained", "0"];
    assert_eq!(parse(&collect), Err(2));
}

#[test]
fn every_shell_has_completions() {
    for shell in [
        clap_complete::Shell::Bash,
        clap_complete::Shell::Zsh,
        clap_complete::Shell::Fish,
        clap_complete::Shell::PowerShell,
        clap_complete::Shell::Elvish,
    ] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command(), "statehouse", &mut script);
        assert!(String::from_utf8(script).unwrap().contains("checkpoint"), "{shell}");
    }
}
