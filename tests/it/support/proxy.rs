//! A line between the service and a vendor that a test can trouble: cut, hanging, slow, noisy, or losing the
//! answers. It is plain TCP on 127.0.0.1, so that one proxy serves HTTP, gRPC and PostgreSQL.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// The behaviour of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// It carries.
    Up,
    /// Every connection is cut, and every new one as soon as it is made.
    Down,
    /// Connections are made, and nothing passes until the behaviour changes.
    Hanging,
    /// A sender gets noise (made from this number) and is cut off.
    Noisy(u64),
    /// Requests arrive; instead of the answer the connection ends.
    LosingAnswers,
    /// Every piece takes this long.
    Slow(Duration),
}

/// A running proxy; its connections end when it is dropped.
pub(crate) struct Proxy {
    /// Where it listens: `127.0.0.1:port`.
    pub(crate) address: String,
    line: watch::Sender<Line>,
    server: AbortHandle,
}

impl Proxy {
    /// A line to `vendor`, which is `host:port`.
    pub(crate) async fn to(vendor: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (line, watched) = watch::channel(Line::Up);
        let server = tokio::spawn(serve(listener, vendor.to_owned(), watched));
        Self { address, line, server: server.abort_handle() }
    }

    /// Sets the behaviour from now on.
    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, vendor: String, line: watch::Receiver<Line>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        connections.spawn(carry(client, vendor.clone(), line.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// The side that sent something.
enum Said {
    Client(usize),
    Vendor(usize),
}

/// Carries one connection until either side or the line ends it.
async fn carry(mut client: TcpStream, vendor: String, mut line: watch::Receiver<Line>) -> io::Result<()> {
    let gone = |_| io::Error::other("the test is over");
    if *line.borrow() == Line::Down {
        return Ok(());
    }
    let mut vendor = TcpStream::connect(&vendor).await?;
    client.set_nodelay(true)?;
    vendor.set_nodelay(true)?;
    let (mut from_client, mut from_vendor) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let said = tokio::select! {
            down = line.wait_for(|line| *line == Line::Down) => return down.map(drop).map_err(gone),
            read = client.read(&mut from_client) => Said::Client(read?),
            read = vendor.read(&mut from_vendor) => Said::Vendor(read?),
        };
        let now = *line.wait_for(|line| *line != Line::Hanging).await.map_err(gone)?;
        match (now, &said) {
            (Line::Down, _) | (Line::LosingAnswers, Said::Vendor(_)) => return Ok(()),
            (Line::Noisy(seed), Said::Client(_)) => return client.write_all(&noise(seed)).await,
            (Line::Slow(by), _) => tokio::time::sleep(by).await,
            _ => {}
        }
        match said {
            Said::Client(0) | Said::Vendor(0) => return Ok(()),
            Said::Client(length) => vendor.write_all(&from_client[..length]).await?,
            Said::Vendor(length) => client.write_all(&from_vendor[..length]).await?,
        }
    }
}

/// Some bytes that mean nothing in any protocol.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    bytes.take(1 + usize::from(seed.to_be_bytes()[7])).collect()
}
