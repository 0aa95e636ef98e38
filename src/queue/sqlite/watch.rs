//! Whether the files of the queue are still the ones that were opened.
//!
//! Somebody may delete or replace the database, or its write-ahead log, while the service runs. SQLite goes on with the
//! files that it has open, and everything that it writes is lost at the next start.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::queue::QueueError;

/// Device and inode of a file.
type Identity = (u64, u64);

/// Watches the database and its write-ahead log; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct FileWatch(Arc<[Watched; 2]>);

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
        Self(Arc::new([watched(database.to_owned()), watched(log.into())]))
    }

    /// An error once one of the files is gone or another. A file counts from the first time that it is seen.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        self.0.iter().try_for_each(Watched::check)
    }
}

impl Watched {
    fn check(&self) -> Result<(), QueueError> {
        let found = std::fs::metadata(&self.path).map(|file| (file.dev(), file.ino()));
        let same = match (&found, self.opened.get()) {
            (Ok(found), Some(opened)) => found == opened,
            (Ok(found), None) => self.opened.set(*found).is_ok(),
            (Err(_), opened) => opened.is_none(),
        };
        let replaced = || io::Error::other(format!("{} was deleted or replaced", self.path.display()));
        if same { Ok(()) } else { Err(QueueError::unavailable("using its file", replaced())) }
    }
}
