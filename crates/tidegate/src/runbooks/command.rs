//! Programs that steps run: no shell, no environment, a time limit, a bounded output.

use gate_ops::runbook::{OUTPUT_MAX, redact};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);
/// How long output is waited for once the program has ended: what it started may hold it open.
const OUTPUT: Duration = Duration::from_millis(500);
/// Most bytes that are read of an output, from its end on as much as is kept.
const CHUNK: usize = 64 << 10;
const PATH: &str = "/usr/bin:/bin";

/// Runs a program on a thread of its own; says what came of it once it has.
pub(super) fn start(
    program: &Path,
    arguments: &[String],
    run: &str,
    timeout: Duration,
) -> Receiver<Result<String, String>> {
    let (sender, receiver) = sync_channel(1);
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("TIDEGATE_RUN", run)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that what it starts ends with it.
        .process_group(0);
    let failed = sender.clone();
    let thread = std::thread::Builder::new().name("runbook step".into());
    let started = thread.spawn(move || {
        let _ = sender.send(attend(command, timeout));
    });
    if let Err(error) = started {
        let _ = failed.send(Err(format!("there is no thread for it: {error}")));
    }
    receiver
}

fn attend(mut command: Command, timeout: Duration) -> Result<String, String> {
    let until = Instant::now() + timeout;
    let mut child = command
        .spawn()
        .map_err(|error| format!("it cannot be run: {error}"))?;
    let outputs = [
        child.stdout.take().map(|pipe| tail(Box::new(pipe))),
        child.stderr.take().map(|pipe| tail(Box::new(pipe))),
    ];
    let status = wait(&mut child, until);
    kill(&mut child);
    let mut text = Vec::new();
    for output in outputs.into_iter().flatten() {
        text.extend(output.recv_timeout(OUTPUT).unwrap_or_default());
    }
    let text = redact(&text);
    match status {
        Some(status) if status.success() => Ok(said("ended well", &text)),
        Some(status) => Err(said(&format!("ended with {status}"), &text)),
        None => Err(said(
            &format!("took longer than {timeout:?}, and was killed"),
            &text,
        )),
    }
}

fn said(what: &str, output: &str) -> String {
    match output.trim() {
        "" => what.to_owned(),
        output => format!("{what}: {output}"),
    }
}

fn wait(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(LOOK),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Ends it with all that it started.
fn kill(child: &mut Child) {
    if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads all of an output, so that whoever writes it is not held up, and keeps its end.
fn tail(mut pipe: Box<dyn Read + Send>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(1);
    let read = move || {
        let (mut kept, mut chunk) = (Vec::new(), vec![0; CHUNK]);
        while let Ok(count @ 1..) = pipe.read(&mut chunk) {
            kept.extend_from_slice(&chunk[..count]);
            let passed = kept.len().saturating_sub(4 * OUTPUT_MAX);
            kept.drain(..passed);
        }
        let _ = sender.send(kept);
    };
    let _ = std::thread::Builder::new()
        .name("runbook output".into())
        .spawn(read);
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(program: &str, arguments: &[&str], timeout: Duration) -> Result<String, String> {
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        start(Path::new(program), &arguments, "run-1", timeout)
            .recv_timeout(Duration::from_secs(60))
            .unwrap()
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_program_gets_its_arguments_as_they_are_and_no_environment() {
        let said = run("/bin/echo", &["$HOME", "a;b"], LONG).unwrap();
        assert_eq!(said, "ended well: $HOME a;b");
        let said = run("/usr/bin/env", &[], LONG).unwrap();
        let mut lines: Vec<&str> = said.trim_start_matches("ended well: ").lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["PATH=/usr/bin:/bin", "TIDEGATE_RUN=run-1"]);
    }

    #[test]
    fn what_fails_or_takes_too_long_says_so() {
        let said = run("/bin/sh", &["-c", "echo broken >&2; exit 3"], LONG).unwrap_err();
        assert!(said.contains("3") && said.contains("broken"), "{said}");
        assert!(run("/no/such/program", &[], LONG).is_err());
        let begun = Instant::now();
        let said = run(
            "/bin/sh",
            &["-c", "sleep 300 & sleep 300"],
            Duration::from_millis(300),
        );
        assert!(said.unwrap_err().contains("killed"));
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "what it started is ended too"
        );
    }

    #[test]
    fn output_is_bounded() {
        let said = run("/bin/sh", &["-c", "yes a line | head -c 3000000"], LONG).unwrap();
        assert!(said.len() < OUTPUT_MAX + 100, "{}", said.len());
        let said = run("/bin/echo", &["password=hunter2"], LONG).unwrap();
        assert!(!said.contains("hunter2"), "{said}");
    }
}
