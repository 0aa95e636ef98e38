//! The service's log lines, for a test to read.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use commcare_sf_integration::config::LogFormat;
use commcare_sf_integration::telemetry;
use serde_json::Value;
use tracing::subscriber::DefaultGuard;

/// The log lines of this thread, as long as it lives.
pub(crate) struct Log {
    lines: Lines,
    _guard: DefaultGuard,
}

impl Log {
    /// Everything that our code logs, and the debug lines of all libraries.
    pub(crate) fn capture(format: LogFormat, project: Option<&str>) -> Self {
        Self::filtered(format, project, "debug,commcare_sf_integration=trace")
    }

    /// JSON lines as in production.
    pub(crate) fn production(project: Option<&str>) -> Self {
        Self::filtered(LogFormat::Json, project, "info")
    }

    fn filtered(format: LogFormat, project: Option<&str>, filter: &str) -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = telemetry::subscriber(format, project, filter, move || writer.clone()).unwrap();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap()
    }

    /// The JSON lines with this message.
    pub(crate) fn events(&self, message: &str) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["message"] == message).collect()
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
