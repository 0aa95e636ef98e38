//! Prometheus' text format, version 0.0.4, which every scraper and `promtool` read.
//!
//! `prometheus-client` writes `OpenMetrics`. The two differ in the description of a counter: `OpenMetrics` leaves out
//! the `_total` that the samples' name ends in, Prometheus' format does not.

use std::fmt::Write;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text of all `registries`, one after the other.
pub(super) fn render(registries: &[&Registry]) -> String {
    let mut open_metrics = String::new();
    for registry in registries {
        // Writing to a String cannot fail.
        let _ = encode_registry(&mut open_metrics, registry);
    }
    let mut text = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines();
    while let Some(line) = lines.next() {
        let Some(help) = line.strip_prefix("# HELP ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        // The type is the line after the help.
        let kind = lines.next().and_then(|line| line.rsplit(' ').next()).unwrap_or("untyped");
        let (name, help) = help.split_once(' ').unwrap_or((help, ""));
        let suffix = if kind == "counter" { "_total" } else { "" };
        let _ = writeln!(text, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}");
    }
    text
}
