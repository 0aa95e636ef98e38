//! The command line (`docs/service.md`, section 9): the real binary, what it prints, and how it ends.

mod demo;
mod help;
mod mappings;
mod preview;
mod reconcile;
mod settings;
mod summary;

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// The binary with these variables and nothing else of the environment, away from any `.env`.
fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_commcare-sf-integration"));
    command.args(arguments).env_clear().envs(variables.iter().copied()).current_dir(std::env::temp_dir());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The end of a command that read this text.
fn run_with(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Output {
    let mut child = command(arguments, variables).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Most commands read nothing, and may have ended.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// The output of a command, which must succeed and write nothing to standard error.
#[track_caller]
fn succeed(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> String {
    let output = run_with(arguments, variables, input);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), complaint.as_str()), (Some(0), ""), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The error of a command, which must fail with this exit code and print nothing else.
#[track_caller]
fn fail(code: i32, arguments: &[&str], variables: &[(&str, &str)], input: &str) -> String {
    let output = run_with(arguments, variables, input);
    let complaint = String::from_utf8(output.stderr).unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), printed.as_str()), (Some(code), ""), "{arguments:?}: {complaint}");
    complaint
}
