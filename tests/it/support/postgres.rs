//! Real databases: one for each test, on the server that `tests/run` starts; and servers of a test's
//! own, for what happens when one stops.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use commcare_sf_integration::destinations::postgis;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tempfile::TempDir;

/// A database of one test; dropped with it.
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    server: String,
    name: String,
}

impl TestDatabase {
    /// An empty database. Without a server the test fails: nothing stands in for PostGIS.
    pub(crate) async fn empty() -> Self {
        #[expect(clippy::disallowed_methods, reason = "tests/run says where its server is")]
        let server = std::env::var("TEST_DATABASE_URL")
            .expect("TEST_DATABASE_URL names no PostgreSQL server with PostGIS; run tests/run");
        Self::on(&server).await
    }

    /// A database with the service's schema.
    pub(crate) async fn migrated() -> Self {
        let database = Self::empty().await;
        postgis::migrate(&database.url.parse().unwrap()).await.unwrap();
        database
    }

    /// An empty database of this server.
    pub(crate) async fn on(server: &str) -> Self {
        let name = format!("it_{}", uuid::Uuid::new_v4().simple());
        let mut connection = PgConnection::connect(server).await.unwrap();
        run(&mut connection, &format!("CREATE DATABASE {name}")).await;
        connection.close().await.unwrap();
        let (address, _) = server.rsplit_once('/').unwrap();
        Self { url: format!("{address}/{name}"), server: server.to_owned(), name }
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// Runs statements.
    pub(crate) async fn run(&self, sql: &str) {
        let mut connection = self.connect().await;
        run(&mut connection, sql).await;
        connection.close().await.unwrap();
    }

    /// The rows of a query, as JSON objects.
    pub(crate) async fn rows(&self, query: &str) -> Vec<Value> {
        let mut connection = self.connect().await;
        let sql = format!("SELECT to_jsonb(found)::text FROM ({query}) AS found");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
    }

    /// Cuts every connection to it, except the one that does so.
    pub(crate) async fn end_other_sessions(&self) {
        let others = "datname = current_database() AND pid <> pg_backend_pid()";
        self.run(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")).await;
    }

    /// The only value of a query that gives a number.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.rows(&format!("SELECT count(*) FROM {table}")).await[0]["count"].as_i64().unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A runtime of its own: this one cannot wait here. A server that is gone has dropped it.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let Ok(mut connection) = PgConnection::connect(&server).await else { return };
                run(&mut connection, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
            });
        });
        dropping.join().unwrap();
    }
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// A PostgreSQL server of a test's own, which can be stopped; gone when dropped.
pub(crate) struct TestServer {
    folder: TempDir,
    pub(crate) port: u16,
}

impl TestServer {
    /// A running server.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            let chown = Command::new("chown").arg("postgres").arg(folder.path()).status().unwrap();
            assert!(chown.success());
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { folder, port: free.local_addr().unwrap().port() };
        drop(free);
        let data = server.data();
        let data = data.to_str().unwrap();
        as_postgres(&["initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]);
        server.resume();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops it at once: connections are cut, transactions roll back.
    pub(crate) fn stop(&self) {
        as_postgres(&["pg_ctl", "-D", self.data().to_str().unwrap(), "-m", "immediate", "-w", "stop"]);
    }

    /// Starts it again where it was.
    pub(crate) fn resume(&self) {
        let folder = self.folder.path().display();
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off",
            self.port
        );
        let log = format!("{folder}/log");
        as_postgres(&[
            "pg_ctl",
            "-D",
            self.data().to_str().unwrap(),
            "-l",
            &log,
            "-o",
            &options,
            "-w",
            "start",
        ]);
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let data = self.data();
        // It may be stopped already.
        let _ = command(&["pg_ctl", "-D", data.to_str().unwrap(), "-m", "immediate", "-w", "stop"]).output();
        if is_root() {
            // The folder's owner is another.
            let _ = std::fs::remove_dir_all(data);
        }
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

/// PostgreSQL refuses to run as root: then it runs as the user that its package made.
fn command(arguments: &[&str]) -> Command {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is not installed; tests/run installs it")
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    versions.sort();
    let program = versions.last().unwrap().join(arguments[0]);
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(&arguments[1..]).current_dir("/");
    command
}

fn as_postgres(arguments: &[&str]) {
    let output = command(arguments)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(output.success(), "{arguments:?}");
}
