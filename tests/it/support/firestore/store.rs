//! The documents of one database, every version of them, and the transactions open on it.
//!
//! Versions are kept because reads happen at a moment: a transaction reads one snapshot, and its
//! commit asks whether what it read is still so.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use gcloud_sdk::google::firestore::v1::{
    Document, TransactionOptions, Write, WriteResult, precondition, transaction_options,
};
use prost_types::Timestamp;
use tonic::Status;

use super::path::{Key, name_of};
use super::query::Query;
use super::value::Fields;
use super::write;

/// A time as Firestore keeps it: microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Micros(pub(super) i64);

impl From<Micros> for Timestamp {
    fn from(Micros(micros): Micros) -> Self {
        let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).expect("below a second");
        Self { seconds: micros.div_euclid(1_000_000), nanos }
    }
}

impl TryFrom<Timestamp> for Micros {
    type Error = Status;

    fn try_from(time: Timestamp) -> Result<Self, Status> {
        if time.nanos % 1_000 != 0 {
            return Err(Status::invalid_argument("timestamp must be microsecond-aligned"));
        }
        Ok(Self(time.seconds * 1_000_000 + i64::from(time.nanos / 1_000)))
    }
}

/// A document as it is at some time.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) fields: Fields,
    pub(super) create_time: Micros,
    pub(super) update_time: Micros,
}

impl Stored {
    /// The document on the wire, with these of its fields.
    pub(super) fn document(&self, database: &str, key: &[String], fields: Fields) -> Document {
        Document {
            name: name_of(database, key),
            fields,
            create_time: Some(self.create_time.into()),
            update_time: Some(self.update_time.into()),
        }
    }
}

struct Version {
    since: Micros,
    document: Option<Stored>,
}

/// When a request reads, and on whose account.
pub(super) enum Consistency {
    Strong,
    ReadTime(Timestamp),
    Transaction(Vec<u8>),
    NewTransaction(TransactionOptions),
}

/// A request's licence to read.
pub(super) struct Reader {
    pub(super) time: Micros,
    transaction: Option<Vec<u8>>,
    begun: bool,
}

impl Reader {
    /// The id of the transaction that this read began, else nothing.
    pub(super) fn new_transaction(&self) -> Vec<u8> {
        self.transaction.clone().filter(|_| self.begun).unwrap_or_default()
    }
}

/// Something a transaction read, to be looked at again when it commits.
pub(super) enum Read {
    Document(Key),
    Query(Box<Query>),
}

struct Transaction {
    read_only: bool,
    /// Set by the first read, or by the options of a read-only transaction.
    snapshot: Option<Micros>,
    reads: Vec<Read>,
}

#[derive(Default)]
pub(super) struct Database {
    name: String,
    versions: BTreeMap<Key, Vec<Version>>,
    last: Micros,
    transactions: HashMap<Vec<u8>, Transaction>,
    begun: u64,
}

impl Database {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The present, later than any time given out before.
    fn tick(&mut self) -> Micros {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        let now = i64::try_from(since_1970.as_micros()).expect("the clock is before the year 290000");
        self.last = Micros(now.max(self.last.0 + 1));
        self.last
    }

    /// The document at that time.
    pub(super) fn at(&self, key: &Key, time: Micros) -> Option<&Stored> {
        version_at(self.versions.get(key)?, time)?.document.as_ref()
    }

    /// Every document at that time, in the order of names.
    pub(super) fn snapshot(&self, time: Micros) -> impl Iterator<Item = (&Key, &Stored)> {
        self.versions
            .iter()
            .filter_map(move |(key, versions)| Some((key, version_at(versions, time)?.document.as_ref()?)))
    }

    /// Every document as it is now.
    pub(super) fn latest(&self) -> impl Iterator<Item = (&Key, &Stored)> {
        self.snapshot(Micros(i64::MAX))
    }

    /// Begins a transaction and returns its id.
    pub(super) fn begin(&mut self, options: Option<TransactionOptions>) -> Result<Vec<u8>, Status> {
        let mode = options.and_then(|options| options.mode);
        let (read_only, snapshot) = match mode {
            Some(transaction_options::Mode::ReadOnly(options)) => {
                let at = options.consistency_selector.map(
                    |transaction_options::read_only::ConsistencySelector::ReadTime(time)| self.past(time),
                );
                (true, at.transpose()?)
            }
            Some(transaction_options::Mode::ReadWrite(_)) | None => (false, None),
        };
        self.begun += 1;
        let id = format!("{}#{}", self.name, self.begun).into_bytes();
        self.transactions.insert(id.clone(), Transaction { read_only, snapshot, reads: Vec::new() });
        Ok(id)
    }

    /// Ends a transaction without writing.
    pub(super) fn rollback(&mut self, id: &[u8]) -> Result<(), Status> {
        self.transactions.remove(id).map(|_| ()).ok_or_else(no_such_transaction)
    }

