//! curl, whose idea of HTTP is not ours.

use std::process::Command;

/// What curl got.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The final status; 0 when there was no answer.
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// curl's own exit code.
    pub(crate) code: i32,
    pub(crate) errors: String,
}

impl Answer {
    /// The first field of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks the status and hands the answer on.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} {self:#?}", self.errors);
        self
    }
}

/// Runs curl with these arguments; the answer may be anything, also none.
#[track_caller]
pub(crate) fn curl(arguments: &[&str]) -> Answer {
    let mut command = Command::new("curl");
    command.args(["-sS", "-i", "--max-time", "30"]);
    command.args(arguments);
    let output = command.output().expect("curl is installed");
    let code = output.status.code().unwrap_or(-1);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    parse(&output.stdout, code, errors)
}

fn parse(output: &[u8], code: i32, errors: String) -> Answer {
    let text = String::from_utf8_lossy(output).into_owned();
    let mut rest = text.as_str();
    let (mut status, mut headers) = (0, Vec::new());
    // Interim answers come first, each with a head of its own.
    while status < 200 && rest.starts_with("HTTP/") {
        let (head, below) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        rest = below;
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default();
        status = first
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .unwrap_or(0);
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        headers = lines.filter_map(field).collect();
    }
    Answer {
        status,
        headers,
        body: rest.to_owned(),
        code,
        errors,
    }
}
