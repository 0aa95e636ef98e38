//! The commands of a page of the documentation, run as a reader would run them.

use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What a run of commands printed.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
}

/// The page's blocks of a language, in their order, without the indentation of lists.
pub(crate) fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<Vec<&str>> = None;
    for line in page.lines() {
        match (&mut block, line.trim()) {
            (None, begin) if begin.strip_prefix("```") == Some(language) => block = Some(Vec::new()),
            (Some(lines), "```") => {
                blocks.push(lines.join("\n"));
                block = None;
            }
            (Some(lines), _) => lines.push(line),
            (None, _) => {}
        }
    }
    blocks
}

/// A command of a `console` block, and what the page says that it prints.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) output: String,
}

/// The commands of a `console` block: each begins with a prompt, and its output follows.
pub(crate) fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), output: String::new() }),
            (None, Some(step)) => step.output.extend([line, "\n"]),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    steps
}

/// A block with the values that its reader fills in. The block must set each of the variables once.
pub(crate) fn filled_in(block: &str, values: &[(&str, &str)]) -> String {
    let mut text = block.to_owned();
    for (name, value) in values {
        let lines: Vec<_> =
            block.lines().filter(|line| line.trim_start().starts_with(&format!("{name}="))).collect();
        assert_eq!(lines.len(), 1, "the page sets {name}");
        text = text.replace(lines[0], &format!("{name}={value}"));
    }
    text
}

/// A folder to work in, with these folders of the repository in it, as in a clone, and programs of the
/// reader's own.
pub(crate) fn workplace(folders: &[&str], programs: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in folders {
        std::os::unix::fs::symlink(root.join(name), folder.path().join(name)).unwrap();
    }
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for (name, content) in programs {
        executable(&bin.join(name), content);
    }
    folder
}

fn executable(path: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a script in that folder, with this on its standard input.
pub(crate) async fn run(folder: &TempDir, script: &str, input: &str, variables: &[(&str, &str)]) -> Ran {
    let file = folder.path().join("script");
    std::fs::write(&file, format!("set -euo pipefail\n{script}\n")).unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", folder.path().join("bin").display());
    let mut child = Command::new("bash")
        .arg(&file)
        .env_clear()
        .envs([("PATH", path.as_str()), ("LC_ALL", "C.UTF-8")])
        .envs(variables.iter().copied())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A script that fails early reads nothing.
    let _ = stdin.write_all(format!("{input}\n").as_bytes()).await;
    drop(stdin);
    let ended = child.wait_with_output().await.unwrap();
    let mut output = String::from_utf8(ended.stdout).unwrap();
    output.push_str(&String::from_utf8(ended.stderr).unwrap());
    Ran { code: ended.status.code(), output }
}