    /// Forgets every open transaction, as the service does after 60 idle seconds.
    pub(super) fn expire_transactions(&mut self) {
        self.transactions.clear();
    }

    /// Works out when a request reads.
    pub(super) fn reader(&mut self, consistency: Consistency) -> Result<Reader, Status> {
        match consistency {
            Consistency::Strong => Ok(Reader { time: self.tick(), transaction: None, begun: false }),
            Consistency::ReadTime(time) => {
                Ok(Reader { time: self.past(time)?, transaction: None, begun: false })
            }
            Consistency::Transaction(id) => self.transaction_reader(id, false),
            Consistency::NewTransaction(options) => {
                let id = self.begin(Some(options))?;
                self.transaction_reader(id, true)
            }
        }
    }

    fn transaction_reader(&mut self, id: Vec<u8>, begun: bool) -> Result<Reader, Status> {
        let now = self.tick();
        let transaction = self.transactions.get_mut(&id).ok_or_else(no_such_transaction)?;
        let time = *transaction.snapshot.get_or_insert(now);
        Ok(Reader { time, transaction: Some(id), begun })
    }

    fn past(&mut self, time: Timestamp) -> Result<Micros, Status> {
        let time = Micros::try_from(time)?;
        if time > self.tick() {
            return Err(Status::invalid_argument("read_time cannot be in the future"));
        }
        Ok(time)
    }

    /// Notes what a request read, if it read in a transaction.
    pub(super) fn record(&mut self, reader: &Reader, read: Read) {
        if let Some(id) = &reader.transaction
            && let Some(transaction) = self.transactions.get_mut(id)
        {
            transaction.reads.push(read);
        }
    }

    /// Applies all the writes or none; in a transaction only if what it read hasn't changed.
    pub(super) fn commit(
        &mut self,
        writes: Vec<Write>,
        transaction: &[u8],
    ) -> Result<(Vec<WriteResult>, Micros), Status> {
        if !transaction.is_empty() {
            let open = self.transactions.remove(transaction).ok_or_else(no_such_transaction)?;
            if open.read_only && !writes.is_empty() {
                return Err(Status::invalid_argument("Cannot modify entities in a read-only transaction."));
            }
            self.check_unchanged(&open)?;
        }
        let now = self.tick();
        let mut staged: BTreeMap<Key, Option<Stored>> = BTreeMap::new();
        let mut results = Vec::new();
        for write in writes {
            let key = write::target(&write, &self.name)?;
            let current = match staged.get(&key) {
                Some(staged) => staged.as_ref(),
                None => self.at(&key, now),
            };
            let (after, result) = write::apply(write, &self.name, &key, current, now)?;
            staged.insert(key, after);
            results.push(result);
        }
        for (key, document) in staged {
            self.versions.entry(key).or_default().push(Version { since: now, document });
        }
        Ok((results, now))
    }

    fn check_unchanged(&self, transaction: &Transaction) -> Result<(), Status> {
        let Some(snapshot) = transaction.snapshot.filter(|_| !transaction.read_only) else {
            return Ok(());
        };
        let latest = Micros(i64::MAX);
        let update_time = |key: &Key, time| self.at(key, time).map(|stored| stored.update_time);
        let unchanged = transaction.reads.iter().all(|read| match read {
            Read::Document(key) => update_time(key, snapshot) == update_time(key, latest),
            Read::Query(query) => query.versions(self, snapshot) == query.versions(self, latest),
        });
        if unchanged {
            return Ok(());
        }
        Err(Status::aborted(
            "Aborted due to cross-transaction contention. This occurs when multiple transactions \
             attempt to access the same data, requiring Firestore to abort at least one in order \
             to enforce serializability.",
        ))
    }
}

fn version_at(versions: &[Version], time: Micros) -> Option<&Version> {
    versions.iter().rev().find(|version| version.since <= time)
}

fn no_such_transaction() -> Status {
    Status::invalid_argument("The referenced transaction has expired or is no longer valid.")
}

/// Holds a write to what its sender believed about the document.
pub(super) fn check_precondition(
    condition: precondition::ConditionType,
    name: &str,
    current: Option<&Stored>,
) -> Result<(), Status> {
    match (condition, current) {
        (precondition::ConditionType::Exists(true), None) => {
            Err(Status::not_found(format!("No document to update: {name}")))
        }
        (precondition::ConditionType::Exists(false), Some(_)) => {
            Err(Status::already_exists(format!("Document already exists: {name}")))
        }
        (precondition::ConditionType::Exists(_), _) => Ok(()),
        (precondition::ConditionType::UpdateTime(required), current) => {
            let required = Micros::try_from(required)?;
            let stored = current.map_or(Micros(0), |current| current.update_time);
            if stored == required {
                return Ok(());
            }
            Err(Status::failed_precondition(format!(
                "the stored version ({}) does not match the required base version ({})",
                stored.0, required.0
            )))
        }
    }
}
