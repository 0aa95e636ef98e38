//! Log lines: for people, or one JSON object a line as Cloud Logging reads it.
//!
//! Payload values never reach a log line; ids do (`docs/service.md`, sections 7 and 8).

mod plain;

use std::fmt;
use std::io::IsTerminal;

use chrono::SecondsFormat;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::clock;
use crate::config::{Config, LogFormat};
use crate::text::with_causes;

/// Starts logging, to standard error, as the configuration asks. Fails on a filter that cannot be
/// read.
pub fn start(config: &Config) -> anyhow::Result<()> {
    let project = config.project.as_deref();
    let subscriber = subscriber(config.log_format, project, &config.log_filter, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber)?;
    // Only the place: a panic's message may quote a payload.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(location = panic.location().map(ToString::to_string), "a thread panicked");
    }));
    Ok(())
}

/// A subscriber that writes events as lines of `format`. `project` is the Google Cloud project that has the
/// traces.
pub fn subscriber(
    format: LogFormat,
    project: Option<&str>,
    filter: &str,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> anyhow::Result<Box<dyn Subscriber + Send + Sync>> {
    let filter = EnvFilter::try_new(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        LogFormat::Pretty => {
            // Colours are for terminals: in a file they are noise.
            let colours = std::io::stderr().is_terminal();
            let lines = tracing_subscriber::fmt::format().with_target(false).with_ansi(colours);
            Box::new(
                builder.with_ansi(colours).fmt_fields(plain::FIELDS).event_format(Bounded(lines)).finish(),
            )
        }
        LogFormat::Json => Box::new(
            builder
                .fmt_fields(tracing_subscriber::fmt::format::JsonFields::new())
                .event_format(CloudLogging { project: project.map(str::to_owned) })
                .finish(),
        ),
    })
}

/// Lines of another form, of at most [`plain::LINE`] bytes.
struct Bounded<F>(F);

impl<S, N, F> FormatEvent<S, N> for Bounded<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&plain::bounded(line))
    }
}

/// The structured form that Cloud Logging takes from a container's output. `severity`, `message` and `time` are
/// Cloud Logging's names; every other field is kept as given (Cloud Logging, "Structured logging").
struct CloudLogging {
    project: Option<String>,
}

impl CloudLogging {
    /// Names a span's trace as Cloud Logging does, so that it shows a request's lines together.
    fn correlate(&self, line: &mut Map<String, Value>) {
        if let Some(Value::String(id)) = line.remove("trace_id") {
            // Without a project there is no Cloud Logging: the id stands alone, under the same name.
            let trace = match &self.project {
                Some(project) => format!("projects/{project}/traces/{id}"),
                None => id,
            };
            line.insert("logging.googleapis.com/trace".to_owned(), trace.into());
        }
    }
}

impl<S, N> FormatEvent<S, N> for CloudLogging
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Fields(Map::new());
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().map_or("", |fields| fields.fields.as_str());
            if let Ok(Value::Object(fields)) = serde_json::from_str(fields) {
                line.0.extend(fields.into_iter().map(|(name, value)| match value {
                    Value::String(text) => {
                        let text = plain::text(&name, &text).into_owned();
                        (name, text.into())
                    }
                    other => (name, other),
                }));
            }
        }
        event.record(&mut line);
        self.correlate(&mut line.0);
        let severity = match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "INFO",
            Level::DEBUG | Level::TRACE => "DEBUG",
        };
        let mut put = |name: &str, value: String| line.0.insert(name.to_owned(), value.into());
        put("severity", severity.to_owned());
        put("time", clock::now().to_rfc3339_opts(SecondsFormat::Micros, true));
        put("target", event.metadata().target().to_owned());
        writer.write_str(&plain::bounded_json(line.0))?;
        writer.write_char('\n')
    }
}

/// An event's fields as JSON.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        self.put(field, plain::text(field.name(), text).into_owned());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    /// An error with its causes.
    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        self.put_text(field, &with_causes(error));
    }
}
