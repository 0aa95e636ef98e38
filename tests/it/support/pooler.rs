//! A pgbouncer of a test's own, in transaction mode, as a database's host may put before it.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A running pooler; ends when dropped.
pub(crate) struct TestPooler {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl TestPooler {
    /// A pooler before the server of `url`, with this many connections to each database. Without pgbouncer the test
    /// fails: nothing stands in for it.
    pub(crate) async fn before(url: &str, connections: u16) -> Self {
        let server = url::Url::parse(url).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        let settings = folder.path().join("pgbouncer.ini");
        let (host, server_port, user) =
            (server.host_str().unwrap(), server.port().unwrap(), server.username());
        let text = format!(
            "[databases]\n* = host={host} port={server_port} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = {connections}\n"
        );
        std::fs::write(&settings, text).unwrap();
        drop(free);
        // Where Debian's package has it.
        let mut command = Command::new("/usr/sbin/pgbouncer");
        // It refuses to run as root.
        if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
            let chown = Command::new("chown").arg("-R").arg("postgres").arg(folder.path()).status().unwrap();
            assert!(chown.success());
            command.args(["-u", "postgres"]);
        }
        let process = command.arg(&settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.expect("pgbouncer is not installed; tests/run installs it");
        let pooler = Self { process, port, _folder: folder };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        pooler
    }

    /// The address of a database past the pooler.
    pub(crate) fn url(&self, database: &str) -> String {
        let mut url = url::Url::parse(database).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }
}

impl Drop for TestPooler {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
