//! The one connection that writes, and the grouping of writes into transactions.
//!
//! While a commit waits for the disk, further writes gather; the next transaction takes them all.
//! Nobody is answered before the commit that holds their write is on disk.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{mpsc, oneshot};

use super::statements::{
    Change, Row, add_unmapped, all, insert, mark, probe, remove_completed, set_state, update,
};
use super::watch::FileWatch;
use crate::queue::QueueError;
use crate::queue::question::Sighting;
use crate::submission::{Origin, Unmapped};

/// Writes that one transaction takes at most.
const GROUP: usize = 512;
/// Rows that one statement inserts at most: nine values each, and SQLite takes 32,766.
const ROWS: usize = 128;
/// Writes that may wait; further ones wait to be let in.
const WAITING: usize = 4 * GROUP;

/// What one caller asks for.
#[derive(Debug)]
enum Task {
    One(Change),
    /// All of them, or none.
    All(Vec<Change>),
    /// One more record had these answers.
    Unmapped(Vec<Sighting>),
    /// An answer is marked as known, or no longer.
    Mark {
        origin: Origin,
        job_name: String,
        answer: Unmapped,
        known: bool,
    },
    /// A text is kept under a name.
    State {
        name: String,
        value: String,
    },
    /// Up to so many rows that completed before a time are removed.
    Remove {
        collection: &'static str,
        end: i64,
        limit: u32,
    },
    /// Something that changes nothing is written, to learn whether writes go through.
    Probe,
}

