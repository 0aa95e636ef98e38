//! Whether the files of the queue are still the ones that were opened.
//!
//! Somebody may delete or replace the database, or its write-ahead log, while the service runs. SQLite goes on with the
//! files that it has open, and everything that it writes is lost at the next start. So it is after somebody has cut the
//! log off: SQLite writes behind the gap, and the next start reads up to it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::queue::QueueError;

/// Device and inode of a file.
type Identity = (u64, u64);

/// Watches the database and its write-ahead log; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct FileWatch(Arc<Files>);

#[derive(Debug)]
struct Files {
    database: Watched,
    log: Watched,
    /// The log's length when it was last looked at.
    log_length: AtomicU64,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    opened: OnceLock<Identity>,
}

impl FileWatch {
    /// Watches the files of an open database.
    pub(super) fn new(database: &Path) -> Self {
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        let watched = |path| Watched { path, opened: OnceLock::new() };
        Self(Arc::new(Files {
            database: watched(database.to_owned()),
            log: watched(log.into()),
            log_length: AtomicU64::new(0),
        }))
    }

    /// An error once one of the files is gone, another, or cut off. A file counts from the first time that it is seen.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        self.0.database.check()?;
        let length = self.0.log.check()?;
        let before = self.0.log_length.fetch_max(length, Ordering::Relaxed);
        // SQLite writes a log from its beginning again, or empties it; it makes none shorter.
        if length == 0 {
            self.0.log_length.store(0, Ordering::Relaxed);
        } else if length < before {
            return Err(self.0.log.lost("cut off"));
        }
        Ok(())
    }
}

impl Watched {
    /// The file's length.
    fn check(&self) -> Result<u64, QueueError> {
        let Ok(file) = std::fs::metadata(&self.path) else {
            return if self.opened.get().is_none() { Ok(0) } else { Err(self.lost("deleted")) };
        };
        let found = (file.dev(), file.ino());
        if *self.opened.get_or_init(|| found) != found {
            return Err(self.lost("replaced"));
        }
        Ok(file.len())
    }

    fn lost(&self, how: &str) -> QueueError {
        let why = format!("{} was {how} while it was in use: restart the service", self.path.display());
        QueueError::unavailable("using its file", io::Error::other(why))
    }
}
