//! Whether the files of the queue are still the ones that were opened.
//!
//! Somebody may delete or replace the database, or its write-ahead log, while the service runs. SQLite goes on with the
//! files that it has open, and everything that it writes is lost at the next start. So it is after somebody has cut the
//! log off: SQLite writes behind the gap, and the next start reads up to it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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
    log_length: Mutex<u64>,
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
            log_length: Mutex::default(),
        }))
    }

    /// An error once one of the files is gone, another, or cut off. A file counts from the first time that it is seen.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        self.0.database.check()?;
        // Held during the look: another thread may see a longer log meanwhile.
        let mut before = self.0.log_length.lock().unwrap_or_else(PoisonError::into_inner);
        let length = self.0.log.check()?;
        // SQLite writes a log from its beginning again, or empties it; it makes none shorter.
        if length > 0 && length < *before {
            return Err(self.0.log.lost("cut off"));
        }
        *before = length;
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_log_that_grows_under_many_looks_is_not_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("queue.db");
        fs::write(&database, "x").unwrap();
        let mut log = fs::File::create(folder.path().join("queue.db-wal")).unwrap();
        let watch = FileWatch::new(&database);
        let is_done = AtomicBool::new(false);
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        watch.check().unwrap();
                    }
                });
            }
            for _ in 0..50_000 {
                log.write_all(b"x").unwrap();
            }
            is_done.store(true, Ordering::Relaxed);
        });
        log.set_len(10).unwrap();
        assert!(watch.check().is_err() && watch.check().is_err(), "it stays so");
    }
}