impl Task {
    /// The row that it inserts, where it is one insert.
    fn insert(&self) -> Option<&Row> {
        match self {
            Self::One((row, None)) => Some(row),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Write {
    task: Task,
    /// Answers whether the write applied.
    reply: oneshot::Sender<Result<bool, QueueError>>,
}

/// Hands writes to the writer's task, which ends with the last of its handles.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    writes: mpsc::Sender<Write>,
}

impl Writer {
    /// Opens the writing connection and starts its task.
    pub(super) async fn start(options: SqliteConnectOptions, watch: FileWatch) -> Result<Self, QueueError> {
        let mut connection = WritingConnection { options, watch, open: None };
        connection.open().await?;
        let (writes, waiting) = mpsc::channel(WAITING);
        tokio::spawn(run(connection, waiting));
        Ok(Self { writes })
    }

    /// Writes something that changes nothing.
    pub(super) async fn probe(&self) -> Result<(), QueueError> {
        self.write(Task::Probe).await.map(drop)
    }

    /// Inserts; `false` where the document exists.
    pub(super) async fn insert(&self, row: Row) -> Result<bool, QueueError> {
        self.write(Task::One((row, None))).await
    }

    /// Replaces; `false` where the document no longer has this version.
    pub(super) async fn swap(&self, row: Row, expected: i64) -> Result<bool, QueueError> {
        self.write(Task::One((row, Some(expected)))).await
    }

    /// Inserts and replaces; `false`, with nothing written, where one of them does not apply.
    pub(super) async fn all(&self, changes: Vec<Change>) -> Result<bool, QueueError> {
        self.write(Task::All(changes)).await
    }

    /// Counts one more record for each answer.
    pub(super) async fn add_unmapped(&self, answers: Vec<Sighting>) -> Result<(), QueueError> {
        self.write(Task::Unmapped(answers)).await.map(drop)
    }

    /// Sets the mark of an answer; `false` where there is no such answer.
    pub(super) async fn mark_unmapped(
        &self,
        origin: Origin,
        job_name: &str,
        answer: &Unmapped,
        known: bool,
    ) -> Result<bool, QueueError> {
        let (job_name, answer) = (job_name.to_owned(), answer.clone());
        self.write(Task::Mark { origin, job_name, answer, known }).await
    }

    /// Keeps a text under a name.
    pub(super) async fn set_state(&self, name: String, value: String) -> Result<(), QueueError> {
        self.write(Task::State { name, value }).await.map(drop)
    }

    /// Removes up to `limit` rows that completed before `end`; whether there were any.
    pub(super) async fn remove_completed(
        &self,
        collection: &'static str,
        end: i64,
        limit: u32,
    ) -> Result<bool, QueueError> {
        self.write(Task::Remove { collection, end, limit }).await
    }

    async fn write(&self, task: Task) -> Result<bool, QueueError> {
        let gone = || QueueError::unavailable("writing", std::io::Error::other("its writer has ended"));
        let (reply, written) = oneshot::channel();
        self.writes.send(Write { task, reply }).await.map_err(|_| gone())?;
        written.await.map_err(|_| gone())?
    }
}

/// The connection that writes. It is opened anew after a transaction that failed: SQLite rolls some back by itself (a
/// full disk), and the connection would go on counting a transaction that is none.
struct WritingConnection {
    options: SqliteConnectOptions,
    watch: FileWatch,
    open: Option<SqliteConnection>,
}

impl WritingConnection {
    async fn open(&mut self) -> Result<&mut SqliteConnection, QueueError> {
        let doing = "opening its file";
        self.watch.check()?;
        match &mut self.open {
            Some(connection) => Ok(connection),
            none => {
                let options = self.options.clone().create_if_missing(false);
                let connection =
                    options.connect().await.map_err(|error| QueueError::unavailable(doing, error))?;
                Ok(none.insert(connection))
            }
        }
    }

    /// Does all of `group` in one transaction; says for each write whether it applied.
    async fn commit(&mut self, group: &[Write]) -> Result<Vec<bool>, QueueError> {
        let connection = self.open().await?;
        let committed = commit(connection, group).await;
        if committed.is_err() {
            self.open = None;
        }
        let committed = committed.map_err(|error| QueueError::unavailable("writing", error))?;
        // What went into a file that is gone is lost: nobody is told that it is kept.
        self.watch.check()?;
        Ok(committed)
    }
}

async fn run(mut connection: WritingConnection, mut waiting: mpsc::Receiver<Write>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let committed = connection.commit(&group).await;
        for (position, write) in group.drain(..).enumerate() {
            let answer = committed.as_ref().map(|applied| applied[position]).map_err(Clone::clone);
            // Whoever waited may have hung up; the write stands all the same.
            let _ = write.reply.send(answer);
        }
    }
}

/// Does all of `group` in one transaction; says for each write whether it applied.
async fn commit(connection: &mut SqliteConnection, group: &[Write]) -> Result<Vec<bool>, sqlx::Error> {
    let mut applied = vec![false; group.len()];
    // IMMEDIATE: takes the write lock at the start, where waiting for another process is safe.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let inserts: Vec<(usize, &Row)> = group
        .iter()
        .enumerate()
        .filter_map(|(position, write)| Some((position, write.task.insert()?)))
        .collect();
    let mut rest = inserts.as_slice();
    while !rest.is_empty() {
        // Powers of two: few different statements, which the connection keeps prepared.
        let (rows, later) = rest.split_at(ROWS.min(1 << rest.len().ilog2()));
        insert(&mut transaction, rows, &mut applied).await?;
        rest = later;
    }
    for (write, applied) in group.iter().zip(&mut applied) {
        match &write.task {
            Task::One((_, None)) => {}
            Task::One((row, Some(version))) => *applied = update(&mut transaction, row, *version).await?,
            Task::All(changes) => *applied = all(&mut transaction, changes).await?,
            Task::Unmapped(answers) => *applied = add_unmapped(&mut transaction, answers).await?,
            Task::Mark { origin, job_name, answer, known } => {
                *applied = mark(&mut transaction, *origin, job_name, answer, *known).await?;
            }
            Task::State { name, value } => *applied = set_state(&mut transaction, name, value).await?,
            Task::Remove { collection, end, limit } => {
                *applied = remove_completed(&mut transaction, collection, *end, *limit).await?;
            }
            Task::Probe => *applied = probe(&mut transaction).await?,
        }
    }
    transaction.commit().await?;
    Ok(applied)
}
