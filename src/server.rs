//! The listening service: from a configuration to answered calls, until a signal ends it.

mod connections;
mod phase;
mod watched;

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::app::App;
use crate::config::{self, Config, QueueSettings};
use crate::http;
use crate::worker::Shutdown;
pub use connections::serve;

/// Time in which calls are still answered after the grace period of their records.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A service that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    service: http::Service,
    connections: usize,
    shutdown: Shutdown,
}

impl Server {
    /// Puts the service together and takes its port.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let shutdown = Shutdown::default();
        let app = App::start(config, shutdown.clone()).await?;
        let service = http::service(app, config)?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {} (HOST and PORT)", config.listen))?;
        for (what, state) in summary(config) {
            info!(what, state, "service configured");
        }
        for warning in &config.warnings {
            warn!(warning, "a setting is a risk");
        }
        if config.access.is_open() {
            warn!("no credential is configured: everyone who can reach this address may do everything");
        }
        let connections = connections::limit(config.max_connections);
        if connections < config.max_connections {
            warn!(
                connections,
                wanted = config.max_connections,
                "fewer connections than MAX_CONNECTIONS: the process may not open more files (ulimit -n)"
            );
        }
        Ok(Self { listener, service, connections, shutdown })
    }

    /// The address that it listens on.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.listener.local_addr().context("the listener has no address")
    }

    /// Answers calls until SIGTERM or an interrupt, then ends within the grace period.
    pub async fn run(self) -> anyhow::Result<()> {
        info!(address = %self.address()?, "service listening");
        tokio::spawn(begin_at_signal(self.shutdown.clone())?);
        let serving = serve(self.listener, self.service, self.connections, self.shutdown.clone());
        let ended = async {
            serving.await;
            // Drains go on where their callers have hung up.
            self.shutdown.work_ended().await;
        };
        tokio::select! {
            () = ended => {}
            () = async { self.shutdown.grace_is_over().await; tokio::time::sleep(LAST_ANSWERS).await } => {
                warn!("calls cut off at the end of the grace period");
            }
        }
        info!("service stopped");
        Ok(())
    }
}

/// A task that begins the shutdown at the first signal.
fn begin_at_signal(shutdown: Shutdown) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    Ok(async move {
        tokio::select! {
            Some(()) = terminate.recv() => {}
            Some(()) = interrupt.recv() => {}
            else => pending().await,
        }
        info!("service stopping");
        shutdown.begin();
    })
}

/// The effect of the configuration in words, for people.
pub fn summary(config: &Config) -> Vec<(&'static str, String)> {
    let queue = match &config.queue {
        QueueSettings::Sqlite(settings) => format!("SQLite, {}", settings.path.display()),
        QueueSettings::Firestore(settings) => {
            let emulator = settings.emulator_host.as_ref().map(|host| format!(", emulator {host}"));
            format!("Firestore, {}/{}{}", settings.project, settings.database, emulator.unwrap_or_default())
        }
    };
    let salesforce = match &config.salesforce {
        Some(settings) => format!("live, {}", config::shown(&settings.login_url)),
        None => "dry run: plans are recorded, nothing is sent".to_owned(),
    };
    let commcare = match &config.commcare {
        Some(settings) => format!("live, {}", config::shown(&settings.receiver)),
        None => "dry run: documents are recorded, nothing is sent".to_owned(),
    };
    let postgis = match &config.postgis {
        Some(settings) => format!("live, {}", settings.database),
        None => "dry run: plans are recorded, nothing is stored".to_owned(),
    };
    let access = &config.access;
    let closed_or = |configured: bool| match (access.is_open(), configured) {
        (true, _) => "open".to_owned(),
        (false, true) => "credentials required".to_owned(),
        (false, false) => "closed: no credential is configured".to_owned(),
    };
    let webhooks = !access.webhook_basic.is_empty() || !access.webhook_keys.is_empty();
    let operators = !access.operator_tokens.is_empty();
    vec![
        ("listen", config.listen.to_string()),
        ("queue", queue),
        ("salesforce", salesforce),
        ("commcare", commcare),
        ("postgis", postgis),
        ("webhooks", closed_or(webhooks)),
        ("scheduler", closed_or(access.scheduler.is_some() || operators)),
        ("operators", closed_or(operators)),
    ]
}
