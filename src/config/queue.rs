//! Where the queue is.

use std::path::PathBuf;

use super::reader::Reader;

/// The queue's back end, with what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueSettings {
    /// One file on this machine.
    Sqlite(SqliteSettings),
    /// The original service's collections.
    Firestore(FirestoreSettings),
}

/// `QUEUE_URL=sqlite://path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSettings {
    /// The file; created where it is missing.
    pub path: PathBuf,
}

/// `QUEUE_URL=firestore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirestoreSettings {
    /// `GOOGLE_CLOUD_PROJECT`.
    pub project: String,
    /// `FIRESTORE_DATABASE`.
    pub database: String,
    /// `FIRESTORE_EMULATOR_HOST`, as `host:port`: an emulator instead of Google.
    pub emulator_host: Option<String>,
    /// `FLASK_DOCUMENTS`: whether the collections may still hold documents of the original service, whose ids are random.
    pub flask_documents: bool,
}

const DEFAULT_FILE: &str = "sqlite://data/queue.db";

pub(super) fn load(reader: &mut Reader<'_>, project: Option<&str>, cloud_run: bool) -> QueueSettings {
    let database = reader.text("FIRESTORE_DATABASE", "(default)").unwrap_or_else(|| "(default)".to_owned());
    let emulator_host = reader.text("FIRESTORE_EMULATOR_HOST", "not set");
    let flask_documents = reader.flag("FLASK_DOCUMENTS", true);
    // Read by Google's own library; listed here so that an operator sees it.
    reader.text("GOOGLE_APPLICATION_CREDENTIALS", "the machine's own identity");
    let default = if project.is_some() { "firestore" } else { DEFAULT_FILE };
    let given = reader.text("QUEUE_URL", default);
    if given.is_none() && cloud_run && project.is_none() {
        reader.problem(
            "GOOGLE_CLOUD_PROJECT: missing; Cloud Run does not set it, and a queue in a file of the \
             container would be lost with it",
        );
    }
    let url = given.as_deref().unwrap_or(default);
    let fallback = QueueSettings::Sqlite(SqliteSettings { path: PathBuf::from("data/queue.db") });
    if url == "firestore" {
        let Some(project) = project else {
            reader.problem("GOOGLE_CLOUD_PROJECT: missing, and QUEUE_URL=firestore needs it");
            return fallback;
        };
        return QueueSettings::Firestore(FirestoreSettings {
            project: project.to_owned(),
            database,
            emulator_host,
            flask_documents,
        });
    }
    if let Some(path) = url.strip_prefix("sqlite://").filter(|path| !path.is_empty()) {
        return QueueSettings::Sqlite(SqliteSettings { path: PathBuf::from(path) });
    }
    reader.problem("QUEUE_URL: must be firestore or sqlite://PATH");
    fallback
}
