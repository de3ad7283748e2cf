//! The life of a process: started, listened to, and ended when nobody needs it.
//!
//! It is ended as the protocol says: its input is closed, then it is asked to end (SIGTERM), then
//! it is killed, and whatever it has started itself with it: it leads a process group.

use super::child::{Child, Desk, Lines, Routed};
use super::{Running, Spec, inherited};
use bytes::Bytes;
use gate_flow::Fault;
use gate_model::fault::FaultCode;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// For each step of ending a process.
const STEP: Duration = Duration::from_secs(2);
/// How long a caller may take to read a message before its call is given up.
const SLOW: Duration = Duration::from_secs(30);
/// How long a process may take to read a message.
const UNREAD: Duration = Duration::from_secs(30);
/// Most bytes of a logged line.
const LINE_MAX: usize = 1024;
/// Most lines that are logged of a process per minute.
const LINES_MAX: u32 = 60;

/// Starts a process; its life goes on as a task of its own.
///
/// # Errors
/// When it cannot be started.
pub(super) fn start(mut running: Running, ends: watch::Receiver<bool>) -> Result<Child, Fault> {
    let spec = running.spec().clone();
    let mut command = Command::new(&spec.command);
    command
        .args(&spec.args)
        .env_clear()
        .envs(inherited())
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(folder) = &spec.folder {
        command.current_dir(folder);
    }
    let mut process = command.spawn().map_err(|error| {
        running.fail();
        let detail = format!("`{}` cannot be started: {error}", spec.command);
        Fault::new(FaultCode::UpstreamUnreachable).detail(detail)
    })?;
    let (child, desk, from) = Child::new();
    let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
    if let Some(stderr) = process.stderr.take() {
        tokio::task::spawn_local(log(spec.clone(), stderr));
    }
    let life = Life {
        running,
        spec,
        process,
        desk,
        ends,
    };
    tokio::task::spawn_local(life.live(stdin, stdout, from));
    Ok(child)
}

struct Life {
    running: Running,
    spec: Arc<Spec>,
    process: tokio::process::Child,
    desk: Arc<Desk>,
    ends: watch::Receiver<bool>,
}

impl Life {
    async fn live(
        mut self,
        stdin: Option<ChildStdin>,
        stdout: Option<ChildStdout>,
        from: mpsc::Receiver<Bytes>,
    ) {
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return;
        };
        let used = std::rc::Rc::new(std::cell::Cell::new(Instant::now()));
        let (answers, answered) = mpsc::channel(16);
        let why = {
            let writing = write(stdin, from, answered, &used);
            let reading = read(stdout, &self.desk, &answers, &used);
            let idling = idle(&self.desk, self.spec.idle, &used);
            tokio::select! {
                why = writing => why,
                why = reading => why,
                why = idling => why,
                _ = self.ends.wait_for(|end| *end) => End::Asked("the gateway ends"),
            }
        };
        if matches!(why, End::Failed(_)) {
            self.running.fail();
        }
        // Its input is closed by now.
        self.desk.end();
        let status = self.end().await;
        let server = &*self.spec.name;
        match why {
            End::Asked(why) => tracing::info!(server, why, ?status, "a process was ended"),
            End::Failed(why) => tracing::warn!(server, why, ?status, "a process failed"),
        }
    }

    /// Waits for its end, and helps.
    async fn end(&mut self) -> Option<i32> {
        let group = self.process.id().and_then(|id| i32::try_from(id).ok());
        let group = group.and_then(rustix::process::Pid::from_raw);
        let signal = |signal| {
            if let Some(group) = group {
                // It may have ended meanwhile, which is what is wanted.
                let _ = rustix::process::kill_process_group(group, signal);
            }
        };
        let mut ended = tokio::time::timeout(STEP, self.process.wait()).await;
        if ended.is_err() {
            signal(rustix::process::Signal::TERM);
            ended = tokio::time::timeout(STEP, self.process.wait()).await;
        }
        // Also what it has left behind.
        signal(rustix::process::Signal::KILL);
        if ended.is_err() {
            ended = tokio::time::timeout(STEP, self.process.wait()).await;
        }
        ended.ok()?.ok()?.code()
    }
}

/// Why a process ends.
enum End {
    /// It was wanted.
    Asked(&'static str),
    /// It was not.
    Failed(&'static str),
}

type Used = std::rc::Rc<std::cell::Cell<Instant>>;

/// Writes what the session says, and what is answered in its place.
async fn write(
    mut stdin: ChildStdin,
    mut from: mpsc::Receiver<Bytes>,
    mut answered: mpsc::Receiver<Bytes>,
    used: &Used,
) -> End {
    loop {
        let line = tokio::select! {
            line = from.recv() => line,
            Some(line) = answered.recv() => Some(line),
        };
        let Some(line) = line else {
            return End::Asked("its session has ended");
        };
        used.set(Instant::now());
        let writing = async {
            stdin.write_all(&line).await?;
            stdin.flush().await
        };
        match tokio::time::timeout(UNREAD, writing).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Failed("its input is closed"),
            Err(_) => return End::Failed("it does not read"),
        }
    }
}

/// Reads what it says, and hands each message to whom it is for. One who does not read for long
/// loses the call; meanwhile the process waits.
async fn read(
    mut stdout: ChildStdout,
    desk: &Desk,
    answers: &mpsc::Sender<Bytes>,
    used: &Used,
) -> End {
    let mut lines = Lines::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = match stdout.read(&mut buffer).await {
            Ok(0) | Err(_) => return End::Failed("its output is closed"),
            Ok(count) => count,
        };
        used.set(Instant::now());
        let Ok(complete) = lines.push(&buffer[..count]) else {
            return End::Failed("it wrote a longer line than a message may be");
        };
        for line in complete {
            match desk.route(&line) {
                Routed::To(to) => {
                    let _ = tokio::time::timeout(SLOW, to.send(line)).await;
                }
                Routed::Answer(mut answer) => {
                    answer.push(b'\n');
                    let _ = tokio::time::timeout(SLOW, answers.send(answer.into())).await;
                }
                Routed::Nobody => {}
            }
        }
    }
}

/// Waits until it has been idle for too long.
async fn idle(desk: &Desk, most: Duration, used: &Used) -> End {
    if most.is_zero() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep_until(used.get() + most).await;
        if desk.is_busy() {
            used.set(Instant::now());
        }
        if used.get().elapsed() >= most {
            return End::Asked("it was idle");
        }
    }
}

/// Logs what it says besides, bounded, without its secrets.
async fn log(spec: Arc<Spec>, mut stderr: ChildStderr) {
    let mut rest: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 4096];
    let (mut since, mut logged, mut left_out) = (Instant::now(), 0, 0_u64);
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        for part in buffer[..count].split_inclusive(|&byte| byte == b'\n') {
            // A longer line is cut; secrets are looked for before that, within what is kept.
            if rest.len() < 8 * LINE_MAX {
                rest.extend_from_slice(part);
            }
            if !part.ends_with(b"\n") {
                continue;
            }
            let line = spec.redacted(String::from_utf8_lossy(&rest).trim_end());
            rest.clear();
            if since.elapsed() > Duration::from_secs(60) {
                (since, logged) = (Instant::now(), 0);
            }
            if logged >= LINES_MAX {
                left_out += 1;
                continue;
            }
            logged += 1;
            let line = &line[..line.floor_char_boundary(LINE_MAX)];
            let server = &*spec.name;
            tracing::info!(server, line, left_out, "a process says");
            left_out = 0;
        }
    }
}
